"""Calls, attributes and names that do not exist: errors that say what to write instead."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from opcode import opmap
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


@overload
def explained(f: Class) -> Class: ...
@overload
def explained(f: Callable[P, R]) -> Callable[P, R]: ...
def explained(f: Any) -> Any:
    """A function whose wrong arguments are an `ArgumentError` that says what to write.

    Of a class, `__init__` is made such a function.
    """
    if isinstance(f, type):
        f.__init__ = explained(f.__init__)
        return f

    flags = _flags(f)

    @functools.wraps(f)
    def called(*args: Any, **named: Any) -> Any:
        if flags:
            _refuse_no_flags(f, flags, args, named)
        try:
            return f(*args, **named)
        except TypeError as error:
            at = error.__traceback__
            if at is None or at.tb_next is not None:
                raise  # the function did start
            message = _explanation(f, args, named)
            if message is None:
                raise
            raise ArgumentError(message) from None

    return called


def _flags(f: Any) -> list[tuple[str, int]]:
    """The arguments that are true or false by default, and the places where they may be given."""
    return [
        (p.name, place if p.kind is p.POSITIONAL_OR_KEYWORD else sys.maxsize)
        for place, p in enumerate(inspect.signature(f).parameters.values())
        if type(p.default) is bool
    ]


def _refuse_no_flags(f: Any, flags: list[tuple[str, int]], args: Any, named: Any) -> None:
    """Refuse a flag such as "no" or None, which Python would take for true or false."""
    for name, place in flags:
        given = named[name] if name in named else args[place] if place < len(args) else True
        if type(given) is not bool and type(given).__name__ not in ("bool", "bool_"):
            raise InvalidValue(f"{_name_of(f)}: {name} is True or False, got {brief(given)}")


def _name_of(f: Any) -> str:
    return f.__qualname__.split(".")[-2] if f.__name__ == "__init__" else f.__name__


def _explanation(f: Any, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    signature = inspect.signature(f)
    known = [n for n in signature.parameters if n not in ("self", "cls")]
    wanted = f"{_name_of(f)}({', '.join(known)})"
    for name in named:
        if name not in known:
            return f"{wanted} has no argument {name!r}; {instead(name, known, named)}"
    try:
        signature.bind(*args, **named)
    except TypeError as error:
        return f"{wanted} was called with wrong arguments: {error}"
    return None


def instead(name: str, known: Iterable[str], given: Iterable[str] = ()) -> str:
    """What to write for an argument that is not there, as the end of a sentence."""
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

    A function whose arguments Python does not know is let pass.

    Args:
        partly: Whether the function may need more arguments than these.
        named: Arguments that it is given by name.

    Raises:
        ArgumentError, or `error`: it is not.
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


class Absent:
    """An attribute that a class does not have, and what to write instead.

    It is one attribute among others, where `__getattr__` makes every access to the object slower.
    """

    def __init__(self, instead: str):
        self.instead = instead

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, thing: Any, owner: type) -> Any:
        raise UnknownAttribute(f"a {owner.__name__} has no attribute {self.name!r}; {self.instead}")


def answering(**instead: str) -> Callable[[Class], Class]:
    """A class decorator: names that people bring from elsewhere say what to write instead."""

    def answer(cls: Class) -> Class:
        for name, hint in instead.items():
            absent = Absent(hint)
            absent.__set_name__(cls, name)
            setattr(cls, name, absent)
        if cls.__dir__ is object.__dir__:
            cls.__dir__ = there  # type: ignore[method-assign]
        return cls

    return answer


def there(thing: Any) -> list[str]:
    """The attributes that an object has."""
    cls = type(thing)
    return [
        name
        for name in object.__dir__(thing)
        if not isinstance(inspect.getattr_static(cls, name, None), Absent)
    ]


def unknown_name(name: str, known: list[str]) -> Exception:
    """The error for a name that the package does not have, asked for two frames above.

    `from genparams import Adam` is an error of importing, `genparams.Adam` one of an attribute.
    """
    if name.startswith("__"):
        return AttributeError(name)
    said = f"genparams has no name {name!r}; {nearest(NAMES.get(name, name), known)}"
    code, at = sys._getframe(2).f_code.co_code, sys._getframe(2).f_lasti
    if code[at] == opmap["IMPORT_FROM"]:
        return UnknownImport(said)
    return UnknownAttribute(said)


def closed(
    *fixed: str, advice: Callable[[Any, str], str] | None = None
) -> Callable[[Class], Class]:
    """A class decorator: the objects take only attributes that the class declares.

    An attribute is declared by an annotation or a slot. The attributes of a frozen dataclass, and
    the names in `fixed`, are set when the object is made and never again.

    Args:
        advice: From the object and the name to what to write instead; None for the nearest name.
    """

    def close(cls: Class) -> Class:
        fields = getattr(cls, "__dataclass_params__", None)
        frozen = fields is not None and fields.frozen
        declared = {n for base in cls.__mro__ for n in inspect.get_annotations(base)}
        set_by_class = {
            n
            for base in cls.__mro__
            for n, v in vars(base).items()
            if (hasattr(v, "__set__") if type(v) is not property else v.fset is not None)
        }
        known = (declared | set_by_class) - {*fixed}
        public = sorted(n for n in known if not n.startswith("_"))

        def refuse_or_set(self: Any, name: str, value: Any) -> None:
            if name in known and not frozen:
                object.__setattr__(self, name, value)
                return
            what = f"{type(self).__name__} has no attribute {name!r} that can be set"
            raise UnknownAttribute(
                f"{what}; {advice(self, name) if advice else nearest(name, public)}"
            )

        cls.__setattr__ = refuse_or_set  # type: ignore[method-assign]
        return cls

    return close
