"""How a function of numpy that is not elementwise is applied to a traced value.

A function has a rule in `rules` or `rearranging`, or the call is refused. A rule's own signature
names the arguments that it knows; a call with any other argument is refused. Lists and object
arrays that hold boxes are stacked first. What a rule returns is compared with what numpy returns
for the plain values, in shape and in structure, so that a rule cannot answer another question than
numpy does.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy

from genparams.autodiff import rearranging
from genparams.autodiff.elementwise import elementwise
from genparams.autodiff.refusals import refusal
from genparams.autodiff.rules import ADVICE, COMPARED, FLAT, LISTS, METHODS, PRIMITIVES, TEXT
from genparams.autodiff.tape import Box, holds_box, mark_shared, np, operand, raw
from genparams.errors import TracedValueError
from genparams.program.recorded import Recorded
from genparams.program.recorded import plain as concrete


def call(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Apply a numpy function of which an argument is or holds a box."""
    name = _name_of(func)
    if func in FLAT:
        return _plain(func, args, kwargs)
    if func in TEXT:
        return f"traced {_plain(func, args, kwargs)}"
    if func not in LISTS and func not in rearranging.REARRANGED:
        args = [_stacked(name, a) for a in args]
        kwargs = {k: _stacked(name, v) for k, v in kwargs.items()}
    if kwargs:
        kwargs = _given(kwargs)
    rule = PRIMITIVES.get(func)
    if rule is not None:
        return apply_rule(rule, name, args, kwargs, func)
    rule = COMPARED.get(func)
    if func in rearranging.REARRANGED:
        rule = partial(rearranging.rearrange, func)
    if rule is None:
        raise refusal(name, ADVICE.get(func, "it in functions that have a derivative rule"))
    plain = _plain(func, args, kwargs, concrete)
    return _checked(name, plain, args, apply_rule(rule, name, args, kwargs, func))


def _given(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keywords that ask for something, with `keepdims` as a truth value."""
    given = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    if "keepdims" in given:
        given["keepdims"] = bool(raw(given["keepdims"]))
    return {k: v for k, v in given.items() if v is not None or k not in ("out", "dtype")}


def call_ufunc(ufunc: numpy.ufunc, method: str, inputs: Sequence[Any], kwargs: dict) -> Any:
    """Apply a ufunc or a method of one, of which an argument is a box."""
    rule = METHODS.get((ufunc, method))
    if rule is None and method == "__call__" and not kwargs:
        return elementwise(ufunc, inputs)
    name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    if rule is None:
        raise refusal(name + (f" with {', '.join(kwargs)}" if kwargs else ""), "the plain function")
    inputs = [_stacked(name, v) for v in inputs]
    return apply_rule(rule, name, inputs, kwargs, getattr(ufunc, method))


def apply_rule(
    rule: Callable, name: str, args: Sequence[Any], kwargs: dict[str, Any], func: Callable
) -> Any:
    """Apply a rule. A call that the rule does not take is refused, or has numpy's own error."""
    try:
        return rule(*args, **kwargs)
    except TracedValueError:
        raise
    except Exception as error:
        _plain(func, args, kwargs)  # numpy's own error, if it has one
        given = "".join(f" {k}=" for k in kwargs)
        form = f"with{given}" if given else "in this form"
        raise refusal(f"{name} {form} ({error})", "a plainer form of it") from error


def _plain(
    func: Callable,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    of: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """What numpy returns for the plain values."""
    try:
        with np.errstate(all="ignore"):
            given = {k: of(_raw(v)) for k, v in kwargs.items()}
            return func(*[of(_raw(a)) for a in args], **given)
    except TypeError as error:
        raise refusal(f"{_name_of(func)} in this form ({error})", "a plainer form of it") from None
    except ValueError as error:
        if "read-only" not in str(error) and "output array" not in str(error):
            raise
        what = f"{_name_of(func)} that writes into an array"
        raise refusal(what, "it without out= or overwriting") from None


def _checked(name: str, plain: Any, args: Sequence[Any], result: Any) -> Any:
    """A rule's result, after a comparison with numpy's own result."""
    if not isinstance(plain, (tuple, list)):
        return _compared(name, plain, args, result)
    if not isinstance(result, (tuple, list)) or len(result) != len(plain):
        raise _other(name)
    parts = [_compared(name, p, args, r) for p, r in zip(plain, result, strict=True)]
    return type(plain)(*parts) if hasattr(plain, "_fields") else type(plain)(parts)


def _compared(name: str, plain: Any, args: Sequence[Any], result: Any) -> Any:
    if np.iscomplexobj(plain):
        raise refusal(f"{name} with complex values", "functions of real numbers")
    value = concrete(raw(result))
    if np.shape(value) != np.shape(plain) or not _agree(value, plain):
        raise _other(name)
    if type(result) is Box and np.asarray(plain).dtype.kind != "f":
        raise refusal(f"{name} that cuts its result to whole numbers", "numbers with a fraction")
    _note_view(plain, result, args)
    return result


def _agree(value: Any, plain: Any) -> bool:
    """Whether two values are equal up to rounding."""
    value, plain = np.asarray(value), np.asarray(plain)
    if plain.dtype.kind != "f":
        return np.array_equal(value, plain)
    with np.errstate(all="ignore"):
        far = np.abs(value - plain) > 1e-6 * (np.abs(plain) + np.max(np.abs(plain), initial=0.0))
        return not np.any(far & (value != plain)) and bool(
            np.array_equal(np.isnan(value), np.isnan(plain))
        )


def _other(name: str) -> TracedValueError:
    return refusal(f"{name} in this form", "a plainer form of it")


def _note_view(plain: Any, result: Any, args: Iterable[Any]) -> None:
    """Record as shared a result that is a view of an argument, and the argument."""
    if getattr(plain, "base", None) is None:
        return
    for a in args:
        for box in a if isinstance(a, (list, tuple)) else (a,):
            if type(box) is Box and np.may_share_memory(plain, concrete(raw(box))):
                mark_shared(result, box)


def _name_of(func: Any) -> str:
    module = getattr(func, "__module__", None) or "numpy"
    return f"{module}.{getattr(func, '__name__', func)}"


def _stacked(name: str, value: Any) -> Any:
    """A list or an object array that holds boxes as one box."""
    if type(value) is Box or not isinstance(value, (list, tuple, numpy.ndarray)):
        if isinstance(value, (complex, np.complexfloating)):
            raise refusal(f"{name} with a complex number", "real numbers")
        return value
    if isinstance(value, numpy.ndarray) and value.dtype.kind == "c":
        raise refusal(f"{name} with complex numbers", "real numbers")
    try:
        return operand(value) if holds_box(value) else value
    except (TypeError, ValueError) as error:
        raise refusal(f"{name} with such a list ({error})", "np.stack([...])") from None


def _raw(value: Any) -> Any:
    """The plain value of an argument, lists and object arrays of boxes included.

    It is read-only, because some functions of numpy write into an argument.
    """
    if type(value) is Box:
        value = raw(value)
        if type(value) is float:
            return np.float64(value)
        if type(value) is Recorded:
            return value
        value = value.view()
        value.flags.writeable = False
        return value
    if isinstance(value, (list, tuple)) and holds_box(value):
        return type(value)(map(_raw, value))
    if type(value) is numpy.ndarray and holds_box(value):
        return raw(operand(value))
    return value
