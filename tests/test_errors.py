"""The tree of errors that the docstring of `genparams.errors` draws equals the classes."""

import inspect
import re

import pytest

from genparams import errors

CLASSES = {name: thing for name, thing in vars(errors).items() if inspect.isclass(thing)}
LINE = re.compile(
    r"    (?P<bars>(\|  |   )*)(?P<corner>[|`]- )?(?P<name>\w+)( +\((?P<also>\w+)\))?"
)


def drawn():
    """The classes in the docstring, each with its parent in the tree and its builtin."""
    found, above = {}, []
    for line in errors.__doc__.splitlines():
        match = LINE.match(line)
        if match and match["name"] in CLASSES:
            depth = len(match["bars"]) // 3 + bool(match["corner"])
            above = [*above[:depth], match["name"]]
            found[match["name"]] = [above[-2]] * bool(depth) + [match["also"]]
    return found


def test_every_class_is_drawn():
    assert drawn().keys() == CLASSES.keys()


@pytest.mark.parametrize("name", CLASSES)
def test_the_tree_shows_what_a_class_derives_from(name):
    shown = [base for base in drawn()[name] if base] or ["Exception"]
    assert [base.__name__ for base in CLASSES[name].__bases__] == shown
