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
