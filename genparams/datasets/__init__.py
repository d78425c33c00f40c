"""Small tables of real data, with their sources and their known fits."""

from genparams.datasets.nist import NISTSet, nist, nist_names
from genparams.datasets.table import ReferenceFit, Table
from genparams.datasets.tables import (
    aircondit,
    beetles,
    coal,
    dobson,
    eight_schools,
    faithful,
    horsekicks,
    linkage,
    mtcars,
    nile,
    oring,
    oring_damage,
    puromycin,
)

__all__ = ["NISTSet", "ReferenceFit", "Table"]
__all__ += ["aircondit", "beetles", "coal", "dobson", "eight_schools", "faithful", "horsekicks"]
__all__ += ["linkage", "mtcars", "nile", "nist", "nist_names", "oring", "oring_damage"]
__all__ += ["puromycin"]
