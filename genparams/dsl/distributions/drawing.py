"""Draws of a declared distribution, with its arguments checked and the result read-only."""

import math
from collections.abc import Sequence
from typing import Any

from genparams.autodiff import np, raw
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import at_index, first_index, real_number
from genparams.dsl.distributions.impossible import arguments_at
from genparams.errors import DistributionError, InvalidValue


def draw_value(declared: Declaration, rng: Any, args: Sequence[Any], size: Any) -> Any:
    """A draw for arguments in order.

    Raises:
        DistributionError: an argument is outside its domain, or the draw overflows.
    """
    if size is None and declared.draws_floats:
        for a in args:
            if type(a) is not float:
                break
        else:
            return _draw_number(declared, rng, args)
    args = [raw(a) for a in args]
    batch = declared.batch_shape(args, size)
    with np.errstate(all="ignore"):
        declared.check(args)
        declared.check_lazy(args)
        value = _drawn(declared, rng, args, batch)
        if isinstance(value, np.ndarray) and value.ndim:
            if value.dtype.kind == "f" and not math.isfinite(value.sum()):
                _check_finite(declared, value, args)
            value.setflags(write=False)
            return value
    value = declared.kind.convert(value)
    if value - value != 0:
        _check_finite(declared, value, args)
    return value


def _draw_number(declared: Declaration, rng: Any, args: Sequence[Any]) -> Any:
    """One number by arguments that are single numbers, without numpy's arrays."""
    for i, test in declared.all_tests:
        if not test(args[i]):
            declared.check(args)
            declared.check_lazy(args)
    if declared.fit is not None:
        declared.fit(*args)
    value = _drawn(declared, rng, args, None)
    if type(value) is not float or declared.kind is not real_number:
        value = declared.kind.convert(value)
    if value - value != 0:
        _check_finite(declared, value, args)
    return value


def _drawn(declared: Declaration, rng: Any, args: Sequence[Any], size: Any) -> Any:
    try:
        return declared.draw(rng, *args, size=size)
    except InvalidValue:
        raise
    except (ValueError, ArithmeticError) as error:
        raise DistributionError(
            f"{declared.name} cannot be drawn{arguments_at(declared, args, ())}: {error}"
        ) from None


def _check_finite(declared: Declaration, value: Any, args: Sequence[Any]) -> None:
    value = np.asarray(value)
    bad = ~np.isfinite(value)
    if bad.any():
        at, _ = first_index(bad)
        here = at[: value.ndim - declared.kind.rank]
        raise DistributionError(
            f"a draw of {declared.name} is {float(value[at])}{at_index(at)}"
            f"{arguments_at(declared, args, here)}: it overflows"
        )
