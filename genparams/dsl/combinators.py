"""Combinators: generative functions made of others, each a few lines of the language.

A combinator owns no parameters: the parameters of a kernel belong to the kernel, and
`ParamUpdate(rule, model, callees=True)` trains them. Gradients flow through arguments, states and
return values as through any nested call.
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
from genparams.dsl.partial_run import Entries
from genparams.errors import ArgumentError, ShapeError, nearest
from genparams.mistakes import explained, refuse_other_functions
from genparams.text import brief
from genparams.types import P, R


def _combinator(make: Callable[P, R]) -> Callable[P, R]:
    """A combinator that returns the same function whenever it is given the same parts.

    So `unfold(kernel)` in the body of a model is the same function in every run. The first part
    keeps a reference to the function, which lives as long as that part and pickles by its parts.
    """

    explaining: Callable[..., Any] = explained(make)

    @functools.wraps(make)
    def combined(*parts: Any, **named: Any) -> Any:
        given = [*parts, *named.values()]
        inner = [
            p for part in given for p in (part.values() if isinstance(part, Mapping) else [part])
        ]
        owner = next((p for p in inner if isinstance(p, GenerativeFunction)), None)
        key = (make.__name__, tuple(map(_key, given)), tuple(named))
        known = {} if owner is None else vars(owner).setdefault("combined", {})
        try:
            found = known.get(key)
        except TypeError:  # a part of a wrong type, for which it raises its own error
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
    """Run `kernel` once for each entry of its arguments; return the list of its return values.

    The call for entry i is at address i; `ChoiceMap.rows` gives an array its addresses. Arguments
    are arrays or lists of one length.

    Args:
        shared: The names of the arguments that are passed whole to every call.
        arg_grads: As in `gen`; None means the `arg_grads` of the kernel.

    Raises:
        ArgumentError: the kernel is not a generative function, or a name in `shared` is not a name
            of an argument.
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

    defaults = {} if signature is None else {n: p.default for n, p in signature.parameters.items()}

    def is_whole(name: str, a: Any) -> bool:
        """Whether an argument goes to every call: it is shared, or the default of the kernel."""
        return name in whole or (name in defaults and a is defaults[name])

    def mapped(*args: Any, **named: Any) -> list[Any]:
        places = names + names[-1:] * (len(args) - len(names))  # the last are of *args
        given = [*zip(places, args, strict=False), *named.items()]
        lengths = [(name, _length(name, a)) for name, a in given if not is_whole(name, a)]
        if len({length for _, length in lengths}) != 1:
            found = ", ".join(f"{name}: {length}" for name, length in lengths)
            raise ShapeError(
                f"map_({kernel.__name__}) needs mapped arguments of one length, got "
                f"{found or 'shared ones only'}"
            )
        columns = [repeat(a) if is_whole(name, a) else a for name, a in given]
        rows = enumerate(zip(*columns, strict=False))
        if not named:
            return [kernel(*xs) @ i for i, xs in rows]
        n = len(args)
        return [kernel(*xs[:n], **dict(zip(named, xs[n:], strict=True))) @ i for i, xs in rows]

    def resumed(entries: Entries, *args: Any, **named: Any) -> list[Any]:
        """The list of an earlier run, whose changed entries alone are run again."""
        before = entries.results()
        if before is None or named or not entries.has_arguments(args):
            return mapped(*args, **named)
        results = before[:]
        for i in entries.changed:
            results[i] = entries.again(i)
            entries.is_as_before(i, results[i])
        entries.settle(len(results))
        return results

    if arg_grads is None:
        arg_grads = kernel.arg_grads if isinstance(kernel, GenFunction) else ()
    return _named(mapped, f"map_({kernel.__name__})", signature, arg_grads, resumed)


