"""Ten problems of nonlinear least squares with certified answers, from NIST.

The file of a set has two starts, a certified value and a standard deviation for each parameter in
its header. The models are here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.datasets.table import columns, lines
from genparams.errors import InvalidValue, nearest
from genparams.mistakes import explained
from genparams.types import Array

Model = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class NISTSet:
    """A nonlinear regression of y on x, with the certified answer of least squares.

    `model(x, b)` is the mean of y. It is written in functions of numpy and takes traced
    parameters, so that a body may say `normal(data.model(data.x, param("b")), sigma) @ "y"`.

    The answer is by the conventions of least squares: `residual_std` and `std_devs` divide by the
    degrees of freedom, and `std_devs` come from the expected information. Maximum likelihood has
    the same `certified` parameters, sigma^2 = `sum_of_squares` / n, and smaller standard errors:
    those of the expected information are `std_devs` sqrt(`degrees_of_freedom` / n).

    Args:
        columns: x and y by the names that the source gives them.
        starts: Two vectors of parameters to begin from, the first usually farther away.
        certified: The parameters of least squares, to 11 digits.
        std_devs: Their standard deviations, to 11 digits.
        sum_of_squares: The sum of squared residuals at `certified`, to 11 digits.
        residual_std: The root of `sum_of_squares` / `degrees_of_freedom`, to 11 digits.
    """

    name: str
    columns: dict[str, Array]
    model: Model
    starts: tuple[Array, Array]
    certified: Array
    std_devs: Array
    sum_of_squares: float
    residual_std: float

    @property
    def degrees_of_freedom(self) -> int:
        """Observations less parameters. For Rat43 NIST prints 9 and divides by 11, as here."""
        return len(self.y) - len(self.certified)

    @property
    def x(self) -> Array:
        """The predictor, which is the first column."""
        return next(iter(self.columns.values()))

    @property
    def y(self) -> Array:
        """The response, which is the last column."""
        return next(reversed(self.columns.values()))


@explained
def nist(name: str) -> NISTSet:
    """One of the sets that `nist_names()` lists, with its model and its certified answer.

    Source: National Institute of Standards and Technology, Statistical Reference Datasets,
    nonlinear regression, https://www.itl.nist.gov/div898/strd/. The file of each set names where
    its data come from.

    Raises:
        InvalidValue: There is no set of that name.

    >>> data = nist("Misra1a")
    >>> residuals = data.y - data.model(data.x, data.certified)
    >>> round(float((residuals**2).sum()), 9), round(data.sum_of_squares, 9)
    (0.124551389, 0.124551389)
    """
    if name not in MODELS:
        raise InvalidValue(f"nist has no set {name!r}; {nearest(str(name), MODELS)}")
    text = lines(f"nist_sets/{name}.csv")
    facts = dict(line[2:].split(": ", 1) for line in text if ": " in line)
    rows = [facts[key].split(", ") for key in facts if key[0] == "b" and key[1:].isdigit()]
    start1, start2, certified, std_devs = np.array(rows, dtype=np.float64).T.copy()
    return NISTSet(
        name,
        columns(text),
        MODELS[name],
        (start1, start2),
        certified,
        std_devs,
        float(facts["sum of squares"]),
        float(facts["residual std"]),
    )


def nist_names() -> list[str]:
    """The names that `nist` takes.

    >>> nist_names()[:3]
    ['Misra1a', 'Misra1b', 'Chwirut2']
    """
    return list(MODELS)


# --- The means of the response


def _misra1a(x: Any, b: Any) -> Any:
    return b[0] * -np.expm1(-b[1] * x)


def _misra1b(x: Any, b: Any) -> Any:
    return b[0] * (1.0 - (1.0 + b[1] * x / 2.0) ** -2)


def _chwirut(x: Any, b: Any) -> Any:
    return np.exp(-b[0] * x) / (b[1] + b[2] * x)


def _dan_wood(x: Any, b: Any) -> Any:
    return b[0] * x ** b[1]


def _lanczos(x: Any, b: Any) -> Any:
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def _gauss(x: Any, b: Any) -> Any:
    first, second = (x - b[3]) / b[4], (x - b[6]) / b[7]
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-(first**2)) + b[5] * np.exp(-(second**2))


def _kirby(x: Any, b: Any) -> Any:
    return (b[0] + b[1] * x + b[2] * x**2) / (1.0 + b[3] * x + b[4] * x**2)


def _enso(x: Any, b: Any) -> Any:
    year, slow, fast = (2.0 * np.pi * x / period for period in (12.0, b[3], b[6]))
    return (
        b[0]
        + b[1] * np.cos(year)
        + b[2] * np.sin(year)
        + b[4] * np.cos(slow)
        + b[5] * np.sin(slow)
        + b[7] * np.cos(fast)
        + b[8] * np.sin(fast)
    )


def _eckerle(x: Any, b: Any) -> Any:
    return b[0] / b[1] * np.exp(-0.5 * ((x - b[2]) / b[1]) ** 2)


def _rat43(x: Any, b: Any) -> Any:
    """b1 / (1 + exp(b2 - b3 x))^(1 / b4); exp(b2 - b3 x) alone may overflow."""
    return b[0] * np.exp(-np.logaddexp(0.0, b[1] - b[2] * x) / b[3])


MODELS: dict[str, Model] = {
    "Misra1a": _misra1a,
    "Misra1b": _misra1b,
    "Chwirut2": _chwirut,
    "DanWood": _dan_wood,
    "Lanczos3": _lanczos,
    "Gauss1": _gauss,
    "Kirby2": _kirby,
    "ENSO": _enso,
    "Eckerle4": _eckerle,
    "Rat43": _rat43,
}
"""The mean of the response by the name of the set, from the easiest sets to the hardest."""
