"""Functions that are static for as long as a learner runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from genparams.dsl.function import GenerativeFunction
from genparams.errors import InvalidValue
from genparams.text import brief


@contextmanager
def static_while(f: GenerativeFunction[..., Any], static: bool, backend: str) -> Iterator[None]:
    """Make a function static inside the `with` block, if `static`; one that is static stays so.

    Raises:
        ArgumentError, MissingExtra: there is no such backend here.
        InvalidValue: `static` is not True or False.
    """
    if static not in (True, False):
        raise InvalidValue(f"static is True or False, got {brief(static)}")
    if not static:
        yield
        return
    from genparams.compiled.static import StaticGradients  # only when needed

    own = f.trace_gradients
    if isinstance(own, StaticGradients):
        yield
        return
    f.trace_gradients = StaticGradients(f.__name__, backend)
    try:
        yield
    finally:
        f.trace_gradients = own
