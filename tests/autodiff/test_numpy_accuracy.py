"""Derivatives keep their digits where the function keeps its own, against mpmath at 80 digits.

A row is a line as `numpy_law` reads it, of the numbers x and y, beside the same function in
mpmath; the derivative is compared at each point. Where scipy's own derivative function loses
digits the tolerance says so.
"""

from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special

from genparams.autodiff import Tape
from genparams.errors import TracedValueError

mp: Any = mpmath.mp.clone()
mp.dps = 80
MOST = 2e-12  # relative error of a derivative


def gaussian(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def normal_cdf(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def log_ndtr_slope(x: Any) -> Any:
    with mp.workdps(60):
        if x < -1e3:  # the continued fraction of Mills' ratio, of which these are the first terms
            t = 1 / (x * x)
            series = mp.nsum(
                lambda k: (-t / 2) ** k * mp.factorial(2 * k) / mp.factorial(k), [0, 12]
            )
            return -x / series
        return gaussian(x) / normal_cdf(x)


def erfcx_slope(x: Any) -> Any:
    if x > 1e4:
        t = 1 / (2 * x * x)
        terms = (mp.fac2(2 * k - 1) * (-t) ** k for k in range(1, 12))
        return 2 / mp.sqrt(mp.pi) * mp.fsum(terms)
    return 2 * x * mp.exp(x * x) * mp.erfc(x) - 2 / mp.sqrt(mp.pi)


def scaled_bessel_slope(order: int) -> Any:
    def slope(x: Any) -> Any:
        with mp.workdps(60):
            if abs(x) > 200:
                return _asymptotic_slope(order, x)
            i = [mp.besseli(k, x) for k in (order - 1, order, order + 1)]
            sign = mp.sign(x)
            return mp.exp(-abs(x)) * ((i[0] + i[2]) / 2 - sign * i[1])

    return slope


def _asymptotic_slope(order: int, x: Any) -> Any:
    """Of exp(-x) I(x) = (2 pi x)^-1/2 sum of a_k x^-k, term by term (x > 0)."""
    total, a = mp.mpf(0), mp.mpf(1)
    for k in range(30):
        total += a * (-k - mp.mpf(1) / 2) * x ** (-k - mp.mpf(3) / 2)
        a *= -(4 * order**2 - (2 * k + 1) ** 2) / (mp.mpf(k + 1) * 8)
    odd = -1 if x < 0 and order == 0 else 1
    return odd * total / mp.sqrt(2 * mp.pi)


def d(f: Any) -> Any:
    """The derivative of a function of mpmath by a difference with 80 digits to spare."""
    return lambda x: mp.diff(f, x, h=mp.mpf(10) ** -35 * max(abs(x), mp.mpf(10) ** -20))


SMALL = [1e-300, 1e-20, -1e-12, 1e-8, -1e-5, 1e-3]
MIDDLE = [-3.1, -0.7, 0.4, 1.0, 2.2]
LARGE = [-700.0, -40.0, -18.0, 18.0, 40.0, 700.0]

# Each function of one number: its derivative, and the points at which it is compared.
ONE: dict[str, tuple[Any, list[float]]] = {
    "np.exp(x)": (mp.exp, [*SMALL, *MIDDLE, *LARGE]),
    "np.expm1(x)": (mp.exp, [*SMALL, *MIDDLE, *LARGE]),
    "np.exp2(x)": (lambda x: mp.log(2) * 2**x, [*SMALL, *MIDDLE, -1000.0, 1000.0]),
    "np.log(x)": (lambda x: 1 / x, [1e-300, 1e-9, 0.7, 1.0, 1e9, 1e300]),
    "np.log2(x)": (lambda x: 1 / x / mp.log(2), [1e-300, 0.7, 1.0, 1e300]),
    "np.log10(x)": (lambda x: 1 / x / mp.log(10), [1e-300, 0.7, 1.0, 1e300]),
    "np.log1p(x)": (lambda x: 1 / (1 + x), [*SMALL, -1 + 1e-15, -1 + 1e-9, 1e15]),
    "np.sqrt(x)": (lambda x: 1 / (2 * mp.sqrt(x)), [1e-300, 1e-9, 2.0, 1e300]),
    "np.cbrt(x)": (lambda x: 1 / (3 * mp.cbrt(x * x)), [1e-200, 1e-9, -2.0, 8.0, -1e-9, 1e200]),
    "np.square(x)": (lambda x: 2 * x, [1e-150, -3.0, 1e150]),
    "np.reciprocal(x)": (lambda x: -1 / x**2, [1e-150, -3.0, 1e150]),
    "np.tanh(x)": (
        lambda x: mp.sech(x) ** 2,
        [*SMALL, *MIDDLE, -18.0, 18.0, -40.0, 40.0, 300.0, 350.0],
    ),
    "np.sinh(x)": (mp.cosh, [*SMALL, *MIDDLE, *LARGE]),
    "np.cosh(x)": (mp.sinh, [*SMALL, *MIDDLE, *LARGE]),
    "np.sin(x)": (mp.cos, [*SMALL, *MIDDLE, 1e5, 3.14159]),
    "np.cos(x)": (lambda x: -mp.sin(x), [*SMALL, *MIDDLE, 1e5, 3.14159]),
    "np.tan(x)": (lambda x: mp.sec(x) ** 2, [*SMALL, *MIDDLE, 1.5707963]),
    "np.arcsin(x)": (
        lambda x: 1 / mp.sqrt((1 - x) * (1 + x)),
        [*SMALL, 0.5, -0.7, 1 - 1e-12, 1e-12 - 1],
    ),
    "np.arccos(x)": (
        lambda x: -1 / mp.sqrt((1 - x) * (1 + x)),
        [*SMALL, 0.5, -0.7, 1 - 1e-12, 1e-12 - 1],
    ),
    "np.arctan(x)": (lambda x: 1 / (1 + x * x), [*SMALL, *MIDDLE, 1e9, -1e150]),
    "np.arcsinh(x)": (lambda x: 1 / mp.sqrt(1 + x * x), [*SMALL, *MIDDLE, 1e9, -1e200]),
    "np.arccosh(x)": (
        lambda x: 1 / mp.sqrt((x - 1) * (x + 1)),
        [1 + 1e-12, 1 + 1e-6, 1.5, 10.0, 1e9, 1e200],
    ),
    "np.arctanh(x)": (lambda x: 1 / ((1 - x) * (1 + x)), [*SMALL, 0.5, -0.7, 1 - 1e-12, 1e-12 - 1]),
    "np.sinc(x)": (
        lambda x: _sinc_slope(x),
        [1e-300, 1e-12, 1e-8, -1e-5, 1e-3, 0.01, -0.1, 0.4, 1.0, 1.42, 7.3],
    ),
    "np.logaddexp(x, 0.3)": (lambda x: 1 / (1 + mp.exp(mp.mpf(0.3) - x)), [*MIDDLE, *LARGE]),
    "np.hypot(x, 1e-3)": (
        lambda x: x / mp.hypot(x, mp.mpf(1e-3)),
        [1e-200, 1e-20, 1e-3, -4.0, 1e200],
    ),
    "np.arctan2(x, 2.0)": (lambda x: 2 / (4 + x * x), [1e-200, 1e-9, 2.0, -4.0, 1e150]),
    "np.arctan2(2.0, x)": (lambda x: -2 / (4 + x * x), [1e-200, 1e-9, 2.0, -4.0, 1e150]),
    "np.arctan2(x, 1e-200)": (
        lambda x: mp.mpf(1e-200) / (mp.mpf(1e-200) ** 2 + x * x),
        [1e-200, 1e-205, 1e-195],
    ),
    "np.linalg.norm(np.array([1.0, 1e-200]) * x)": (lambda x: mp.mpf(1), [1e-150, 1e-9, 3.0]),
    "x**3": (lambda x: 3 * x**2, [1e-100, -2.0, 0.0, 1e100]),
    "x**0.5": (lambda x: 1 / (2 * mp.sqrt(x)), [1e-300, 2.0, 1e300]),
    "2.0**x": (lambda x: mp.log(2) * 2**x, [1e-300, -1000.0, 1000.0]),
    "special.expit(x)": (
        lambda x: mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2,
        [*SMALL, *MIDDLE, *LARGE],
    ),
    "special.log_expit(x)": (lambda x: 1 / (1 + mp.exp(x)), [*SMALL, *MIDDLE, *LARGE]),
    "special.logit(x)": (
        lambda x: 1 / (x * (1 - x)),
        [1e-300, 1e-9, 0.3, 0.5, 1 - 1e-9, 1 - 1e-15],
    ),
    "special.gammaln(x)": (mp.digamma, [1e-300, 1e-9, 0.3, 1.0, 2.0, 40.0, 1e6, 1e300]),
    "special.psi(x)": (lambda x: mp.psi(1, x), [1e-100, 1e-9, 0.3, 1.4616, 40.0, 1e6, 1e100]),
    "special.polygamma(1, x)": (lambda x: mp.psi(2, x), [1e-9, 0.3, 1.0, 40.0, 1e6]),
    "special.gamma(x)": (
        lambda x: mp.gamma(x) * mp.digamma(x),
        [1e-9, 0.3, 1.0, 2.0, 40.0, 150.0, -0.5, -1.3],
    ),
    "special.rgamma(x)": (
        lambda x: -mp.digamma(x) * mp.rgamma(x),
        [1e-9, 0.3, 1.0, 2.0, 40.0, 150.0, -0.5, -1.3],
    ),
    "special.betaln(x, 1.0)": (
        lambda x: mp.digamma(x) - mp.digamma(x + 1),
        [1e-9, 0.3, 1.0, 1e4, 1e8, 1e12, 1e15],
    ),
    "special.betaln(x, 2.5)": (
        lambda x: mp.digamma(x) - mp.digamma(x + mp.mpf(2.5)),
        [1e-9, 0.3, 1.0, 1e4, 1e8, 1e12],
    ),
    "special.betaln(1e12, x)": (
        lambda x: mp.digamma(x) - mp.digamma(x + mp.mpf(1e12)),
        [1e-3, 1.0, 3.5],
    ),
    "special.beta(x, 2.5)": (
        lambda x: mp.beta(x, mp.mpf(2.5)) * (mp.digamma(x) - mp.digamma(x + mp.mpf(2.5))),
        [1e-9, 0.3, 1.0, 1e4],
    ),
    "special.erf(x)": (
        lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
        [*SMALL, *MIDDLE, 5.0, -20.0, 26.0],
    ),
    "special.erfc(x)": (
        lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x),
        [*SMALL, *MIDDLE, 5.0, -20.0, 26.0],
    ),
    "special.erfcx(x)": (
        erfcx_slope,
        [*SMALL, -3.0, 0.5, 5.0, 50.0, 1e3, 3e4, 1e6, 1e8, 1e10, 1e15],
    ),
    "special.erfinv(x)": (
        lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(_erfinv(x) ** 2),
        [1e-20, 1e-9, 0.3, -0.8, 0.999],
    ),
    "special.ndtr(x)": (gaussian, [*SMALL, *MIDDLE, -37.0, -10.0, 37.0]),
    "special.log_ndtr(x)": (
        log_ndtr_slope,
        [*SMALL, *MIDDLE, -1e6, -1e10, -1e3, -50.0, -20.0, -10.0, 5.0, 37.0],
    ),
    "special.ndtri(x)": (
        lambda x: 1 / gaussian(_ndtri(x)),
        [1e-300, 1e-100, 1e-9, 0.01, 0.3, 0.5, 0.9],
    ),
    "special.i0e(x)": (
        scaled_bessel_slope(0),
        [1e-20, 1e-8, 1e-3, 0.5, -2.0, 7.9, 8.1, 30.0, 1e3, 1e5, 1e8],
    ),
    "special.i1e(x)": (
        scaled_bessel_slope(1),
        [0.0, 1e-20, 1e-8, 1e-3, 0.5, -2.0, 7.9, 8.1, 30.0, 1e3, 1e5, 1e8],
    ),
    "special.i0(x)": (lambda x: mp.besseli(1, x), [1e-20, 1e-8, 0.5, -2.0, 30.0, 600.0]),
    "special.i1(x)": (
        lambda x: (mp.besseli(0, x) + mp.besseli(2, x)) / 2,
        [0.0, 1e-20, 1e-8, 0.5, -2.0, 30.0, 600.0],
    ),
    "np.i0(x)": (lambda x: mp.besseli(1, x), [1e-20, 1e-8, 0.5, -2.0, 30.0, 600.0]),
    "special.xlogy(x, 0.3)": (lambda x: mp.log(mp.mpf(0.3)), [1e-300, 0.0, 2.0, 1e300]),
    "special.xlogy(2.0, x)": (lambda x: 2 / x, [1e-300, 1e-9, 0.7, 1e300]),
    "special.xlog1py(x, 1e-20)": (lambda x: mp.log1p(mp.mpf(1e-20)), [1e-300, 0.0, 2.0]),
    "special.xlog1py(2.0, x)": (lambda x: 2 / (1 + x), [1e-20, -1 + 1e-12, 0.7, 1e300]),
    "special.entr(x)": (lambda x: -mp.log(x) - 1, [1e-300, 1e-9, 0.2, 3.0, 1e9]),
    "special.exprel(x)": (
        lambda x: _exprel_slope(x),
        [1e-300, 1e-12, -1e-8, 1e-5, 1e-3, 0.3, -2.0, 30.0, -40.0, 700.0],
    ),
    "special.gammainc(2.5, x)": (
        lambda x: x ** mp.mpf(1.5) * mp.exp(-x) / mp.gamma(mp.mpf(2.5)),
        [1e-100, 1e-9, 0.4, 2.0, 30.0, 600.0],
    ),
    "special.gammaincc(2.5, x)": (
        lambda x: -(x ** mp.mpf(1.5)) * mp.exp(-x) / mp.gamma(mp.mpf(2.5)),
        [1e-100, 1e-9, 0.4, 2.0, 30.0, 600.0],
    ),
    "special.betainc(2.0, 3.5, x)": (
        lambda x: x * (1 - x) ** mp.mpf(2.5) / mp.beta(2, mp.mpf(3.5)),
        [1e-100, 1e-9, 0.4, 0.99, 1 - 1e-9],
    ),
    "special.logsumexp([x, 0.3])": (lambda x: 1 / (1 + mp.exp(mp.mpf(0.3) - x)), [*MIDDLE, *LARGE]),
    "special.softmax(np.stack([x, 0.0]))[0]": (
        lambda x: mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2,
        [*MIDDLE, -40.0, 18.0, 40.0],
    ),
    "special.log_softmax(np.stack([x, 0.0]))[0]": (
        lambda x: 1 / (1 + mp.exp(x)),
        [*MIDDLE, *LARGE],
    ),
    "np.logaddexp.reduce(np.stack([x, 0.3]))": (
        lambda x: 1 / (1 + mp.exp(mp.mpf(0.3) - x)),
        [*MIDDLE, *LARGE],
    ),
    "special.huber(1.0, x)": (
        lambda x: mp.mpf(x) if abs(x) < 1 else mp.sign(x),
        [1e-20, 0.5, -3.0],
    ),
    "special.cosm1(x)": (lambda x: -mp.sin(x), [1e-20, 1e-8, 0.5]),
    "special.boxcox(x, 1e-12)": (lambda x: x ** (mp.mpf(1e-12) - 1), [1e-9, 1.0, 2.0, 1e9]),
    "special.kl_div(x, 0.3)": (lambda x: mp.log(x / mp.mpf(0.3)), [1e-300, 1e-9, 0.2, 3.0]),
    "special.rel_entr(x, 0.3)": (lambda x: mp.log(x / mp.mpf(0.3)) + 1, [1e-300, 1e-9, 0.2, 3.0]),
    "special.j0(x)": (lambda x: -mp.besselj(1, x), [1e-20, 0.5, 7.0, 90.0]),
    "special.poch(x, 2.0)": (lambda x: 2 * x + 1, [1e-9, 0.4, 30.0]),
}
# Points where numpy's or scipy's function itself has only so many digits there.
LOOSE: dict[str, float] = {
    "np.tan(x)": 1e-8,  # pi / 2 - x has nine digits at 1.5707963
    "np.sinc(x)": 1e-11,
    "special.erfinv(x)": 1e-11,
    "special.beta(x, 2.5)": 2e-11,  # the digits of scipy's beta at 1e4
    "special.ndtri(x)": 2e-11,
    "special.log_ndtr(x)": 1e-11,
}


def _sinc_slope(x: Any) -> Any:
    if x == 0:
        return mp.mpf(0)
    t = mp.pi * x
    if abs(t) < mp.mpf(10) ** -20:
        return -(mp.pi**2) * x / 3
    return (mp.cos(t) - mp.sin(t) / t) / x


def _exprel_slope(x: Any) -> Any:
    if abs(x) < mp.mpf(10) ** -15:
        return mp.mpf(1) / 2 + x / 3
    return (x * mp.exp(x) - mp.expm1(x)) / x**2


def _erfinv(x: Any) -> Any:
    return mp.findroot(lambda t: mp.erf(t) - x, mp.mpf(special.erfinv(float(x))))


def _ndtri(x: Any) -> Any:
    start = mp.mpf(special.ndtri(float(x)))
    return mp.findroot(lambda t: mp.log(normal_cdf(t)) - mp.log(x), start)


def slope(line: str, x: float) -> float:
    tape = Tape()
    leaf = tape.leaf(x)
    with np.errstate(all="ignore"):
        result = eval(line, {"np": np, "special": special, "x": leaf})
    (g,) = tape.gradients([(result, 1.0)], [leaf])
    return float(g)


@pytest.mark.parametrize("line", ONE)
def test_a_derivative_keeps_its_digits(line):
    exact, points = ONE[line]
    wrong = []
    try:
        slopes = [slope(line, x) for x in points]
    except TracedValueError:
        return  # the list of wanted forms says what may not be refused
    for x, g in zip(points, slopes, strict=True):
        want = exact(mp.mpf(x))
        tiny = abs(want) < 1e-300
        error = abs(mp.mpf(g) - want) if tiny else abs(mp.mpf(g) / want - 1)
        if not error <= (1e-300 if tiny else LOOSE.get(line, MOST)):
            wrong.append(f"at {x}: {g} for {mp.nstr(want, 17)}, off by {mp.nstr(error, 3)}")
    assert not wrong, "\n".join(wrong)


ZEROS = [
    "np.sinc(x)",
    "x**2",
    "x * np.abs(x)",
    "np.hypot(x, 1.0)",
    "special.i0e(x * x)",
    "np.i0(x)",
]


@pytest.mark.parametrize("line", ZEROS)
def test_a_derivative_that_is_zero_at_zero_is_zero(line):
    try:
        assert slope(line, 0.0) == 0.0
    except TracedValueError:
        return


@pytest.mark.parametrize(
    "line",
    [
        "np.linalg.norm(np.stack([x, 0.0]))",
        "np.hypot(x, 0.0)",
        "np.arctan2(x, 0.0)",
        "np.linalg.norm(x * np.zeros(3))",
        "np.std(x * np.ones(3))",
        "np.sqrt(x)",
        "x**0.5",
        "np.log(x)",
        "np.reciprocal(x)",
        "np.power(x, 0.0)",
        "0.0**x",
        "np.prod(np.stack([x, 2.0, 0.0]))",
        "np.cumprod(np.stack([x, 2.0, 0.0]))[2]",
        "np.max(np.stack([x, 0.0]))",
        "special.xlogy(x, x)",
        "special.entr(x)",
        "np.float_power(x, 2.0)",
        "np.mod(x, 1.0)",
        "np.divmod(x, 1.0)[1]",
    ],
)
def test_at_a_singular_point_nothing_breaks(line):
    """What has no derivative at 0 gives a number, an infinity or a NaN there, or is refused."""
    try:
        assert type(slope(line, 0.0)) is float
    except TracedValueError:
        return
