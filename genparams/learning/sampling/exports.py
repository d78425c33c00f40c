"""Draws for other packages: a data frame of pandas, and the inference data of ArviZ."""

import inspect
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from genparams.dsl.likelihood.sites import Site, recording
from genparams.dsl.replay import as_in_run, held, replay_aside
from genparams.errors import ArgumentError, InvalidValue, MissingExtra
from genparams.learning.fitting.by_address import ByAddress
from genparams.learning.sampling.columns import stacked
from genparams.learning.views import frame
from genparams.structure import paths
from genparams.text import brackets, enumerated
from genparams.trace.choices import same
from genparams.trace.selection import selection_of
from genparams.trace.trace import Trace
from genparams.types import Address, Array, show

Shape = tuple[int, int]


def to_frame(
    traces: Sequence[Sequence[Trace]], values: ByAddress[Array], log_prob: Array, selection: Any
) -> Any:
    """A data frame with a row for each draw, chain after chain."""
    wanted = _wanted(values, selection)
    chains, draws = log_prob.shape
    columns: dict[str, Any] = {
        "chain": np.repeat(np.arange(chains), draws),
        "draw": np.tile(np.arange(draws), chains),
        "log_prob": np.ravel(log_prob),
    }
    for name, array in _arrays(values, [a for a in wanted if a in values], log_prob.shape).items():
        flat = array.reshape(chains * draws, *array.shape[2:])
        for at in np.ndindex(*flat.shape[1:]):
            columns[f"{name}{brackets(at)}"] = flat[:, *at]
    for address in wanted:
        if address not in values:  # not in every trace
            names = readable([*values.found, *values.unknown])
            columns[names[address]] = _with_gaps(traces, address)
    return frame(columns, index=list(range(chains * draws)))


def _wanted(values: ByAddress[Array], selection: Any) -> list[Address]:
    """The selected addresses; all that are not the same in every draw, if there is no selection."""
    known = [*values.found, *values.unknown]
    if selection is not None:
        selected = selection_of(selection, known)
        return [a for a in known if a in selected]
    return [a for a in known if a not in values or not _is_constant(values.found[a])]


def _is_constant(array: Array) -> bool:
    first = array[0, 0]
    if array.dtype != object:
        return bool(np.all(array == first))
    return all(same(first, value) for row in array for value in row)


def _with_gaps(traces: Sequence[Sequence[Trace]], address: Address) -> Array:
    """The values of a choice, None where the model does not make it."""
    every = [trace.choices for one in traces for trace in one]
    each = [c[address] if address in c else None for c in every]  # noqa: SIM401  # not a view
    column = np.empty(len(each), dtype=object)
    column[:] = each
    return column


def to_arviz(
    traces: Sequence[Sequence[Trace]],
    values: ByAddress[Array],
    stats: Mapping[str, Array],
    observed: Any,
    log_likelihood: bool,
) -> Any:
    """Inference data of ArviZ.

    Args:
        stats: The group `sample_stats`.
    """
    arviz = _arviz()
    shape = len(traces), len(traces[0])
    data = _observed(values, observed)
    if values.unknown:
        raise InvalidValue(
            f"ArviZ has no place for a choice that is not in every draw: "
            f"{next(iter(values.unknown.values()))}; use to_frame(), or values[address] of what "
            "is in every draw"
        )
    latent = [a for a in values.found if a not in data]
    groups = {
        "posterior": _arrays(values, latent, shape),
        "sample_stats": dict(stats),
        "observed_data": {
            name: array[0, 0] for name, array in _arrays(values, data, shape).items()
        },
    }
    if log_likelihood:
        groups["log_likelihood"] = log_likelihoods(traces, data, readable(values.found))
    groups = {name: group for name, group in groups.items() if group}
    if "posterior" in inspect.signature(arviz.from_dict).parameters:
        return arviz.from_dict(**groups)
    return arviz.from_dict(groups)  # from version 1 on


def _arviz() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of its next version
            return import_module("arviz")
    except ImportError as error:
        raise MissingExtra("to_arviz", "arviz", "arviz") from error


def _observed(values: ByAddress[Array], observed: Any) -> list[Address]:
    """The addresses of the data, each the same in every draw.

    Raises:
        ArgumentError: `observed` is None.
        InvalidValue: a choice at one of them moves.
        UnknownAddress: there is no such choice.
    """
    if observed is None:
        still = [a for a in values.found if _is_constant(values.found[a])]
        near = ", ".join(show(a) for a in still) if still else ""
        seems = f"; it seems that {enumerated([*map(show, still)])} was observed" if still else ""
        raise ArgumentError(
            "to_arviz takes the addresses of what was observed, for which it computes log "
            f"likelihoods; write to_arviz(observed=[{near}]){seems}"
        )
    selected = selection_of(observed, [*values.found, *values.unknown])
    for address in values.unknown:
        if address in selected:
            raise InvalidValue(f"{show(address)} was not observed: it is not in every draw")
    found = [a for a in values.found if a in selected]
    for address in found:
        if not _is_constant(values.found[address]):
            raise InvalidValue(
                f"{show(address)} was not observed: its value is not the same in every draw"
            )
    return found


def log_likelihoods(
    traces: Sequence[Sequence[Trace]], addresses: Iterable[Address], names: Mapping[Address, str]
) -> dict[str, Array]:
    """log p of each entry of the choices at some addresses, given the other choices of each draw.

    It is taken at the parameters at the time of the run of each trace.

    Returns:
        Arrays of shape (chains, draws, *batch) by name, with one number for each member of the
        batch of a choice.
    """
    wanted = {*addresses}
    if not wanted:
        return {}
    rows = [_log_probs(trace, wanted) for one in traces for trace in one]
    shape = len(traces), len(traces[0])
    return {
        names[a]: stacked([row[a] for row in rows], shape, f"the log likelihood at {show(a)}")
        for a in rows[0]
    }


def _log_probs(trace: Trace, wanted: set[Address]) -> dict[Address, Any]:
    sites: list[Site] = []
    replay_aside(trace, as_in_run(trace), choose=recording(held(trace, at_run=True), sites))
    return {site.address: site.log_probs() for site in sites if site.address in wanted}


# --- Names


def _arrays(
    values: ByAddress[Array], addresses: Iterable[Address], shape: Shape
) -> dict[str, Array]:
    """The values at some addresses by readable name; a tuple has an array for each of its parts.

    Truth values become 0 and 1, with which one can compute.
    """
    names, found = readable(values.found), {}
    for address in addresses:
        array = values.found[address]
        if array.dtype != object:
            found[names[address]] = array
            continue
        for at, _ in paths(array[0, 0]):
            name = ".".join([names[address], *map(str, at)])
            each = [_part(value, at) for row in array for value in row]
            found[name] = stacked(each, shape, name)
    return {name: a.astype(int) if a.dtype == bool else a for name, a in found.items()}


def _part(value: Any, at: Sequence[Any]) -> Any:
    for key in at:
        value = value[key]
    return value


def readable(addresses: Iterable[Address]) -> dict[Address, str]:
    """A name for each address: `mu`, `group.mu`, `steps[3].y`; as a path where two would agree."""
    addresses = list(addresses)
    plain = {address: _name(address) for address in addresses}
    count = Counter(plain.values())
    return {a: name if count[name] == 1 else show(a) for a, name in plain.items()}


def _name(address: Address) -> str:
    parts = [f"[{k}]" if isinstance(k, int) else f".{k}" for k in address]
    return "".join(parts).removeprefix(".")
