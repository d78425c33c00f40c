"""Work in an executor: it is submitted in order, and its results are collected in order."""

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from genparams.errors import ArgumentError, NotPicklable
from genparams.text import brief

R = TypeVar("R")


class Work(Protocol):
    """The argument of a function that runs in another process."""

    def parts(self) -> Mapping[str, Any]:
        """What must pickle, by what it is called in an error."""
        ...


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
    """
    if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
        raise ArgumentError(
            "executor is an object with the method submit, such as a "
            f"concurrent.futures.ProcessPoolExecutor() or a dask Client, got {brief(executor)}"
        )
    futures: list[Any] = []
    try:
        futures += [executor.submit(function, work) for work in works]
        return [future.result() for future in futures]
    except BaseException as error:
        for future in futures:
            future.cancel()
        if isinstance(error, Exception) and _is_of_pickling(error):
            raise not_picklable(works, what, error) from error
        raise


def _is_of_pickling(error: Exception) -> bool:
    """Whether an executor may have failed to send something: each Python words it differently."""
    words = str(error).lower()
    return isinstance(error, pickle.PicklingError) or (
        isinstance(error, (TypeError, AttributeError))
        and ("pickle" in words or "serializ" in words)
    )


def not_picklable(works: Iterable[Work], what: str, error: Exception) -> Exception:
    """The error that names the first part that does not pickle."""
    for work in works:
        for part, value in work.parts().items():
            try:
                pickle.dumps(value)
            except Exception as why:
                return NotPicklable(part, str(why))
    return NotPicklable(f"the result of {what}", str(error))
