"""Parameters by the names of their functions and their own, for people and for files."""

from collections.abc import Iterable

from genparams.params import Parameter, labels


def names_of(parameters: Iterable[Parameter]) -> dict[Parameter, tuple[str, str]]:
    """The names of a function and of a parameter, for each parameter."""
    parameters = list(parameters)
    of_store = labels(p.store for p in parameters)
    return {p: (of_store[p.store], p.name) for p in parameters}


def dotted(parameters: Iterable[Parameter]) -> str:
    """The names in a sentence: `f.a, f.b`."""
    return ", ".join(f"{f}.{name}" for f, name in names_of(parameters).values())
