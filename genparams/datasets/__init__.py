"""Small tables of real data, with their sources."""

from genparams.datasets.tables import coal, faithful, mtcars, oring

__all__ = ["coal", "faithful", "mtcars", "oring"]
