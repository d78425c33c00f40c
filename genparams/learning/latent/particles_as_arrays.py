"""Particles as arrays: the first axis of every choice runs over the particles."""

from typing import Any

import numpy as np

from genparams.autodiff import raw, shape_of
from genparams.dsl.likelihood.sites import Site
from genparams.errors import ShapeError
from genparams.structure import map_leaves
from genparams.types import Address, Array, show


def plain(site: Site) -> Site:
    """A choice without boxes."""
    return Site(site.address, site.distribution, site.args, map_leaves(raw, site.value))


def log_probs_by_particle(site: Site, particles: int) -> Array:
    """log p of one choice for each particle: summed over its other axes.

    Raises:
        ShapeError: the choice has no axis of particles.
    """
    each = np.asarray(plain(site).log_probs())
    refuse_without_axis(site.address, each.shape, particles)
    return each.reshape(particles, -1).sum(axis=1)


def over_entries(by_particle: Array, shape: tuple[int, ...]) -> Array:
    """A number for each particle as one for each entry of a choice."""
    return np.broadcast_to(by_particle.reshape(-1, *(1,) * (len(shape) - 1)), shape)


def entries(site: Site, particles: int) -> Any:
    """log p of each entry of a choice, as a box on the tape of its arguments."""
    each = site.log_probs()
    refuse_without_axis(site.address, shape_of(each), particles)
    return each


def refuse_without_axis(address: Address, shape: tuple[int, ...], particles: int) -> None:
    """Refuse a choice that does not have the particles on its first axis."""
    if shape[:1] != (particles,):
        rest = "" if not shape else f" {', '.join(map(str, shape))}"
        raise ShapeError(
            f"the choice at {show(address)} has shape {shape}, without the {particles} particles "
            f"on its first axis; with vectorized=True write size=({particles},{rest}), or compute "
            "its arguments from choices that have this axis"
        )
