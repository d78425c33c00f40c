"""Small tables of real data, with the places where they are printed."""

from genparams.datasets.tables import faithful, mtcars, oring

__all__ = ["faithful", "mtcars", "oring"]
