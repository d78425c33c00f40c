"""Tables as dictionaries of columns.

Each table is a file of comma-separated values in this folder. The lines that begin with `#` name
its source, and the next line names its columns.
"""

import csv
from importlib.resources import files

import numpy as np

from genparams.types import Array

Table = dict[str, Array]


def mtcars() -> Table:
    """Fuel use and ten traits of 32 cars of 1973-74.

    Columns: `mpg` miles per US gallon, `cyl` cylinders, `disp` displacement in cubic inches, `hp`
    gross horsepower, `drat` rear axle ratio, `wt` weight in 1000 pounds, `qsec` seconds for a
    quarter of a mile from rest, `vs` 1 for a straight engine and 0 for a V, `am` 1 for a manual
    gearbox and 0 for an automatic, `gear` forward gears, `carb` carburettors.

    Source: Motor Trend, 1974, as printed in Henderson and Velleman, 1981, Biometrics 37, 391-411.

    >>> mtcars()["mpg"][:3]
    array([21. , 21. , 22.8])
    """
    return _read("mtcars.csv")


def oring() -> Table:
    """Distress of O-rings on the 23 space shuttle flights before Challenger's last, in order.

    Columns: `temp` degrees Fahrenheit at the joint, `distress` 1 if any of the six primary O-rings
    in the field joints had erosion or blow-by and 0 if not, `n_fail` how many of them had.

    Printed tables differ in what they count. This one counts erosion and blow-by. A table that
    counts erosion alone has no failure at 75 degrees; a table that counts damage of every kind has
    5 at 53 degrees and 1 at 75.

    Source: Dalal, Fowlkes and Hoadley, 1989, Journal of the American Statistical Association 84,
    945-957.

    >>> int(oring()["distress"].sum())
    7
    """
    return _read("oring_binary.csv")


def faithful() -> Table:
    """272 eruptions of the Old Faithful geyser.

    Columns: `eruptions` minutes that an eruption lasted, `waiting` minutes until the next began.

    Source: Haerdle, 1991, Smoothing Techniques with Implementation in S, Springer; a longer record
    is in Azzalini and Bowman, 1990, Applied Statistics 39, 357-365.

    >>> faithful()["waiting"].shape
    (272,)
    """
    return _read("faithful.csv")


def coal() -> Table:
    """191 explosions in British coal mines that killed ten or more, 1851-1962, in order.

    Columns: `date` the year with a fraction, so that its whole part is the calendar year.

    Source: Jarrett, 1979, Biometrika 66, 191-193, which corrects Maguire, Pearson and Wynn, 1952,
    Biometrika 39, 168-180.

    >>> coal()["date"].shape
    (191,)
    """
    return _read("coal.csv")


def _read(file: str) -> Table:
    text = files("genparams.datasets").joinpath(file).read_text(encoding="utf-8")
    names, *rows = csv.reader(line for line in text.splitlines() if not line.startswith("#"))
    columns = zip(*rows, strict=True)
    return {name: np.array(c, dtype=np.float64) for name, c in zip(names, columns, strict=True)}
