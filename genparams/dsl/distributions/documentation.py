"""The signature and the docstring of a distribution, from its declaration."""

import inspect

from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import Domain


def signature_of(declared: Declaration) -> inspect.Signature:
    """The arguments by position and by name, and `size`.

    Raises:
        AttributeError: an argument has a name that cannot be written in Python.
    """
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


def docstring_of(declared: Declaration) -> str:
    """The docstring of the author, then the arguments, the shapes, the support and the errors."""
    return "\n".join(
        [
            inspect.cleandoc(declared.doc or ""),
            "",
            "All arguments broadcast; a value has the shape of the batch, or `size`.",
            "",
            f"Args of {declared.name}:",
            *(_argument(name, domain) for name, domain in declared.arguments.items()),
            "",
            f"Support: {declared.support}.",
            "",
            "Raises:",
            "    DistributionError: an argument is outside its domain; a value is NaN or masked.",
            "    ShapeError: shapes do not broadcast.",
            "    ArgumentError: the number or the names of the arguments are wrong.",
        ]
    )


_EVENTS = ("", "vectors, along the last axis; ", "matrices, along the last two axes; ")


def _argument(name: str, domain: Domain) -> str:
    return f"    {name}: {_EVENTS[min(domain.rank, 2)]}{domain.rule}."
