"""Combinators: generative functions made of others, each a few lines of the language.

A combinator owns no parameters: a kernel's parameters belong to the kernel, and
`ParamUpdate(rule, model, callees=True)` trains them. Gradients flow through arguments, states and
returned values as through any nested call.
"""

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import repeat
from numbers import Integral
from typing import Any, Concatenate

import numpy as np

from genparams.dsl.function import GenerativeFunction
from genparams.dsl.gen import GenFunction, tuple_of_names
from genparams.errors import ArgumentError, ShapeError, nearest
from genparams.mistakes import explained
from genparams.text import brief
from genparams.types import P, R


def _combinator(make: Callable[P, R]) -> Callable[P, R]:
    """A combinator that makes one function of the same parts, however often it is asked.

    So `unfold(kernel)` in the body of a model is the same call in every run. The first part keeps
    the function, which pickles by its parts.
    """

    explaining: Callable[..., Any] = explained(make)

    @functools.wraps(make)
    def combined(*parts: Any, **named: Any) -> Any:
        given = [*parts, *named.values()]
        inner = [
            p for part in given for p in (part.values() if isinstance(part, Mapping) else [part])
        ]
        owner = next((p for p in inner if isinstance(p, GenerativeFunction)), None)
        if owner is None:
            return explaining(*parts, **named)
        key = (make.__name__, tuple(map(_key, given)), tuple(named))
        known = vars(owner).setdefault("combined", {})
        try:
            found = known.get(key)
        except TypeError:  # a part that cannot be one, of which it says what is wrong
            return explaining(*parts, **named)
        if found is None:
            found = known[key] = explaining(*parts, **named)
            found.recipe = (combined, parts, named)
        return found

    return combined


def _key(part: Any) -> Any:
    if isinstance(part, Mapping):
        return tuple(part.items())
    return tuple(part) if isinstance(part, (list, set)) else part


@_combinator
def map_(
    kernel: GenerativeFunction[..., R],
    shared: Iterable[str] = (),
    arg_grads: Iterable[str] | None = None,
) -> GenFunction[..., list[R]]:
    """Run `kernel` once for each entry of its arguments; return the list of what it returned.

    Entry i is at address i; `ChoiceMap.rows` gives an array its addresses. Arguments are arrays or
    lists of one length.

    Args:
        shared: The names of the kernel's arguments that every call gets whole.
        arg_grads: As in `gen`; the kernel's, unless given.

    Raises:
        ArgumentError: the kernel is not a generative function, or has no argument of a shared name.
        ShapeError: the mapped arguments have different lengths, or there are none.
    """
    _refuse_other_than(GenerativeFunction, "map_", kernel)
    whole = tuple_of_names("shared", shared)
    names = kernel.argument_names
    if isinstance(kernel, GenFunction):
        signature = kernel.signature
    else:
        signature = _signature(names) if arg_grads else None
    for name in whole:
        if name not in names:
            raise ArgumentError(
                f"{kernel.__name__} has no argument {name!r}; {nearest(name, names)}"
            )

    def mapped(*args: Any, **named: Any) -> list[Any]:
        places = names + names[-1:] * (len(args) - len(names))  # the rest belongs to *args
        given = [*zip(places, args, strict=False), *named.items()]
        lengths = [(name, _length(name, a)) for name, a in given if name not in whole]
        if len({length for _, length in lengths}) != 1:
            found = ", ".join(f"{name}: {length}" for name, length in lengths)
            raise ShapeError(
                f"map_({kernel.__name__}) needs mapped arguments of one length, got "
                f"{found or 'shared ones only'}"
            )
        columns = [repeat(a) if name in whole else a for name, a in given]
        rows = enumerate(zip(*columns, strict=False))
        if not named:
            return [kernel(*xs) @ i for i, xs in rows]
        n = len(args)
        return [kernel(*xs[:n], **dict(zip(named, xs[n:], strict=True))) @ i for i, xs in rows]

    if arg_grads is None:
        arg_grads = kernel.arg_grads if isinstance(kernel, GenFunction) else ()
    return _named(mapped, f"map_({kernel.__name__})", signature, arg_grads)


