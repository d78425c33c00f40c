"""How a distribution is called, in every form; its signature and its docstring."""

import inspect
from collections.abc import Iterable
from typing import Any

from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import Domain
from genparams.errors import ArgumentError
from genparams.mistakes import instead


def arguments_in_order(
    declared: Declaration, main: Declaration, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """All arguments of a call in order; errors name the forms of `main`, the main form."""
    names = list(declared.arguments)
    for name in named:
        if name not in names:
            known = [*main.arguments, *main.forms, "size"]
            hint = instead(name, known, named)
            raise ArgumentError(f"{forms_of(main)} has no argument {name!r}; {hint}")
    places = names[: len(names) - declared.keyword_only]
    given = dict(zip(places, args, strict=False))
    named = {n: v for n, v in declared.defaults.items() if n not in given} | named
    if (
        len(args) > len(places)
        or given.keys() & named.keys()
        or len(given) + len(named) != len(names)
    ):
        raise wrong_arguments(names, forms_of(main), len(args), named)
    given.update(named)
    return tuple(given[n] for n in names)


def wrong_arguments(
    names: Iterable[str], form: str, count: int, named: Iterable[str] = ()
) -> ArgumentError:
    """The error for a wrong number of arguments."""
    also = f" and {', '.join(named)}" if named else ""
    hint = ""
    if count > len(list(names)):
        hint = "; several draws are asked for by size=, and the address comes after @"
    return ArgumentError(f"write {form}; got {count} by position{also}{hint}")


def forms_of(declared: Declaration) -> str:
    """How a distribution is called, in every form."""
    names = list(declared.arguments)
    front = names[: len(names) - declared.keyword_only]
    ways = [", ".join([*front, *(f"{name}=..." for name in names[len(front) :])])]
    for keyword, form in declared.forms.items():
        replaces = hasattr(form, "declared")  # else the keyword is one more argument
        kept = names[: len(names) - replaces]
        ways.append(", ".join([*kept, f"{keyword}=..."]))
    return " or ".join(f"{declared.name}({way})" for way in ways) + declared.note


def signature_of(declared: Declaration) -> inspect.Signature:
    """The arguments and `size`, if their names can be written in Python."""
    names = list(declared.arguments)
    if not all(map(str.isidentifier, names)):
        raise AttributeError("__signature__")
    by_place, by_name = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    kinds = [by_place] * (len(names) - declared.keyword_only) + [by_name] * declared.keyword_only
    empty = inspect.Parameter.empty
    parameters = [
        inspect.Parameter(name, kind, default=declared.defaults.get(name, empty))
        for name, kind in zip(names, kinds, strict=True)
    ]
    size = inspect.Parameter("size", by_name, default=None)
    return inspect.Signature([*parameters, size])


_EVENTS = ("", "; vectors along the last axis", "; matrices along the last two axes")
_SHAPES = ("", ", then the length of a vector", ", then the shape of a matrix")


def docstring_of(declared: Declaration) -> str:
    """The docstring of the author, and what the declaration says of arguments and values."""
    return "\n".join(
        [
            inspect.cleandoc(declared.doc or ""),
            "",
            f"Args of {declared.name}:",
            *(_argument(name, domain) for name, domain in declared.arguments.items()),
            *_other_arguments(declared),
            "    size: the shape of the batch; unless given, all arguments broadcast to it.",
            "",
            f"Shape of a value: the shape of the batch{_SHAPES[declared.kind.rank]}.",
            f"Support: {declared.support}.",
            f"Gradients: {_gradients(declared)}.",
            "",
            "Raises:",
            "    DistributionError: an argument is outside its domain; a value is NaN or masked.",
            "    ShapeError: shapes do not broadcast.",
            "    ArgumentError: the number or the names of the arguments are wrong.",
        ]
    )


def _argument(name: str, domain: Domain) -> str:
    return f"    {name}: {domain.rule}{_EVENTS[min(domain.rank, 2)]}."


def _other_arguments(declared: Declaration) -> list[str]:
    """A line for each argument of another form that takes the place of the last argument."""
    last = list(declared.arguments)[-1:]
    domains = {k: getattr(form, "arguments", {}).get(k) for k, form in declared.forms.items()}
    return [
        _argument(f"{keyword}, in place of {', '.join(last)}", domain)
        for keyword, domain in domains.items()
        if domain
    ]


def _gradients(declared: Declaration) -> str:
    """The names by which the log density has a gradient."""
    smooth = [name for name, domain in declared.arguments.items() if domain.smooth]
    names = ["the value"] * declared.kind.continuous + smooth
    return f"by {', '.join(names)}" if names else "none"
