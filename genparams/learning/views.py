"""What a person looks at: tables and pictures are above this floor and are loaded when asked for.

Nothing here depends on them: a fit is complete without.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from genparams.errors import MissingExtra


def view(module: str, name: str) -> Callable[..., Any]:
    """A function of a part of genparams that shows things: `view("reporting", "summary")`."""
    return getattr(import_module(f"genparams.{module}"), name)


def frame(columns: dict[str, Any], index: Sequence[Any]) -> Any:
    """A data frame of pandas.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise MissingExtra("to_frame", "pandas", "pandas") from error
    return pandas.DataFrame(columns, index=index)
