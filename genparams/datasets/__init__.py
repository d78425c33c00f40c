"""Small tables of real data, with the places where they are printed."""

from genparams.datasets.tables import coal, faithful, mtcars, oring

__all__ = ["coal", "faithful", "mtcars", "oring"]
