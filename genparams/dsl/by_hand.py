"""Functions with gradients by hand: how these gradients are checked, and recorded on the tape."""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff import Box, unbox
from genparams.errors import GenParamsError, TracedValueError
from genparams.text import brief


def recorded(
    name: str,
    function: Callable[..., Any],
    gradients: Callable[[Sequence[Any], Any, list[int]], Sequence[Any]],
    inputs: Sequence[Any],
) -> Any:
    """`function(*inputs)`, recorded with gradients by hand on each tape of the inputs.

    Args:
        function: It is called with inputs that are on no tape.
        gradients: `gradients(values, result, places)` returns a gradient, a pullback or None for
            each input. `places` are the places of the inputs whose gradients are wanted.

    Raises:
        TracedValueError: the result depends on a traced value that is not an input.
    """
    tape, values = unbox(inputs)
    if tape is None:
        return function(*values)
    result = recorded(name, function, gradients, values)
    if type(result) is Box and result.tape is tape:
        raise TracedValueError(
            f"{name} uses a value that is being differentiated and is not one of its inputs, so "
            "that no gradient is given by this value; give it as an argument"
        )
    places = [i for i, v in enumerate(inputs) if type(v) is Box and v.tape is tape]
    each = gradients(values, result, places)
    return tape.record(result, [(inputs[i], each[i]) for i in places if each[i] is not None])


def one_for_each(
    given: Any, count: int, what: str, each: str, error: type[GenParamsError]
) -> Sequence[Any]:
    """The gradients that the user gives, if they are a tuple of `count`.

    Args:
        what: What returned them, for the error.
        each: What there is one for, for the error.
    """
    if isinstance(given, (tuple, list)) and len(given) == count:
        return given
    found = len(given) if isinstance(given, (tuple, list)) else brief(given)
    raise error(f"{what} must be a tuple of {count}, one for {each}, got {found}")
