"""The numbers that rules, schedules and projections take: all are checked, and documented."""

import inspect

import pytest

import genparams
from genparams import Rule, cosine_decay, project_ball
from genparams.errors import ArgumentError, InvalidValue
from genparams.update.settings import REQUIREMENTS

PUBLIC = {n: getattr(genparams, n) for n in genparams.__all__}
MAKERS = {
    name: make
    for name, make in PUBLIC.items()
    if inspect.isfunction(make) and inspect.signature(make).return_annotation is Rule
}


def numbers(make):
    return [name for name in inspect.signature(make).parameters if name in REQUIREMENTS]


def required(make):
    """Something for each argument that has no default."""
    return {p.name: 0.5 for p in places(make) if p.default is p.empty}


def test_every_maker_of_rules_is_found():
    assert len(MAKERS) >= 45
    assert sum(map(len, map(numbers, MAKERS.values()))) >= 120


@pytest.mark.parametrize("name", MAKERS)
def test_every_number_of_a_rule_is_checked(name):
    shown = name if name != "scale_by_stddev" else "scale_by_rms"
    for argument in numbers(MAKERS[name]):
        with pytest.raises(InvalidValue, match=f"{shown}: {argument} must be"):
            MAKERS[name](**required(MAKERS[name]) | {argument: "text"})


def places(make):
    parameters = inspect.signature(make).parameters.values()
    return [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize("name", [name for name, make in MAKERS.items() if numbers(make)])
def test_an_argument_too_many_is_not_taken_for_a_number(name):
    given = [False if type(p.default) is bool else 0.5 for p in places(MAKERS[name])]
    with pytest.raises(ArgumentError, match="wrong arguments: too many positional"):
        MAKERS[name](*given, -1.0)


@pytest.mark.parametrize("name", sorted(MAKERS.keys() - {"scale_by_stddev"}))
def test_every_number_of_a_rule_is_documented(name):
    doc = inspect.getdoc(MAKERS[name]) or ""
    _, _, errors = doc.partition("Raises:")
    for argument in numbers(MAKERS[name]):
        assert f"`{argument}`" in errors


def test_the_docstring_of_a_class_or_function_says_what_its_numbers_must_be():
    assert "`init`, `end` and `start` must be a finite number" in (cosine_decay.__doc__ or "")
    assert "`radius` must be above 0 and finite" in (project_ball.__doc__ or "")
    assert "ShapeError: `center`" in (project_ball.__doc__ or "")
