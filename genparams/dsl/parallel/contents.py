"""What is sent to workers, as bytes; and which part of it cannot be sent."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from genparams.dsl.parallel.parcel import packed
from genparams.dsl.parallel.tasks import Shard, Values
from genparams.errors import NotPicklable
from genparams.trace.origin import origin_here
from genparams.trace.trace import Trace
from genparams.types import show


def pack_shard(shard: Shard) -> bytes:
    """The parcel of a shard.

    Raises:
        NotPicklable: naming the part that cannot be sent.
    """
    try:
        return packed(shard)
    except MemoryError:
        raise
    except Exception as error:
        raise _first_wrong(_parts(shard), "a trace", error) from error


def pack_values(records: Sequence[Sequence[Mapping[str, Any]]], owners: Sequence[Any]) -> bytes:
    """The name and the parcel of the parameters of several functions.

    Raises:
        NotPicklable: naming the parameter whose constraint cannot be sent.
    """
    name = os.urandom(16)
    try:
        return name + packed(Values(name, [[*mine] for mine in records]))  # type: ignore[arg-type]
    except Exception as error:
        parts = (
            (_of_constraint(r["name"], f), r["constraint"])
            for f, mine in zip(owners, records, strict=True)
            for r in mine
        )
        raise _first_wrong(parts, "a parameter", error) from error


def _first_wrong(
    parts: Iterator[tuple[str, Any]], otherwise: str, error: Exception
) -> NotPicklable:
    for name, value in parts:
        try:
            packed(value)
        except Exception as why:
            return NotPicklable(name, _plain(why))
    return NotPicklable(otherwise, _plain(error))


def _plain(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _parts(shard: Shard) -> Iterator[tuple[str, Any]]:
    """The parts of a shard, with the words for them, from the inside to the outside."""
    for function in shard.owners:
        yield f"the function {function.__name__}", function
    for i, trace in enumerate(shard.traces, shard.begin):
        yield from _parts_of_trace(f"of trace {i}, of {trace.gen_fn.__name__},", trace)


def _parts_of_trace(of: str, trace: Trace) -> Iterator[tuple[str, Any]]:
    yield f"the function {trace.gen_fn.__name__}", trace.gen_fn
    for i, value in enumerate(trace.args):
        names = trace.gen_fn.argument_names
        yield f"the argument {names[min(i, len(names) - 1)]} {of}", value
    for address, value in trace.choices.items():
        yield f"the choice {show(address)} {of}", value
    for address, (function, value) in trace.calls.items():
        yield f"the function {function.__name__} at {show(address)} {of}", function
        yield f"the return value at {show(address)} {of}", value
    yield f"the return value {of}", trace.retval
    for (function, name), constraint in origin_here(trace.parameters).constraints.items():
        yield _of_constraint(name, function), constraint


def _of_constraint(name: str, function: Any) -> str:
    return f"the constraint of parameter {name!r} of {function.__name__}"
