"""A table of data: columns by name, the fits that are known for it, and how its file is read.

A file has comma-separated values. Its lines that begin with `#` say what the data are and name
their printed source, and the next line names the columns.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np

from genparams.types import Array


@dataclass(frozen=True, slots=True)
class ReferenceFit:
    """A maximum-likelihood fit of a table, to compare a fit of the same model with.

    The numbers are for the parameters themselves, not for their logarithms: `sigma` is a standard
    deviation. They come from Newton's method, to a gradient below 1e-11.

    Args:
        model: The model, in the names of the columns and of the estimates.
        estimates: The maximum-likelihood estimates by name.
        std_errors: Their standard errors by name, from the observed information: the inverse of
            minus the Hessian of the whole log-likelihood, all parameters together. A parameter
            whose estimate is at its bound has none.
        log_likelihood: The log-likelihood at the estimates, with all constants.
        printed: What is in print about this fit, where, and by which convention if it is another.
        profile_intervals: Intervals of 95 % from the profile likelihood, by name.

    >>> mtcars().fits["line"].estimates["slope"]
    -5.344471572722677
    """

    model: str
    estimates: dict[str, float]
    std_errors: dict[str, float]
    log_likelihood: float
    printed: str
    profile_intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


class Table(dict[str, Array]):
    """A dictionary of columns, with `fits`: the reference fits of the data by name.

    A column is an array of floats, or of strings if it holds words. Each call of a loader makes a
    new table.

    >>> list(aircondit()), list(aircondit().fits)
    (['hours'], ['exponential', 'gamma'])
    """

    fits: dict[str, ReferenceFit]

    def __init__(self, columns: dict[str, Array], /, **fits: ReferenceFit):
        super().__init__(columns)
        self.fits = fits


def read(file: str, **fits: ReferenceFit) -> Table:
    """The table in a file of this folder, with its fits."""
    return Table(columns(lines(file)), **fits)


def lines(file: str) -> list[str]:
    """The lines of a file of this folder."""
    return files("genparams.datasets").joinpath(file).read_text(encoding="utf-8").splitlines()


def columns(text: Iterable[str]) -> dict[str, Array]:
    """The columns by name, from the lines that do not begin with `#`."""
    names, *rows = csv.reader(line for line in text if not line.startswith("#"))
    each = zip(*rows, strict=True)
    return {name: _array(entries) for name, entries in zip(names, each, strict=True)}


def _array(entries: tuple[str, ...]) -> Array:
    """Entries as floats, or as strings if the first is a word."""
    is_word = entries[0].isalpha()
    return np.array(entries) if is_word else np.array(entries, dtype=np.float64)
