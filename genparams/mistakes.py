"""Errors for calls, attributes and names that do not exist, with what to write instead.

A function decorated with `explained` explains wrong arguments. A class decorated with `answering`
explains attributes that it does not have. A class decorated with `closed` refuses to set attributes
that it does not declare.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar, overload

from genparams.errors import (
    ArgumentError,
    GenParamsError,
    InvalidValue,
    UnknownAttribute,
    UnknownImport,
    nearest,
)
from genparams.text import brief
from genparams.vocabulary import ELSEWHERE, NAMES, OURS

P = ParamSpec("P")
R = TypeVar("R")
Class = TypeVar("Class", bound=type)


# --- Arguments


@overload
def explained(f: Class) -> Class: ...
@overload
def explained(f: Callable[P, R]) -> Callable[P, R]: ...
def explained(f: Any) -> Any:
    """A decorator of a function or a class: wrong arguments are errors that say what to write."""
    if isinstance(f, type):
        f.__init__ = explained(f.__init__)
        return f

    flags = _flags(f)

    @functools.wraps(f)
    def called(*args: Any, **named: Any) -> Any:
        if flags:
            _check_flags(f, flags, args, named)
        try:
            return f(*args, **named)
        except TypeError as error:
            at = error.__traceback__
            if at is None or at.tb_next is not None:
                raise  # from inside the function
            message = _explanation(f, args, named)
            if message is None:
                raise
            raise ArgumentError(message) from None

    return called


def _flags(f: Any) -> list[tuple[str, int]]:
    """The arguments that are true or false by default, each with its position."""
    return [
        (p.name, place if p.kind is p.POSITIONAL_OR_KEYWORD else sys.maxsize)
        for place, p in enumerate(inspect.signature(f).parameters.values())
        if type(p.default) is bool
    ]


def _check_flags(f: Any, flags: list[tuple[str, int]], args: Any, named: Any) -> None:
    """Refuse a flag such as "no" or None, which Python would read as true or false."""
    for name, place in flags:
        given = named[name] if name in named else args[place] if place < len(args) else True
        if type(given) is not bool and type(given).__name__ not in ("bool", "bool_"):
            raise InvalidValue(f"{_name_of(f)}: {name} is True or False, got {brief(given)}")


def _name_of(f: Any) -> str:
    return f.__qualname__.split(".")[-2] if f.__name__ == "__init__" else f.__name__


def _explanation(f: Any, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    signature = inspect.signature(f)
    known = [n for n in signature.parameters if n not in ("self", "cls")]
    shown = known if len(known) <= 12 else [*known[:8], "..."]
    wanted = f"{_name_of(f)}({', '.join(shown)})"
    for name in named:
        if name not in known:
            return f"{wanted} has no argument {name!r}; {instead(name, known, named)}"
    try:
        signature.bind(*args, **named)
    except TypeError as error:
        return f"{wanted} was called with wrong arguments: {error}"
    return None


def instead(name: str, known: Iterable[str], given: Iterable[str] = ()) -> str:
    """What to write in place of an argument that does not exist, as the end of a sentence."""
    known = list(known)
    if name == "scale" and "rate" in known:
        return "write rate, which is 1 / scale"
    ours = [n for n in OURS.get(name, ()) if n in known and n not in given]
    if ours:
        return f"write {(' and ' if name == 'betas' else ' or ').join(ours)}"
    return ELSEWHERE.get(name) or nearest(name, known)


def refuse_other_functions(
    what: str,
    function: Any,
    arguments: str,
    error: type[GenParamsError] = ArgumentError,
    partly: bool = False,
    **named: Any,
) -> None:
    """Refuse what is not a function of these arguments, such as "directions, theta".

    A function whose signature Python does not know is accepted.

    Args:
        partly: Whether the function may need more arguments than these.
        named: Arguments that are given by name.

    Raises:
        ArgumentError, or `error`: it is not such a function.
    """
    called = ", ".join([arguments, *named] if arguments else named)
    if not callable(function):
        raise error(f"{what} is a function of ({called}), got {brief(function)}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        bind = signature.bind_partial if partly else signature.bind
        bind(*arguments.split(", "), **named)
    except TypeError as mismatch:
        name = getattr(function, "__name__", type(function).__name__)
        plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        raise error(
            f"{what} is a function of ({called}), and {name}{inspect.Signature(plain)} is not: "
            f"{mismatch}"
        ) from None


# --- Attributes


class Absent:
    """An attribute that a class does not have; reading it raises an error with a hint.

    A class attribute, because `__getattr__` would make every access to the object slower.
    """

    def __init__(self, name: str, hint: str):
        self.name, self.hint = name, hint

    def __get__(self, thing: Any, owner: type) -> Any:
        raise UnknownAttribute(f"a {owner.__name__} has no attribute {self.name!r}; {self.hint}")


def answering(**hints: str) -> Callable[[Class], Class]:
    """A class decorator: reading a name that another library uses raises an error with a hint."""

    def answer(cls: Class) -> Class:
        for name, hint in hints.items():
            setattr(cls, name, Absent(name, hint))
        if cls.__dir__ is object.__dir__:
            cls.__dir__ = there  # type: ignore[method-assign]
        return cls

    return answer


def there(thing: Any) -> list[str]:
    """The attributes that an object has, without the absent ones."""
    cls = type(thing)
    return [
        name
        for name in object.__dir__(thing)
        if not isinstance(inspect.getattr_static(cls, name, None), Absent)
    ]


def closed(
    *fixed: str, advice: Callable[[Any, str], str] | None = None
) -> Callable[[Class], Class]:
    """A class decorator: only attributes that the class declares can be set.

    An annotation, a slot or a property with a setter declares an attribute. The attributes of a
    frozen dataclass, and the names in `fixed`, cannot be set after the object is made.

    Args:
        advice: From the object and the name to what to write instead; None for the nearest name.
    """

    def close(cls: Class) -> Class:
        names = _declared(cls) - {*fixed}
        public = [n for n in names if not n.startswith("_")]
        fields = getattr(cls, "__dataclass_params__", None)
        can_be_set = () if fields is not None and fields.frozen else names

        def refuse_or_set(self: Any, name: str, value: Any) -> None:
            if name in can_be_set:
                object.__setattr__(self, name, value)
                return
            hint = advice(self, name) if advice else nearest(name, public)
            raise UnknownAttribute(
                f"{type(self).__name__} has no attribute {name!r} that can be set; {hint}"
            )

        cls.__setattr__ = refuse_or_set  # type: ignore[method-assign]
        return cls

    return close


def _declared(cls: type) -> set[str]:
    """The annotations of a class, its slots and its properties with a setter."""
    annotated = {n for base in cls.__mro__ for n in inspect.get_annotations(base)}
    settable = {
        n
        for base in cls.__mro__
        for n, v in vars(base).items()
        if hasattr(v, "__set__") and (type(v) is not property or v.fset is not None)
    }
    return annotated | settable


# --- Names of the package


def unknown_name(name: str, known: list[str]) -> Exception:
    """The error for a name that the package does not have, called by its `__getattr__`.

    `from genparams import Adam` is an `ImportError`, and `genparams.Adam` an `AttributeError`. The
    import system asks for the name before it looks for a submodule of that name.
    """
    if name.startswith("__"):
        return AttributeError(name)
    asking = sys._getframe(2).f_globals.get("__name__")
    importing = asking == "importlib._bootstrap" and find_spec(f"genparams.{name}") is None
    kind = UnknownImport if importing else UnknownAttribute
    return kind(f"genparams has no name {name!r}; {nearest(NAMES.get(name, name), known)}")
