"""The public names: listed once, in order, each with a docstring and a place in the reference."""

import re
from pathlib import Path

import pytest

import genparams
from genparams import datasets, errors

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "docs" / "reference.md"]
SPOKEN_OF = set(re.findall(r"\w+", " ".join(page.read_text(encoding="utf-8") for page in PAGES)))
ERRORS = [
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.GenParamsError)
]


def test_the_list_of_public_names_has_no_name_twice():
    assert len(genparams.__all__) == len(set(genparams.__all__))


@pytest.mark.parametrize("name", genparams.__all__)
def test_a_public_name_is_there_and_has_a_docstring(name):
    assert (getattr(genparams, name).__doc__ or "").strip()


@pytest.mark.parametrize("name", [*genparams.__all__, *datasets.__all__, *ERRORS])
def test_a_public_name_stands_in_the_reference_or_the_readme(name):
    assert name in SPOKEN_OF


def test_nothing_else_stands_in_the_reference_as_a_name():
    known = {*genparams.__all__, *datasets.__all__, *ERRORS}
    first_column = re.findall(r"^\| `(\w+)` ", PAGES[1].read_text(encoding="utf-8"), re.MULTILINE)
    assert set(first_column) <= known
