"""Calls with wrong arguments: what Python says of them, and what to write instead.

The names that people bring from neighbouring libraries are listed here once, with ours.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from opcode import opmap
from typing import Any, ParamSpec, TypeVar, overload

from genparams.errors import ArgumentError, UnknownAttribute, UnknownImport, nearest

P = ParamSpec("P")
R = TypeVar("R")
Class = TypeVar("Class", bound=type)

OURS: dict[str, tuple[str, ...]] = {
    "alpha": ("learning_rate", "weight_decay", "rho", "decay"),
    "b1": ("beta1",),
    "b2": ("beta2",),
    "batch": ("args",),
    "betas": ("beta1", "beta2"),
    "bounds": ("constraint",),
    "choices": ("constraints",),
    "clip": ("clip_step",),
    "clip_value": ("clip_step",),
    "clipvalue": ("clip_step",),
    "data": ("constraints",),
    "default": ("init",),
    "eps": ("epsilon",),
    "eta": ("learning_rate", "step_size"),
    "factor": ("scale",),
    "gradient": ("grad", "retval_grad"),
    "init": ("value",),
    "initial": ("init", "value"),
    "initial_value": ("init", "value"),
    "key": ("rng",),
    "l2": ("weight_decay",),
    "lambda_": ("weight_decay",),
    "learning_rate": ("step_size", "step_size_init"),
    "lr": ("learning_rate", "step_size", "step_size_init"),
    "momentum": ("rho",),
    "obs": ("constraints",),
    "observations": ("constraints",),
    "random_state": ("rng",),
    "rate": ("learning_rate", "step_size"),
    "rho": ("decay", "beta1"),
    "seed": ("rng",),
    "step": ("step_size", "learning_rate"),
    "step_size": ("learning_rate", "step_size_init"),
    "stepsize": ("step_size", "learning_rate"),
    "support": ("constraint",),
    "transform": ("constraint",),
    "value": ("init",),
    "wd": ("weight_decay",),
    "weight": ("scale",),
}
"""What neighbouring libraries call an argument, and what it may be called here."""


ELSEWHERE = {
    "amsgrad": "the rule AMSGrad has it",
    "centered": "the rules are RMSProp and scale_by_stddev",
    "maximize": "every rule climbs; ParamUpdate(rule, f, minimize=True) does not",
    "momentum": "the rule Momentum has it",
    "nesterov": "the rules are Nesterov and NAdam",
    "weight_decay": "the rule AdamW has it, and chain(rule, add_decayed_weights(...))",
}
"""Where an argument of neighbouring libraries is, that the function at hand does not have."""


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

    @functools.wraps(f)
    def called(*args: Any, **named: Any) -> Any:
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


def _explanation(f: Any, args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    signature = inspect.signature(f)
    known = [n for n in signature.parameters if n != "self"]
    name = f.__qualname__.split(".")[-2] if f.__name__ == "__init__" else f.__name__
    wanted = f"{name}({', '.join(known)})"
    for name in named:
        if name not in known:
            ours = [n for n in OURS.get(name, ()) if n in known and n not in named]
            hint = f"write {' and '.join(ours[: 2 if name == 'betas' else 1])}" if ours else ""
            hint = hint or ELSEWHERE.get(name) or nearest(name, known)
            return f"{wanted} has no argument {name!r}; {hint}"
    try:
        signature.bind(*args, **named)
    except TypeError as error:
        return f"{wanted} was called with wrong arguments: {error}"
    return None


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


NAMES = {
    "flip": "bernoulli",
    "multivariate_normal": "mvnormal",
    "negative_binomial": "neg_binomial",
    "plate": "map_",
    "scan": "unfold",
    "vmap": "map_",
}
"""What neighbouring libraries call something, and what it is called here."""
