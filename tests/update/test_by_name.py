"""Update rules by name and from configuration files."""

import inspect
import math

import numpy as np
import pytest

from genparams.errors import InvalidValue
from genparams.update import named_rules
from genparams.update.by_name import by_name, from_hyperparameters, known_rules
from genparams.update.named_rules import ADAM, SGD, AdamW, NAdam, RMSProp
from genparams.update.rule import Rule
from genparams.update.schedules import one_over_sqrt

NEEDED = {
    "fixedstepgradientdescent": {"step_size": 0.1},
    "gradientdescent": {"step_size_init": 0.1, "step_size_beta": 1.0},
}
each_name = pytest.mark.parametrize("name", known_rules())


def maker(name):
    """The function that a name stands for."""
    return next(f for k, f in vars(named_rules).items() if k.lower() == name)


def test_every_configuration_is_known():
    public = {
        name.lower()
        for name, make in vars(named_rules).items()
        if inspect.isfunction(make)
        and inspect.signature(make).return_annotation is Rule
        and name[0].isupper()
    }
    assert set(known_rules()) == public
    assert known_rules() == tuple(sorted(known_rules()))
    assert len(known_rules()) == 19


@each_name
def test_a_rule_is_found_in_any_case(name):
    needed = NEEDED.get(name, {})
    expected = repr(maker(name)(**needed))
    for spelling in (name, name.upper(), name.title()):
        assert repr(by_name(spelling, **needed)) == expected
    assert repr(from_hyperparameters({"optimizer": name, **needed})) == expected


@each_name
def test_every_number_can_be_given_as_text(name):
    needed = {k: str(v) for k, v in NEEDED.get(name, {}).items()}
    for parameter in inspect.signature(maker(name)).parameters.values():
        value = parameter.default
        if type(value) in (int, float, bool):
            rule = by_name(name, **{**needed, parameter.name: str(value)})
            assert repr(rule) == repr(by_name(name, **needed))


@each_name
def test_every_setting_that_is_a_number_refuses_other_text(name):
    needed = NEEDED.get(name, {})
    for parameter in inspect.signature(maker(name)).parameters.values():
        if parameter.annotation in (int, float, bool):
            for text in ("fast", "nan", ""):
                with pytest.raises(InvalidValue, match=f"{parameter.name} must be"):
                    by_name(name, **{**needed, parameter.name: text})


def test_settings_are_passed_on():
    rule = by_name("adamw", learning_rate=0.1, weight_decay=0.2, mask="*kernel", backoff_steps=3)
    assert repr(rule) == repr(AdamW(0.1, weight_decay=0.2, mask="*kernel", backoff_steps=3))
    rule = by_name("sgd", learning_rate=one_over_sqrt(0.1))
    assert repr(rule) == repr(SGD(one_over_sqrt(0.1)))


def test_text_is_read_as_what_the_setting_is():
    rule = from_hyperparameters(
        {
            "optimizer": "RMSProp",
            "learning_rate": " 1e-3 ",
            "centered": "True",
            "nesterov": "no",
            "backoff_steps": "10",
            "clip_step": "None",
            "dtype": "float32",
        }
    )
    assert repr(rule) == repr(RMSProp(1e-3, centered=True, backoff_steps=10, dtype="float32"))
    assert repr(by_name("nadam", momentum_decay="none")) == repr(NAdam(momentum_decay=None))
    assert repr(by_name("adam", dtype="")) == repr(ADAM())


@pytest.mark.parametrize("text", ["true", "Yes", "on", "1"])
def test_what_is_true(text):
    assert repr(by_name("sgd", decay_by_root=text)) == repr(SGD(decay_by_root=True))


@pytest.mark.parametrize("text", ["false", "No", "off", "0"])
def test_what_is_false(text):
    assert repr(by_name("sgd", decay_by_root=text)) == repr(SGD())


def test_without_an_optimizer_it_is_adam():
    assert repr(from_hyperparameters({})) == repr(ADAM())
    assert repr(from_hyperparameters({"learning_rate": 0.1})) == repr(ADAM(0.1))


def test_adamws_default_decay_works_by_name_too():
    """In GoMLX it is lost there."""
    rule = by_name("adamw", learning_rate=0.1)
    found, _ = rule.apply({"a": 0.0}, rule.init({"a": 1.0}), {"a": 1.0})
    assert found["a"] == pytest.approx(-0.1 * 0.01)


def test_hyperparameters_are_left_as_they_are():
    given = {"optimizer": "sgd", "learning_rate": "0.5"}
    before = dict(given)
    from_hyperparameters(given)
    assert given == before


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"optimizer": "adamv"}, "there is no update rule 'adamv'; did you mean adam"),
        ({"optimizer": "quite else"}, "there is no update rule 'quite else'; known: ada"),
        ({"optimizer": 3}, "there is no update rule 3"),
        ({"optimizer": None}, "there is no update rule None"),
        ({"optimiser": "adam"}, "ADAM has no setting 'optimiser'"),
        ({"learning_rat": 0.1}, "ADAM has no setting 'learning_rat'; did you mean learning_rate?"),
        ({"optimizer": "adamw", "beta": 0.1}, "AdamW has no setting 'beta'; write beta1"),
        ({"optimizer": "sgd", "name": "x"}, "SGD has no setting 'name'"),
        ({"learning_rate": "fast"}, "ADAM: learning_rate must be a number, got 'fast'"),
        ({"learning_rate": "-1"}, "ADAM: learning_rate must be above 0, or a schedule, got -1.0"),
        ({"learning_rate": "inf"}, "learning_rate must be above 0, or a schedule, got inf"),
        ({"learning_rate": math.nan}, "learning_rate must be above 0, or a schedule, got nan"),
        ({"learning_rate": None}, "learning_rate must be above 0, or a schedule, got None"),
        ({"backoff_steps": "1.5"}, "backoff_steps must be a whole number, got '1.5'"),
        (
            {"optimizer": "sgd", "decay_by_root": "maybe"},
            "SGD: decay_by_root must be true or false, got 'maybe'",
        ),
        ({"dtype": "int32"}, "dtype must be a type of floats, got 'int32'"),
        (
            {"optimizer": "FixedStepGradientDescent"},
            "FixedStepGradientDescent needs step_size; write step_size=0.1",
        ),
        ([("optimizer", "adam")], "hyperparameters are a dictionary such as"),
        ({1: "adam"}, "hyperparameters are a dictionary such as"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused(mapping, message):
    with pytest.raises(InvalidValue, match=message):
        from_hyperparameters(mapping)


def test_numbers_of_numpys_are_numbers():
    assert repr(by_name("sgd", learning_rate=np.float64(0.5))) == repr(SGD(0.5))
    assert repr(by_name("adam", backoff_steps=np.int64(2))) == repr(ADAM(backoff_steps=2))
