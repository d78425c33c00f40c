"""Choice maps: values by address, nested or flat, unchanging."""

import pickle
from typing import Any

import numpy as np
import pytest

from genparams import ChoiceMap
from genparams.errors import AddressConflict, AddressError, UnknownAddress

NESTED = {"mu": 1.0, "group": {0: 2.0, 1: {"x": 3.0}}}
FLAT = {("mu",): 1.0, ("group", 0): 2.0, ("group", 1, "x"): 3.0}


@pytest.mark.parametrize(
    "given", [NESTED, FLAT, ChoiceMap(FLAT), {"mu": 1.0, "group": {0: 2.0, (1, "x"): 3.0}}]
)
def test_nested_and_flat_dictionaries_make_the_same_map(given):
    choices = ChoiceMap(given)
    assert choices == ChoiceMap(NESTED)
    assert dict(choices) == FLAT
    assert choices.to_dict() == NESTED


def test_a_map_is_compared_with_dictionaries_by_structure():
    assert ChoiceMap(NESTED) == NESTED
    assert ChoiceMap(NESTED) == FLAT
    assert ChoiceMap(NESTED) != {"mu": 1.0}
    assert ChoiceMap(NESTED) != {**NESTED, "mu": 2.0}
    assert ChoiceMap() != 3


def test_arrays_are_compared_as_a_whole():
    assert ChoiceMap({"a": np.arange(3.0)}) == {"a": [0.0, 1.0, 2.0]}
    assert ChoiceMap({"a": np.arange(3.0)}) != {"a": np.arange(4.0)}
    assert ChoiceMap({"a": np.zeros(3)}) != {"a": 0.0}


def test_indexing_gives_a_value_or_a_view_of_those_below():
    choices = ChoiceMap(NESTED)
    assert choices["mu"] == choices["mu",] == 1.0
    assert choices["group", 1, "x"] == choices["group"][1]["x"] == 3.0
    assert choices["group"] == {0: 2.0, 1: {"x": 3.0}}
    assert choices.view("group") == choices["group"]
    assert len(choices.view("nothing")) == 0


def test_keys_are_paths_in_the_order_in_which_they_were_given():
    assert list(ChoiceMap(NESTED)) == [("mu",), ("group", 0), ("group", 1, "x")]
    assert len(ChoiceMap(NESTED)) == 3


def test_membership_is_of_values_and_not_of_prefixes():
    choices = ChoiceMap(NESTED)
    assert "mu" in choices
    assert ("group", 0) in choices
    assert "group" not in choices


def test_an_unknown_address_gives_the_nearest_one():
    with pytest.raises(UnknownAddress, match="no choice at 'my'; did you mean 'mu'"):
        ChoiceMap(NESTED)["my"]
    with pytest.raises(LookupError):
        ChoiceMap()["anything"]


@pytest.mark.parametrize(
    "given",
    [
        {"a": {"b": 1.0}, ("a", "b"): 2.0},
        {"a": 1.0, ("a",): 2.0},
        {"a": 1.0, ("a", "b"): 2.0},
        {("a", "b"): 2.0, "a": 1.0},
        {(): 1.0, "a": 2.0},
    ],
    ids=str,
)
def test_two_values_at_one_address_or_one_below_the_other_are_refused(given):
    with pytest.raises(AddressConflict):
        ChoiceMap(given)


@pytest.mark.parametrize("address", [["a"], {"a"}, ("a", []), ("a", ("b",))], ids=str)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(AddressError):
        ChoiceMap(NESTED)[address]


def test_arrays_are_copied_in_and_cannot_be_written_to():
    given = np.zeros(2)
    choices = ChoiceMap({"a": given})
    given[0] = 1.0
    assert choices["a"][0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        choices["a"][0] = 1.0


def test_a_read_only_view_of_a_writable_array_is_copied():
    given = np.zeros(2)
    view = given.view()
    view.setflags(write=False)
    choices = ChoiceMap({"a": view})
    given[0] = 1.0
    assert choices["a"][0] == 0.0


def test_a_map_made_of_a_map_shares_its_frozen_arrays():
    choices = ChoiceMap({"a": np.zeros(2)})
    assert ChoiceMap(choices)["a"] is choices["a"]


def test_a_map_has_no_assignment_and_no_hash():
    choices: Any = ChoiceMap(NESTED)
    with pytest.raises(TypeError):
        choices["mu"] = 2.0
    with pytest.raises(TypeError):
        hash(choices)


def test_changing_the_dictionary_that_to_dict_gave_leaves_the_map_alone():
    choices = ChoiceMap(NESTED)
    choices.to_dict()["group"][0] = 100.0
    assert choices["group", 0] == 2.0


def test_an_empty_dictionary_stands_for_no_choices():
    assert ChoiceMap({"a": {}}) == ChoiceMap() == ChoiceMap({})


def test_choice_maps_pickle():
    assert pickle.loads(pickle.dumps(ChoiceMap(NESTED))) == NESTED


def test_the_text_of_a_map_is_its_nested_dictionary():
    assert repr(ChoiceMap(NESTED)) == f"ChoiceMap({NESTED!r})"
