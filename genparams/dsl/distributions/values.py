"""Values of a declared distribution: given from outside, drawn, and why they have no density."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff import Box, np, raw, shape_of
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import at_index, first_index, in_words, real_number
from genparams.errors import DistributionError, InvalidValue, ShapeError


def coerce_value(declared: Declaration, value: Any, args: Sequence[Any], size: Any) -> Any:
    """A value in the type and the shape of a draw, read-only."""
    if type(value) is float and declared.kind is real_number and size is None:
        for a in args:
            if type(a) is not float and shape_of(a):
                break
        else:
            if value == value:
                return value
    value = declared.kind.convert(value)
    batch = declared.batch_shape(args, size)
    shape = np.shape(value)
    event = declared.event_shape(args)
    if shape != batch + event:
        wanted = shape[: len(shape) - len(event)]
        hint = f"; for independent draws give the call size={wanted}"
        if declared.name.isidentifier():
            hint = f"; for independent draws write {declared.name}(..., size={wanted})"
        raise ShapeError(
            f"a value of {declared.name} has shape {batch + event} here, got {shape}"
            f"{hint if size is None and len(shape) > len(batch + event) else ''}"
        )
    if shape:
        value.setflags(write=False)
    return value


def broadcast_value(declared: Declaration, x: Any, args: Sequence[Any], size: Any) -> Any:
    """A value outside a model, broadcast with the arguments unless there is a size."""
    if type(x) is not Box and (
        size is not None or (isinstance(x, (int, float)) and not any(map(shape_of, args)))
    ):
        return coerce_value(declared, x, args, size)
    value = x if type(x) is Box else declared.kind.convert(x)
    shape, event = shape_of(value), declared.event_shape(args)
    batch = declared.batch_shape(args, size)
    front = shape[: len(shape) - len(event)]
    try:
        if shape[len(front) :] != event:
            raise ValueError
        full = np.broadcast_shapes(batch, front) + event
        if size is not None and full != batch + event:
            raise ValueError
    except ValueError:
        raise ShapeError(
            f"a value of {declared.name} has shape {batch + event} here, got {shape}, "
            "which does not broadcast"
        ) from None
    return value if shape == full else np.broadcast_to(value, full)


def draw_value(declared: Declaration, rng: Any, args: Sequence[Any], size: Any) -> Any:
    """A draw for arguments in order."""
    if size is None and declared.draws_floats:
        for a in args:
            if type(a) is not float:
                break
        else:
            return _draw_number(declared, rng, args)
    args = [raw(a) for a in args]
    batch = declared.batch_shape(args, size)
    with np.errstate(all="ignore"):
        declared.check(args)
        declared.check_lazy(args)
        value = _drawn(declared, rng, args, batch)
        if isinstance(value, np.ndarray) and value.ndim:
            if value.dtype.kind == "f" and not math.isfinite(value.sum()):
                _check_finite(declared, value, args)
            value.setflags(write=False)
            return value
    value = declared.kind.convert(value)
    if value - value != 0:
        _check_finite(declared, value, args)
    return value


def draw_to_be_scored(declared: Declaration, rng: Any, args: Sequence[Any], size: Any) -> Any:
    """A draw whose log density is computed next, and checks the arguments: the same draw, sooner.

    Args:
        args: Numbers and arrays without boxes.
    """
    if not declared.kind.continuous or not any(type(a) is np.ndarray for a in args):
        return draw_value(declared, rng, args, size)
    try:
        value = declared.draw(rng, *args, size=declared.batch_shape(args, size))
    except (ValueError, ArithmeticError):
        return draw_value(declared, rng, args, size)  # the error of the check, if it has one
    if type(value) is np.ndarray and value.ndim and math.isfinite(value.sum()):
        value.setflags(write=False)
        return value
    declared.check(args)
    declared.check_lazy(args)
    value = declared.kind.convert(value)
    _check_finite(declared, value, args)
    return value


def _draw_number(declared: Declaration, rng: Any, args: Sequence[Any]) -> Any:
    """One number by arguments that are single numbers, without numpy's arrays."""
    for i, test in declared.all_tests:
        if not test(args[i]):
            declared.check(args)
            declared.check_lazy(args)
    if declared.fit is not None:
        declared.fit(*args)
    value = _drawn(declared, rng, args, None)
    if type(value) is not float or declared.kind is not real_number:
        value = declared.kind.convert(value)
    if value - value != 0:
        _check_finite(declared, value, args)
    return value


def _drawn(declared: Declaration, rng: Any, args: Sequence[Any], size: Any) -> Any:
    try:
        return declared.draw(rng, *args, size=size)
    except InvalidValue:
        raise
    except (ValueError, ArithmeticError) as error:
        raise DistributionError(
            f"{declared.name} cannot be drawn{arguments_at(declared, args, ())}: {error}"
        ) from None


def _check_finite(declared: Declaration, value: Any, args: Sequence[Any]) -> None:
    value = np.asarray(value)
    bad = ~np.isfinite(value)
    if bad.any():
        at, _ = first_index(bad)
        here = at[: value.ndim - declared.kind.rank]
        raise DistributionError(
            f"a draw of {declared.name} is {float(value[at])}{at_index(at)}"
            f"{arguments_at(declared, args, here)}: it overflows"
        )


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
