"""How a distribution is called: by position, by name, with defaults and in other forms."""

from collections.abc import Iterable
from typing import Any

from genparams.dsl.distributions.declaration import Declaration
from genparams.errors import ArgumentError
from genparams.mistakes import instead


def arguments_in_order(
    declared: Declaration, main: Declaration, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, ...]:
    """All arguments of a call in order, from those by position, those by name and the defaults.

    Args:
        main: The declaration of the main form, for the error.

    Raises:
        ArgumentError: an argument is missing, is given twice or is not known.
    """
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
