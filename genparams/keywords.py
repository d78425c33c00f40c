"""Calls with wrong arguments: what Python says of them, and what to write instead.

The names that people bring from neighbouring libraries are listed here once, with ours.
"""

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
from genparams.tree import brief

P = ParamSpec("P")
R = TypeVar("R")
Class = TypeVar("Class", bound=type)

OURS: dict[str, tuple[str, ...]] = {
    "T_max": ("steps",),
    "a": ("alpha", "shape", "low"),
    "alpha": ("learning_rate", "weight_decay", "rho", "shape"),
    "atol": ("tolerance",),
    "b": ("beta", "high", "scale"),
    "b1": ("beta1",),
    "b2": ("beta2",),
    "batch": ("args",),
    "beta": ("beta1", "rate", "scale"),
    "betas": ("beta1", "beta2"),
    "bounds": ("constraint",),
    "c": ("shape",),
    "chol": ("scale_tril",),
    "choices": ("constraints",),
    "cholesky": ("scale_tril",),
    "clip": ("clip_step",),
    "clip_value": ("clip_step",),
    "clipvalue": ("clip_step",),
    "comp_dists": ("components",),
    "component_distribution": ("components",),
    "concentration": ("shape", "alpha", "kappa"),
    "concentration0": ("beta",),
    "concentration1": ("alpha",),
    "covariance_matrix": ("cov",),
    "data": ("constraints",),
    "decay_steps": ("steps",),
    "default": ("init",),
    "distribution": ("base",),
    "dof": ("df",),
    "end_value": ("end",),
    "eps": ("epsilon",),
    "eta": ("learning_rate", "step_size"),
    "eta_min": ("end",),
    "factor": ("scale",),
    "gamma": ("rate", "scale"),
    "gate": ("prob_zero",),
    "gradient": ("grad", "retval_grad"),
    "init": ("value",),
    "init_value": ("init", "value"),
    "initial": ("init", "value"),
    "initial_value": ("init", "value"),
    "k": ("shape",),
    "key": ("rng",),
    "l2": ("weight_decay",),
    "lam": ("rate",),
    "lambda_": ("weight_decay", "rate"),
    "lb": ("low",),
    "learning_rate": ("step_size", "step_size_init"),
    "limit": ("low", "high"),
    "loc": ("mu", "mean", "low"),
    "lower": ("low",),
    "lr": ("learning_rate", "step_size", "step_size_init"),
    "mean": ("mu", "loc"),
    "max": ("high",),
    "maxval": ("high",),
    "min": ("low",),
    "min_lr": ("minimum",),
    "minval": ("low",),
    "mode": ("maximize",),
    "momentum": ("rho",),
    "mu": ("loc", "mean"),
    "n": ("r",),
    "nu": ("df",),
    "num_samples": ("size",),
    "obs": ("constraints",),
    "observations": ("constraints",),
    "p": ("probs", "weights"),
    "psi": ("prob_zero",),
    "pvals": ("probs",),
    "random_state": ("rng",),
    "rate": ("learning_rate", "step_size"),
    "rho": ("decay", "beta1"),
    "rtol": ("tolerance",),
    "s": ("sigma", "scale"),
    "sample_shape": ("size",),
    "scale": ("std", "high"),
    "sd": ("std", "scale", "sigma"),
    "seed": ("rng",),
    "shape": ("size",),
    "sigma": ("std", "scale"),
    "std": ("scale", "sigma"),
    "stddev": ("std", "scale", "sigma"),
    "step": ("step_size", "learning_rate"),
    "step_size": ("learning_rate", "step_size_init"),
    "stepsize": ("step_size", "learning_rate"),
    "support": ("constraint",),
    "total_count": ("n", "r"),
    "transform": ("constraint", "bijection"),
    "transition_steps": ("steps",),
    "ub": ("high",),
    "upper": ("high",),
    "value": ("init",),
    "w": ("weights",),
    "wd": ("weight_decay",),
    "weight": ("scale",),
    "x0": ("loc",),
}
"""What neighbouring libraries call an argument, and what it may be called here."""


ELSEWHERE = {
    "amsgrad": "the rule AMSGrad has it",
    "centered": "the rules are RMSProp and scale_by_stddev",
    "lr": "the learning rate belongs to the rule, as in ADAM(0.01)",
    "maximize": "every rule climbs; ParamUpdate(rule, f, minimize=True) does not",
    "momentum": "the rule Momentum has it",
    "nesterov": "the rules are Nesterov and NAdam",
    "seed": "sample(..., rng=seed), simulate and generate take one",
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


NAMES = {
    "flip": "bernoulli",
    "multivariate_normal": "mvnormal",
    "negative_binomial": "neg_binomial",
    "plate": "map_",
    "scan": "unfold",
    "vmap": "map_",
}
"""What neighbouring libraries call something, and what it is called here."""
