"""The tree of errors that the docstring of `genparams.errors` draws equals the classes."""

import inspect
import re

import pytest

from genparams import errors

CLASSES = {
    name: thing
    for name, thing in inspect.getmembers(errors, inspect.isclass)
    if thing.__module__ == errors.__name__
}
LINE = re.compile(r"    ((?:\|  |   )*)([|`]- )?(\w+)(?: +\((\w+)\))?")


def drawn():
    """The classes in the docstring, each with its parent in the tree and its builtin."""
    found, above = {}, []
    for match in map(LINE.match, (errors.__doc__ or "").splitlines()):
        if match and match[3] in CLASSES:
            bars, corner, name, builtin = match.groups()
            depth = len(bars) // 3 + bool(corner)
            found[name] = [*above[:depth][-1:], builtin]
            above = [*above[:depth], name]
    return found


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("lbfgs", ["BFGS", "L-BFGS-B"], "did you mean L-BFGS-B?"),
        ("logstd", ["log_std", "logit"], "did you mean log_std?"),
        ("-1", ["1", "2"], "known: 1, 2"),
    ],
)
def test_names_are_compared_without_hyphens_and_numbers_with_their_signs(name, known, hint):
    assert errors.nearest(name, known) == hint


def test_every_class_is_drawn():
    assert drawn().keys() == CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_the_tree_shows_what_a_class_derives_from(name):
    shown = [base for base in drawn()[name] if base] or ["Exception"]
    assert [base.__name__ for base in CLASSES[name].__bases__] == shown
