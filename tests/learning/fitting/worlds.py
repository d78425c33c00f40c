"""Models checked against the world, each written as a user of the public names writes it.

Printed fits are in `genparams.datasets`; the others come from `world_references`.
"""

from world import World
from worlds_latent import latent
from worlds_printed import in_arrays, nist_sets, tables
from worlds_regressions import regressions

WORLDS: list[World] = [*tables(), in_arrays(), *nist_sets(), *regressions(), *latent()]
