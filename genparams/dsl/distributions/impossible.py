"""Why a value has no finite log density, in words."""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff import np, raw
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import at_index, first_index, in_words

Index = tuple[int, ...]
Entry = Callable[[Index, int], str]
"""`entry(at, count)`: the entry of a value at an index of the batch, the first of `count`."""


def why_impossible(name: str, support: str, log_probs: Any, entry: Entry) -> str:
    """How many entries have no finite log density, the first of them, and the support."""
    log_probs = np.asarray(log_probs)
    bad = ~np.isfinite(log_probs)
    about = f"the support of {name} is {support}"
    if not bad.any():
        return f"every entry has a finite log probability, but their sum overflows; {about}"
    at, count = first_index(bad)
    first = entry(at, count)
    levels = " or ".join(sorted({repr(float(v)) for v in log_probs[bad]}))
    if not log_probs.ndim:
        return f"{first}, and its log probability is {levels}; {about}"
    have = "entries has" if count == 1 else "entries have"
    return f"{count} of {log_probs.size} {have} log probability {levels}: {first}; {about}"


def entry_of(declared: Declaration, x: Any, args: Sequence[Any]) -> Entry:
    """The entries of a value in words, with what is wrong with each and the arguments there."""
    shape = np.shape(x)
    axes = len(shape) - declared.kind.rank

    def entry(at: Index, count: int) -> str:
        one = np.asarray(x)[at[len(at) - axes :]]
        there = arguments_at(declared, args, at)
        if declared.fault is None:
            subject = "the first" if at else "the value"
            return f"{subject} is {in_words(one)}{at_index(at)}{there}"
        subject = "the value"
        if at:
            subject = f"row {at[0]}" if len(at) == 1 else f"the entry{at_index(at)}"
        subject = f"the first, {subject}," if count > 1 else subject
        return f"{subject} {declared.fault(one)}{there}"

    return entry


def arguments_at(declared: Declaration, args: Sequence[Any], at: Index) -> str:
    """The first few arguments at an index of the batch, as the end of a clause."""
    parts = []
    for a, (name, domain) in zip(map(raw, args), declared.arguments.items(), strict=True):
        shape = np.shape(a)
        batch = shape[: len(shape) - domain.rank]
        own = at[len(at) - len(batch) :] if batch else ()
        own = tuple(0 if n == 1 else i for i, n in zip(own, batch, strict=False))
        if len(own) == len(batch) and domain.rank < 2:
            parts.append(f"{name} = {in_words(np.asarray(a)[own])}")
    return f", where {', '.join(parts[:4])}" if parts else ""
