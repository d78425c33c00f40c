"""One formula, two kinds of numbers.

`scalars` and `arrays` hold functions of the same names. A formula that takes one of them as its
first argument works on a Python float by `math`, which is ten times faster there than numpy, and
on arrays and traced values by numpy and scipy.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else (-math.inf if x == 0.0 else math.nan)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709.0 else float(np.exp(x))


def _expit(x: float) -> float:
    e = math.exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


def _ratio(x: float, y: float) -> float:
    return x / y if y else (math.copysign(math.inf, x) if x else math.nan)


def _gammaln(x: float) -> float:
    return math.lgamma(x) if x < 1e305 else math.inf


def _log_expit(x: float) -> float:
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


scalars = SimpleNamespace(
    log=_log,
    log1p=lambda x: math.log1p(x) if x > -1.0 else (-math.inf if x == -1.0 else math.nan),
    exp=_exp,
    expm1=lambda x: math.expm1(x) if x < 709.0 else math.inf,
    sqrt=math.sqrt,
    ratio=_ratio,
    abs=abs,
    sign=lambda x: math.copysign(1.0, x) if x else 0.0,
    where=lambda condition, x, y: x if condition else y,
    gammaln=_gammaln,
    psi=lambda x: float(special.psi(x)),
    betaln=lambda x, y: float(special.betaln(x, y)),
    xlogy=lambda x, y: x * _log(y) if x else 0.0,
    xlog1py=lambda x, y: x * scalars.log1p(y) if x else 0.0,
    expit=_expit,
    log_expit=_log_expit,
)
"""Functions of one float, by `math`: a tenth of the time of numpy's."""


def _log_expit_of_array(x: Any) -> Any:
    """`special.log_expit`, in place and by numpy's vectorised functions: a tenth of its time."""
    if type(x) is not np.ndarray:
        return special.log_expit(x)
    r = np.abs(x)
    np.negative(r, out=r)
    np.exp(r, out=r)
    np.log1p(r, out=r)
    return np.subtract(np.minimum(x, 0.0), r, out=r)


arrays = SimpleNamespace(
    log=np.log,
    log1p=np.log1p,
    exp=np.exp,
    expm1=np.expm1,
    sqrt=np.sqrt,
    ratio=lambda x, y: x / y,
    abs=np.abs,
    sign=np.sign,
    where=np.where,
    gammaln=special.gammaln,
    psi=special.psi,
    betaln=special.betaln,
    xlogy=special.xlogy,
    xlog1py=special.xlog1py,
    expit=special.expit,
    log_expit=_log_expit_of_array,
)
"""The same functions of arrays and boxes, by numpy and scipy."""
