"""What was observed beside what was fitted, for the choices of the data."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.dsl.likelihood.sites import Site
from genparams.errors import InvalidValue, UnknownAddress, nearest
from genparams.learning.fitting.model import unchanged
from genparams.learning.fitting.moments import mean_of
from genparams.learning.fitting.predictions import numbered
from genparams.learning.fitting.result import FitResult
from genparams.plotting.canvas import MARKERS
from genparams.trace.address import path
from genparams.types import Address, Array, show


@dataclass(frozen=True, slots=True)
class Series:
    """Choices that are drawn alike, and their name: empty if they are all that there is."""

    name: str
    sites: list[Site]

    @property
    def fitted(self) -> Array:
        """The mean of each number."""
        return joined(mean_at(site) for site in self.sites)

    @property
    def observed(self) -> Array:
        """Each number that was observed."""
        return joined(np.asarray(site.value, dtype=float) for site in self.sites)


def joined(arrays: Iterable[Array]) -> Array:
    """The numbers of arrays, one after the other."""
    return np.concatenate([np.ravel(a) for a in arrays])


def mean_at(site: Site) -> Array:
    """The mean of a choice.

    Raises:
        InvalidValue: it is not known, or not finite.
    """
    mean = mean_of(site)
    if not np.all(np.isfinite(mean)):
        raise InvalidValue(
            f"{site.distribution.__name__} at {show(site.address)} has no finite mean; plot_qq "
            "needs none"
        )
    return mean


def sites_of(result: FitResult, what: str, address: Any = None) -> dict[Address, Site]:
    """The choices of the data at an address or under it; those of all traces without numbers.

    Raises:
        NoModel: the result was loaded without its model.
        UnknownAddress: there is no such choice.
    """
    model = unchanged(result, what)
    sites = numbered(model.sites)
    if address is None:
        return sites
    wanted = path(address)
    n = len(wanted)
    found = {a: s for a, s in sites.items() if a[:n] == wanted}
    if not found and len(model.sites) > 1:
        found = {a: s for a, s in sites.items() if a[1 : n + 1] == wanted}
    if not found:
        known = [show(s.address) for s in sites.values()]
        raise UnknownAddress(f"there is no choice {show(wanted)}; {nearest(show(wanted), known)}")
    return found


def series_of(result: FitResult, what: str, address: Any = None) -> list[Series]:
    """The choices by their function and by their address without its numbers; all together where
    there are too many kinds to tell them apart.
    """
    found: dict[tuple[str, str], list[Site]] = {}
    sites, functions = sites_of(result, what, address), _functions(result)
    for site in sites.values():
        found.setdefault((functions[id(site)], _name(site.address)), []).append(site)
    if not 1 < len(found) <= len(MARKERS):
        return [Series("", list(sites.values()))]
    several = len({function for function, _ in found}) > 1
    return [
        Series(f"{function}: {name}" if several else name, each)
        for (function, name), each in found.items()
    ]


def _functions(result: FitResult) -> dict[int, str]:
    """The name of the function that made each choice, by its `id`."""
    model = unchanged(result, "a picture")
    traces = zip(model.likelihood.traces, model.sites, strict=True)
    return {id(site): trace.gen_fn.__name__ for trace, sites in traces for site in sites}


def _name(address: Address) -> str:
    keys = [str(key) for key in address if not isinstance(key, int | np.integer)]
    return "/".join(keys) or "choices"


def name_of(address: Address) -> str:
    """An address as the label of an axis."""
    return "/".join(map(str, address))