def _length(name: str, a: Any) -> int:
    if isinstance(a, (Mapping, str)) or hasattr(a, "columns"):
        raise ShapeError(
            f"the mapped argument {name} is {brief(a)}; give an array or a list, with one entry "
            "for each call"
        )
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
    """Run `kernel(step, state, *shared)` `length` times, each time on the state of the step before.

    Called as `unfold(kernel)(length, state, *shared)`; step i is at address i. Returns the
    list of all states but the first. `ChoiceMap.rows` gives an array its addresses.

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

    def resumed(entries: Entries, length: int, state: Any, *shared: Any, **named: Any) -> list[Any]:
        """The states of an earlier run, from each changed step on until a state is as it was."""
        before = entries.results()
        if before is None or named or not entries.has_arguments((state, *shared), since=1):
            return unfolded(length, state, *shared, **named)
        if not isinstance(length, Integral) or length < 0:
            return unfolded(length, state, *shared)
        states, end = before[:length], 0
        for start in [*entries.changed, len(states)]:
            has_moved = False
            for step in range(max(start, end), length):
                if step >= len(before):
                    new = kernel(step, states[step - 1] if step else state, *shared) @ step
                elif has_moved:
                    new = entries.again(step, states[step - 1])
                else:
                    new = entries.again(step)
                states[step : step + 1] = [new]
                end = step + 1
                has_moved = not entries.is_as_before(step, new)
                if not has_moved:
                    break
        entries.settle(length)
        return states

    shared = _parameters(kernel)[2:] if arg_grads else _REST
    signature = _signature(["length", "state"], shared)
    return _named(unfolded, f"unfold({kernel.__name__})", signature, arg_grads, resumed)


@_combinator
def switch(
    *branches: GenFunction[..., R] | Mapping[Any, GenFunction[..., R]],
    arg_grads: Iterable[str] = (),
    **cases: GenFunction[..., R],
) -> GenFunction[..., R]:
    """Run the branch that the first argument names, on the other arguments.

    Called as `switch(f, g)(0, ...)`, `switch(low=f, high=g)("low", ...)` or, with a mapping,
    `switch({"low": f, "high": g})("low", ...)`. The choices of the branch are nested directly under
    the address of the call.

    Args:
        arg_grads: As in `gen`: names of arguments that every branch has at the same place.

    Raises:
        ArgumentError: a branch is not a function of `@gen`, there is no case of that name, or a
            branch has no argument that `arg_grads` names.
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
    """Make a tree from its root: `produce(x)` returns a node's value and its children's inputs.

    `aggregate(value, results)` returns the result of a node, given its value and the list of its
    children's results. The choices of `produce` are nested under "produce", the choices of
    `aggregate` under "aggregate", and the choices of child i under ("child", i).

    Args:
        arg_grads: As in `gen`: ("x",) for the gradient by the input of the root.

    Raises:
        ArgumentError: `produce` or `aggregate` is not a generative function.
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
    """Run `kernel(*args)` if the first argument is true; else return None.

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
    """Refuse what is not a generative function or, for the kind `GenFunction`, not of `@gen`."""
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
    """Refuse a function of `@gen` whose first arguments cannot be these."""
    if isinstance(kernel, GenFunction):
        refuse_other_functions(what, kernel, arguments, partly=True)


def _parameters(kernel: GenerativeFunction[..., Any]) -> list[inspect.Parameter]:
    """The arguments of a kernel; for a distribution only the names are known."""
    if not isinstance(kernel, GenFunction):
        return [inspect.Parameter(n, _BY_PLACE) for n in kernel.argument_names]
    return list(kernel.signature.parameters.values())


_BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD
_REST = [inspect.Parameter("shared", inspect.Parameter.VAR_POSITIONAL)]


def _common(signatures: list[list[inspect.Parameter]]) -> list[inspect.Parameter]:
    """The first arguments that several functions have in common, and then any others."""
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
    """Arguments of these names, then more; None if a name occurs twice."""
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
    resumed: Callable[..., Any] | None = None,
) -> GenFunction[..., Any]:
    """A generative function of that name and, where it is known, that signature.

    Args:
        resumed: The body that goes on from an earlier run.
    """
    body.__name__ = body.__qualname__ = name
    if signature is not None:
        body.__signature__ = signature  # type: ignore[attr-defined]
    made = GenFunction(body, arg_grads)
    made.resume = resumed
    return made
