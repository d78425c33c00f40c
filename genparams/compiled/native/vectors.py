"""Functions of single numbers whose loops a compiler turns into vector instructions.

They have no branches and call no library: a loop over them runs several times faster. `exp`, `log`
and `log1p` are right to one unit in the last place or so, as those of numpy are. They are compiled
without permission to reorder sums, which their splitting of numbers needs.
"""

from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

_ROUNDER = 6755399441055744.0  # 1.5 2^52: added to x, it leaves the whole number next to x
_ROUNDER_BITS = 4843621399236968448
_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_INF, _NAN = np.inf, np.nan
_ROOT_HALF_BITS = 4604544271217802189  # of sqrt(1/2)
_MANTISSA = 4503599627370495


def exp(x: float) -> float:
    """2^n exp(r), with x = n log 2 + r; reference: Cody and Waite, 1980."""
    y = pick(x < 710.0, x, 710.0)
    y = pick(y > -746.0, y, -746.0)
    t = y * _LOG2_E + _ROUNDER
    k = t - _ROUNDER
    r = y - k * _LN2_HIGH - k * _LN2_LOW
    p = 1.6059043836821613e-10 * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 0.0001984126984126984
    p = p * r + 0.001388888888888889
    p = p * r + 0.008333333333333333
    p = p * r + 0.041666666666666664
    p = p * r + 0.16666666666666666
    p = p * r + 0.5
    n = bits(t) - _ROUNDER_BITS
    half = n >> 1
    value = (1.0 + (r + r * r * p)) * number((half + 1023) << 52)
    return pick(x == x, value * number((n - half + 1023) << 52), x)


def log(x: float) -> float:
    """k log 2 + log m, with x = 2^k m; reference: the function of fdlibm, Sun, 1993."""
    is_small = x < 2.2250738585072014e-308
    y = pick(is_small, x * 18014398509481984.0, x)
    b = bits(y) - _ROOT_HALF_BITS
    k = number((b >> 52) + _ROUNDER_BITS) - _ROUNDER - pick(is_small, 54.0, 0.0)
    f = number((b & _MANTISSA) + _ROOT_HALF_BITS) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 0.1479819860511658591 * z + 0.1531383769920937332
    p = p * z + 0.1818357216161805012
    p = p * z + 0.2222219843214978396
    p = p * z + 0.2857142874366239149
    p = p * z + 0.3999999999940941908
    p = p * z + 0.6666666666666735130
    half = 0.5 * f * f
    value = k * _LN2_HIGH - ((half - (s * (half + z * p) + k * _LN2_LOW)) - f)
    value = pick(x > 0.0, value, pick(x == 0.0, -_INF, _NAN))
    return pick(x < _INF, value, x)


def log1p(x: float) -> float:
    """log(1 + x), with what is lost when 1 + x is rounded."""
    y = 1.0 + x
    value = log(y) + (x - (y - 1.0)) / pick(y == 0.0, 1.0, y)
    value = pick(y > 0.0, value, pick(y == 0.0, -_INF, _NAN))
    return pick(x < _INF, value, x)


# --- As Python, and as numba compiles them


def pick(condition: bool, x: float, y: float) -> float:
    """`x if condition else y`, both of which are known."""
    return x if condition else y


def larger(x: float, y: float) -> float:
    """The maximum; NaN if there is one."""
    return x if x > y or x != x else y


def smaller(x: float, y: float) -> float:
    """The minimum; NaN if there is one."""
    return x if x < y or x != x else y


def bits(x: float) -> int:
    """The bits of a float as a whole number."""
    return int(np.float64(x).view(np.int64))


def number(x: int) -> float:
    """The float with these bits."""
    return float(np.int64(x).view(np.float64))


SELECTIONS = ("pick", "larger", "smaller")
ARITHMETIC = ("exp", "log", "log1p")


@cache
def compiled() -> dict[str, Any]:
    """`SELECTIONS` and `ARITHMETIC` as functions that numba can call."""
    from numba import njit  # type: ignore[import-not-found]

    space = {**globals(), **_intrinsics()}
    for name in ARITHMETIC:
        function = FunctionType(globals()[name].__code__, space, name)
        space[name] = njit(error_model="numpy", nogil=True, fastmath={"contract"})(function)
    return {name: space[name] for name in (*SELECTIONS, *ARITHMETIC)}


def _intrinsics() -> dict[str, Any]:
    from llvmlite import ir  # type: ignore[import-not-found]
    from numba import types  # type: ignore[import-not-found]
    from numba.extending import intrinsic  # type: ignore[import-not-found]

    double, whole = types.float64, types.int64

    def pick(context: Any, condition: Any, x: Any, y: Any) -> Any:
        def write(at: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(args[0], args[1], args[2])

        return double(types.boolean, double, double), write

    def choosing(sign: str) -> Any:
        def choose(context: Any, x: Any, y: Any) -> Any:
            def write(at: Any, builder: Any, signature: Any, args: Any) -> Any:
                wins = builder.fcmp_ordered(sign, args[0], args[1])
                unknown = builder.fcmp_unordered("uno", args[0], args[0])
                return builder.select(builder.or_(wins, unknown), args[0], args[1])

            return double(double, double), write

        return choose

    def bits(context: Any, x: Any) -> Any:
        def write(at: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.IntType(64))

        return whole(double), write

    def number(context: Any, x: Any) -> Any:
        def write(at: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.DoubleType())

        return double(whole), write

    made = {"pick": pick, "larger": choosing(">"), "smaller": choosing("<")}
    made |= {"bits": bits, "number": number}
    return {name: intrinsic(function) for name, function in made.items()}
