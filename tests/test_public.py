"""The public names: listed once, each with a docstring and a place in the reference."""

import re

import pytest
from reference_page import GROUPS, PAGE, groups, listed, longest, page

import genparams
from genparams import errors

ERRORS = [
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.GenParamsError)
]


def test_no_public_name_is_listed_twice():
    assert len(genparams.__all__) == len(set(genparams.__all__))


@pytest.mark.parametrize("name", genparams.__all__)
def test_a_public_name_exists_and_has_a_docstring(name):
    assert (getattr(genparams, name).__doc__ or "").strip()


def test_every_public_name_has_one_heading_in_the_reference():
    placed = [name for names in groups().values() for name in names]
    assert sorted(placed) == sorted(listed())


def test_no_heading_of_the_reference_is_empty():
    assert groups().keys() == GROUPS.keys()


def test_a_module_without_a_heading_is_an_error():
    with pytest.raises(LookupError, match="somewhere need a heading"):
        longest("somewhere", ["update", "update.rule"])


def test_the_reference_is_what_the_docstrings_say_now():
    assert PAGE.read_text(encoding="utf-8") == page(), "write the page again: make docs"


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_in_the_reference(name):
    assert re.search(rf"\b{name}\b", PAGE.read_text(encoding="utf-8"))