def _length(name: str, a: Any) -> int:
    try:
        return len(a)
    except TypeError:
        raise ShapeError(
            f"the mapped argument {name} is {brief(a)}; give one entry for each call, or name it "
            "in shared="
        ) from None


@_combinator
def unfold(
    kernel: GenerativeFunction[..., R], arg_grads: Iterable[str] = ()
) -> GenFunction[..., list[R]]:
    """Run `kernel(step, state, *shared)` `length` times, each on the state before it.

    Called as `unfold(kernel)(length, state, *shared)`; step i is at address i. Returns the
    list of every state after the first. `ChoiceMap.rows` gives an array its addresses.

    Args:
        arg_grads: As in `gen`: "state", or names of the kernel's shared arguments.

    Raises:
        ArgumentError: the kernel is not a generative function.
        ShapeError: the length is negative, or not a whole number.
    """
    _refuse_other_than(GenerativeFunction, "unfold", kernel)
    _refuse_other_arguments("the kernel of unfold", kernel, "step, state")

    def unfolded(length: int, state: Any, *shared: Any, **named: Any) -> list[Any]:
        if not isinstance(length, Integral) or length < 0:
            raise ShapeError(
                f"unfold({kernel.__name__}) needs a length that is a whole number, at least 0, "
                f"got {brief(length)}"
            )
        states = []
        for step in range(length):
            state = kernel(step, state, *shared, **named) @ step
            states.append(state)
        return states

    shared = _parameters(kernel)[2:] if arg_grads else _REST
    signature = _signature(["length", "state"], shared)
    return _named(unfolded, f"unfold({kernel.__name__})", signature, arg_grads)


@_combinator
def switch(
    *branches: GenFunction[..., R] | Mapping[Any, GenFunction[..., R]],
    arg_grads: Iterable[str] = (),
    **cases: GenFunction[..., R],
) -> GenFunction[..., R]:
    """Run the branch that the first argument names, on the other arguments.

    Called as `switch(f, g)(0, ...)` or `switch(low=f, high=g)("low", ...)`; a mapping from cases
    does as well. The branch's choices are at the address of the call, with nothing between.

    Args:
        arg_grads: As in `gen`: names of arguments that all branches have at the same place.

    Raises:
        ArgumentError: a branch is not a function of `@gen`, there is no such case, or the branches
            do not all have an argument that `arg_grads` names.
    """
    known: dict[Any, Any] = {**dict(enumerate(branches)), **cases}
    if len(branches) == 1 and isinstance(branches[0], Mapping):
        known = dict(branches[0])
    for case, branch in known.items():
        _refuse_other_than(GenFunction, f"the case {case!r} of a switch", branch)

    def switched(case: Any, *args: Any, **named: Any) -> Any:
        if not isinstance(case, Hashable) or case not in known:
            raise ArgumentError(
                f"switch has no case {brief(case)}; {nearest(str(case), map(str, known))}"
            )
        return known[case].inline(*args, **named)

    if not known:
        raise ArgumentError("switch needs a branch or several, such as switch(f, g)")
    args = _common([_parameters(branch) for branch in known.values()]) if arg_grads else _REST
    title = f"switch({', '.join(f.__name__ for f in known.values())})"
    return _named(switched, title, _signature(["case"], args), arg_grads)


@_combinator
def recurse(
    produce: GenerativeFunction[..., Any],
    aggregate: GenerativeFunction[..., R],
    arg_grads: Iterable[str] = (),
) -> GenFunction[..., R]:
    """Grow a tree and gather it: `produce(x)` returns a value and the inputs of its children.

    Each child grows likewise; `aggregate(value, results)` makes a node's result of its value and
    the list of its children's results. The choices of `produce` are below "produce", the
    choices of `aggregate` below "aggregate", and the choices of child i below ("child", i).

    Args:
        arg_grads: As in `gen`: ("x",) for the gradient by the input at the top.

    Raises:
        ArgumentError: one of the two is not a generative function.
    """
    for function in (produce, aggregate):
        _refuse_other_than(GenerativeFunction, "recurse", function)
    _refuse_other_arguments("produce of recurse", produce, "x")
    _refuse_other_arguments("aggregate of recurse", aggregate, "value, results")

    def recursed(x: Any) -> Any:
        value, children = produce(x) @ "produce"
        results = [tree(child) @ ("child", i) for i, child in enumerate(children)]
        return aggregate(value, results) @ "aggregate"

    title = f"recurse({produce.__name__}, {aggregate.__name__})"
    tree = _named(recursed, title, arg_grads=arg_grads)
    return tree


