"""Combinators: generative functions made of others, each a few lines of the language.

A combinator owns no parameters: those of a kernel belong to the kernel, and
`ParamUpdate(rule, model, callees=True)` trains them. Gradients flow through arguments, states and
returned values as through any nested call.
"""

import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import repeat
from numbers import Integral
from typing import Any

from genparams.dsl.gen import GenerativeFunction, GenFunction
from genparams.errors import ArgumentError, ShapeError, nearest


def _combinator(make: Callable[..., GenFunction]) -> Callable[..., GenFunction]:
    """A combinator that makes one function of the same parts, however often it is asked.

    So `unfold(kernel)` in the body of a model is the same call in every run. The first part keeps
    the function, which pickles by its parts.
    """

    @functools.wraps(make)
    def combined(*parts: Any, **named: Any) -> GenFunction:
        given = [*parts, *named.values()]
        inner = [
            p for part in given for p in (part.values() if isinstance(part, Mapping) else [part])
        ]
        owner = next((p for p in inner if isinstance(p, GenerativeFunction)), None)
        if owner is None:
            return make(*parts, **named)
        key = (make.__name__, tuple(map(_key, given)), tuple(named))
        known = vars(owner).setdefault("combined", {})
        if key not in known:
            known[key] = make(*parts, **named)
            known[key].recipe = (combined, parts, named)
        return known[key]

    return combined


def _key(part: Any) -> Any:
    if isinstance(part, Mapping):
        return tuple(part.items())
    return tuple(part) if isinstance(part, (list, set)) else part


@_combinator
def map_(kernel: GenerativeFunction, shared: Iterable[str] = ()) -> GenFunction:
    """Run `kernel` once for each entry of its arguments; return the list of what it returned.

    Entry i stands at address i. Arguments are arrays or lists of one length.

    Args:
        shared: The names of the kernel's arguments that every call gets whole.

    Raises:
        ArgumentError: the kernel is not a generative function, or has no argument of a shared name.
        ShapeError: the mapped arguments have different lengths, or there are none.
    """
    _refuse_other_than(GenerativeFunction, "map_", kernel)
    if isinstance(shared, str):
        raise ArgumentError(f"shared is a tuple of names, got {shared!r}; write ({shared!r},)")
    signature = inspect.signature(kernel.body) if isinstance(kernel, GenFunction) else None
    names = kernel.argument_names
    whole = tuple(shared)
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

    return _named(mapped, f"map_({kernel.__name__})", kernel, signature)


def _length(name: str, a: Any) -> int:
    try:
        return len(a)
    except TypeError:
        raise ShapeError(
            f"the mapped argument {name} is {a!r}; give one entry for each call, or name it in "
            "shared="
        ) from None


@_combinator
def unfold(kernel: GenerativeFunction) -> GenFunction:
    """Run `kernel(step, state, *shared)` `length` times, each on the state before it.

    Called as `unfold(kernel)(length, state, *shared)`; step i stands at address i. Returns the
    list of every state after the first.

    Raises:
        ArgumentError: the kernel is not a generative function.
        ShapeError: the length is negative, or not a whole number.
    """
    _refuse_other_than(GenerativeFunction, "unfold", kernel)

    def unfolded(length: int, state: Any, *shared: Any) -> list[Any]:
        if not isinstance(length, Integral) or length < 0:
            raise ShapeError(
                f"unfold({kernel.__name__}) needs a length that is a whole number, at least 0, "
                f"got {length!r}"
            )
        states = []
        for step in range(length):
            state = kernel(step, state, *shared) @ step
            states.append(state)
        return states

    return _named(unfolded, f"unfold({kernel.__name__})")


@_combinator
def switch(*branches: GenFunction | Mapping[Any, GenFunction], **cases: GenFunction) -> GenFunction:
    """Run the branch that the first argument names, on the other arguments.

    Called as `switch(f, g)(0, ...)` or `switch(low=f, high=g)("low", ...)`; a mapping from cases
    does as well. The branch's choices stand where the call stands.

    Raises:
        ArgumentError: a branch is not a function of `@gen`, or there is no such case.
    """
    known: dict[Any, Any] = {**dict(enumerate(branches)), **cases}
    if len(branches) == 1 and isinstance(branches[0], Mapping):
        known = dict(branches[0])
    for case, branch in known.items():
        _refuse_other_than(GenFunction, f"the case {case!r} of a switch", branch)

    def switched(case: Any, *args: Any) -> Any:
        if not isinstance(case, Hashable) or case not in known:
            raise ArgumentError(
                f"switch has no case {case!r}; {nearest(str(case), map(str, known))}"
            )
        return known[case].inline(*args)

    return _named(switched, f"switch({', '.join(f.__name__ for f in known.values())})")


@_combinator
def recurse(produce: GenerativeFunction, aggregate: GenerativeFunction) -> GenFunction:
    """Grow a tree and gather it: `produce(x)` returns a value and the inputs of its children.

    Each child grows likewise; `aggregate(value, results)` makes a node's result of its value and
    the list of its children's results. The choices of `produce` stand below "produce", those of
    `aggregate` below "aggregate", those of child i below ("child", i).

    Raises:
        ArgumentError: one of the two is not a generative function.
    """
    for function in (produce, aggregate):
        _refuse_other_than(GenerativeFunction, "recurse", function)

    def recursed(x: Any) -> Any:
        value, children = produce(x) @ "produce"
        results = [tree(child) @ ("child", i) for i, child in enumerate(children)]
        return aggregate(value, results) @ "aggregate"

    tree = _named(recursed, f"recurse({produce.__name__}, {aggregate.__name__})")
    return tree


@_combinator
def mask(kernel: GenFunction) -> GenFunction:
    """Run `kernel(*args)` where the first argument is true; else return None.

    Raises:
        ArgumentError: the kernel is not a function of `@gen`.
    """
    _refuse_other_than(GenFunction, "mask", kernel)

    def masked(flag: bool, *args: Any) -> Any:
        return kernel.inline(*args) if flag else None

    return _named(masked, f"mask({kernel.__name__})")


def _refuse_other_than(kind: type, what: str, given: Any) -> None:
    """Refuse what cannot be run at an address or, where it must be a `GenFunction`, in place."""
    if not isinstance(given, kind):
        raise ArgumentError(
            f"{what} takes a {'function of @gen' if kind is GenFunction else 'generative function'}"
            f", got {given!r}; write a function around it and decorate that with @gen"
        )


def _named(
    body: Callable[..., Any],
    name: str,
    kernel: Any = None,
    signature: inspect.Signature | None = None,
) -> GenFunction:
    """A generative function of that name, with the kernel's signature if it has its arguments."""
    body.__name__ = body.__qualname__ = name
    if signature is not None:
        body.__signature__ = signature  # type: ignore[attr-defined]
    return GenFunction(body, arg_grads=getattr(kernel, "arg_grads", ()))
