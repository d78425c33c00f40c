"""Work in an executor: it is submitted in order, and its results are collected in order.

Work for another process travels as bytes, with the parameters of the functions that it uses. There
they are in place of the worker's own, so that the work is done at the caller's parameters. If a
worker meets a parameter that was not sent, the calling process does the work in its place.
"""

import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import getclosurevars
from types import FunctionType
from typing import Any, NamedTuple, Protocol, TypeVar

from genparams.dsl.function import GenerativeFunction
from genparams.dsl.parallel.parcel import packed, unpacked
from genparams.errors import ArgumentError, ComputedHere, NotPicklable, UninitializedParameter
from genparams.params import ParamStore, carried, lock, loose, record_of
from genparams.text import brief
from genparams.trace.trace import Trace

R = TypeVar("R")


class Work(Protocol):
    """The argument of a function that may run in another process."""

    def parts(self) -> Mapping[str, Any]:
        """What must be sent, by what it is called in an error."""
        ...


class Unknown(NamedTuple):
    """The answer of a worker that met a parameter which was not sent."""

    why: str


class Failed(NamedTuple):
    """The answer of a worker whose work has failed."""

    error: Exception


def results_of(
    executor: Any, function: Callable[[Any], R], works: Sequence[Work], what: str
) -> list[R]:
    """The results of a function of each work, in order, computed by an executor.

    If one fails, those that have not begun are cancelled.

    Args:
        executor: Has the method `submit` of `concurrent.futures.Executor`.
        what: The result of one work, for errors.

    Raises:
        ArgumentError: it is not an executor.
        NotPicklable: a work or its result cannot be sent to another process.

    Warns:
        ComputedHere: a worker met a parameter that was not sent to it.
    """
    if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
        raise ArgumentError(
            "executor is an object with the method submit, such as LocalProcesses(2), a "
            f"concurrent.futures.ProcessPoolExecutor() or a dask Client, got {brief(executor)}"
        )
    if isinstance(executor, ThreadPoolExecutor):
        return _collected([partial(executor.submit, function, work) for work in works])
    parcels = [parcel_of(function, work, what) for work in works]
    is_dask = type(executor).__module__.partition(".")[0] == "distributed"
    options = {"pure": False} if is_dask else {}
    answers = _collected([partial(executor.submit, perform, p, what, **options) for p in parcels])
    return [
        _received(unpacked(answer), function, work)
        for answer, work in zip(answers, works, strict=True)
    ]


def _collected(submissions: Iterable[Any]) -> list[Any]:
    futures: list[Any] = []
    try:
        futures += [submit() for submit in submissions]
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _received(answer: Any, function: Callable[[Any], R], work: Work) -> R:
    if isinstance(answer, Failed):
        raise answer.error
    if isinstance(answer, Unknown):
        warnings.warn(
            f"the calling process has done the work of a worker, which met {answer.why}",
            ComputedHere,
            stacklevel=6,
        )
        return function(work)
    return answer


# --- In the calling process: what is sent


def parcel_of(function: Callable[[Any], Any], work: Work, what: str) -> bytes:
    """A function, its work, and the parameters that it uses, as bytes.

    Raises:
        NotPicklable: naming the part that cannot be sent.
    """
    with lock:
        records = {
            store: [record_of(p) for p in store.values()] for store in stores_in(work.parts())
        }
    try:
        return packed((function, work, [*records], [*records.values()]))
    except Exception as error:
        for part, value in work.parts().items():
            try:
                packed(value)
            except Exception as why:
                raise NotPicklable(part, str(why)) from error
        raise NotPicklable(what, str(error)) from error


def stores_in(thing: Any) -> list[ParamStore]:
    """The stores of the functions that are found in a thing, and of those that their runs read."""
    found: dict[ParamStore, None] = {}
    for function in functions_in(thing, set()):
        if hasattr(function, "params"):
            found[function.params] = None
        found |= {store: None for store, _ in getattr(function, "seen", ())}
    return [*found]


def functions_in(thing: Any, known: set[int]) -> Iterator[Any]:
    """The generative functions in the parts of a thing, and those that its functions name."""
    if id(thing) in known:
        return
    known.add(id(thing))
    if isinstance(thing, GenerativeFunction):
        yield thing
    for part in _parts(thing):
        if isinstance(part, (GenerativeFunction, partial, FunctionType, tuple, list, dict, Trace)):
            yield from functions_in(part, known)


def _parts(thing: Any) -> Iterable[Any]:
    if isinstance(thing, (tuple, list)):
        return thing
    if isinstance(thing, dict):
        return thing.values()
    if isinstance(thing, partial):
        return thing.func, *thing.args, *thing.keywords.values()
    if isinstance(thing, Trace):
        return thing.gen_fn, *(function for function, _ in thing.parameters)
    if isinstance(thing, GenerativeFunction):
        recipe = getattr(thing, "recipe", None) or (None, ())
        return getattr(thing, "body", None), *recipe[1]
    if isinstance(thing, FunctionType) and not thing.__module__.startswith("genparams."):
        named = getclosurevars(thing)
        return *named.nonlocals.values(), *named.globals.values()
    return ()


# --- In a worker


def perform(parcel: bytes, what: str) -> bytes:
    """Do the work in a parcel, at the parameters in it; returns the answer as bytes.

    Raises:
        NotPicklable: what was sent cannot be loaded, or the result cannot be sent.
    """
    try:
        function, work, stores, records = unpacked(parcel)
    except Exception as error:
        raise NotPicklable(
            what,
            f"a worker cannot load it ({type(error).__name__}: {error}). What a notebook or a "
            "prompt defines can be sent if the package cloudpickle is installed, here and there",
        ) from None
    given = {
        store: [loose(record, store) for record in mine]
        for store, mine in zip(stores, records, strict=True)
    }
    answer = _answer(function, work, given)
    try:
        return packed(answer)
    except Exception as error:
        raise NotPicklable(f"the result of {what}", str(error)) from None


def _answer(function: Callable[[Any], Any], work: Any, given: Mapping[ParamStore, Any]) -> Any:
    with carried(given) as layer:
        try:
            result = function(work)
        except UninitializedParameter as error:
            return Unknown(f"an error: {error}")
        except Exception as error:
            return Failed(_sendable(error))
        sent = {store: {p.name for p in mine} for store, mine in given.items()}
        strange = [
            f"parameter {name!r} of {store.owner or 'theta'}"
            for store, mine in layer.items()
            for name in mine.keys() - sent.get(store, set())
        ]
    return Unknown(f"{strange[0]}, which was not sent to it") if strange else result


def _sendable(error: Exception) -> Exception:
    """An error, or one with the same words if it cannot be sent."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