@_combinator
def mask(
    kernel: GenFunction[P, R], arg_grads: Iterable[str] = ()
) -> GenFunction[Concatenate[bool, P], R | None]:
    """Run `kernel(*args)` where the first argument is true; else return None.

    Args:
        arg_grads: As in `gen`: names of the kernel's arguments.

    Raises:
        ArgumentError: the kernel is not a function of `@gen`.
    """
    _refuse_other_than(GenFunction, "mask", kernel)

    def masked(flag: bool, *args: Any, **named: Any) -> Any:
        if type(flag) is not bool and not isinstance(flag, (np.bool_, Integral)):
            raise ArgumentError(
                f"the first argument of mask({kernel.__name__}) is True or False, got {brief(flag)}"
            )
        return kernel.inline(*args, **named) if flag else None

    signature = _signature(["flag"], _parameters(kernel) if arg_grads else _REST)
    return _named(masked, f"mask({kernel.__name__})", signature, arg_grads)


def _refuse_other_than(kind: type, what: str, given: Any) -> None:
    """Refuse what cannot be run at an address or, where it must be a `GenFunction`, in place."""
    if not isinstance(given, kind):
        hint = "write a function around it and decorate that with @gen"
        if isinstance(given, (list, tuple)):
            hint = "give them one after the other"
        raise ArgumentError(
            f"{what} takes a {'function of @gen' if kind is GenFunction else 'generative function'}"
            f", got {brief(given)}; {hint}"
        )


def _refuse_other_arguments(
    what: str, kernel: GenerativeFunction[..., Any], arguments: str
) -> None:
    """Refuse a function of `@gen` that cannot be called with these arguments first."""
    if isinstance(kernel, GenFunction):
        try:
            kernel.signature.bind_partial(*arguments.split(", "))
        except TypeError as mismatch:
            raise ArgumentError(
                f"{what} is a function of ({arguments}, ...), and "
                f"{kernel.__name__}{kernel.signature} is not: {mismatch}"
            ) from None


def _parameters(kernel: GenerativeFunction[..., Any]) -> list[inspect.Parameter]:
    """A kernel's arguments; a distribution's are known by name."""
    if not isinstance(kernel, GenFunction):
        return [inspect.Parameter(n, _BY_PLACE) for n in kernel.argument_names]
    return list(kernel.signature.parameters.values())


_BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD
_REST = [inspect.Parameter("shared", inspect.Parameter.VAR_POSITIONAL)]


def _common(signatures: list[list[inspect.Parameter]]) -> list[inspect.Parameter]:
    """The first arguments of several functions where they agree, and then any others."""
    first, *others = signatures
    if all(other == first for other in others):
        return first
    agreed = []
    for places in zip(*signatures, strict=False):
        if any(place != places[0] for place in places) or places[0].kind > _BY_PLACE:
            break
        agreed.append(places[0])
    return [*agreed, *_REST]


def _signature(
    names: list[str], more: Iterable[inspect.Parameter] = ()
) -> inspect.Signature | None:
    """Arguments of these names, then more; None if a name is there twice."""
    own = [inspect.Parameter(n, _BY_PLACE) for n in names]
    more = list(more)
    if any(p.kind is inspect.Parameter.POSITIONAL_ONLY for p in more):
        own = [p.replace(kind=inspect.Parameter.POSITIONAL_ONLY) for p in own]
    try:
        return inspect.Signature([*own, *more])
    except ValueError:
        return None


def _named(
    body: Callable[..., Any],
    name: str,
    signature: inspect.Signature | None = None,
    arg_grads: Iterable[str] = (),
) -> GenFunction[..., Any]:
    """A generative function of that name and with that signature, if it is known."""
    body.__name__ = body.__qualname__ = name
    if signature is not None:
        body.__signature__ = signature  # type: ignore[attr-defined]
    return GenFunction(body, arg_grads)
