"""Choice maps: values by address, nested or flat, unchanging."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genparams import ChoiceMap, everything, nothing, select
from genparams.errors import (
    AddressConflict,
    AddressError,
    InvalidValue,
    ShapeError,
    UnknownAddress,
)

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


def test_a_map_has_no_hash():
    with pytest.raises(TypeError):
        hash(ChoiceMap(NESTED))


def test_changing_the_dictionary_that_to_dict_gave_leaves_the_map_alone():
    choices = ChoiceMap(NESTED)
    choices.to_dict()["group"][0] = 100.0
    assert choices["group", 0] == 2.0


def test_an_empty_dictionary_stands_for_no_choices():
    assert ChoiceMap({"a": {}}) == ChoiceMap() == ChoiceMap({})


# --- Pickling


@pytest.mark.parametrize("values", [{}, NESTED, {(): 1.0}], ids=str)
def test_a_map_that_was_pickled_is_equal(values):
    assert pickle.loads(pickle.dumps(ChoiceMap(values))) == values


def test_arrays_cannot_be_written_to_after_unpickling():
    given = ChoiceMap({"a": np.arange(3.0), "b": (np.zeros(2), 1.0)})
    for choices in (pickle.loads(pickle.dumps(given)), copy.copy(given), copy.deepcopy(given)):
        assert choices == given
        assert not choices["a"].flags.writeable
        assert not choices["b"][0].flags.writeable


# --- Merging


def test_merging_joins_the_maps_below():
    one, other = ChoiceMap({"a": 1.0, "g": {0: 2.0}}), {"b": 3.0, "g": {1: 4.0}}
    assert one.merge(other) == {"a": 1.0, "b": 3.0, "g": {0: 2.0, 1: 4.0}}
    assert one.merge(ChoiceMap(other)) == ChoiceMap(other).merge(one)
    assert one == {"a": 1.0, "g": {0: 2.0}}


def test_merging_with_nothing_changes_nothing():
    assert ChoiceMap(NESTED).merge({}) == ChoiceMap().merge(NESTED) == NESTED


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ({"a": 1.0}, {"a": 1.0}, "both maps have a value for 'a': 1.0 and 1.0"),
        ({"a": 1.0}, {"a": {"b": 2.0}}, r"\('a', 'b'\) is nested under the value for 'a'"),
        ({"a": {"b": 2.0}}, {"a": 1.0}, r"\('a', 'b'\) is nested under the value for 'a'"),
        ({(): 1.0}, {"a": 1.0}, r"'a' is nested under the value for \(\)"),
    ],
)
def test_no_value_wins_over_another_in_a_merge(one, other, message):
    with pytest.raises(AddressConflict, match=message):
        ChoiceMap(one).merge(other)


# --- Selecting


def test_selecting_keeps_what_is_at_and_below_the_addresses():
    choices = ChoiceMap(NESTED)
    assert choices.select("mu") == {"mu": 1.0}
    assert choices.select(select("mu", ("group", 1))) == {"mu": 1.0, "group": {1: {"x": 3.0}}}
    assert choices.select(["mu", "group"]) == choices.select(everything) == choices
    assert choices.select(nothing) == {}


def test_without_keeps_the_others():
    assert ChoiceMap(NESTED).without("group") == {"mu": 1.0}
    assert ChoiceMap(NESTED).without(["mu", ("group", 0)]) == {"group": {1: {"x": 3.0}}}


def test_selecting_what_is_not_there_is_an_error_unless_it_may_be_missing():
    choices = ChoiceMap(NESTED)
    with pytest.raises(UnknownAddress, match="did you mean 'group'"):
        choices.select("groop")
    with pytest.raises(UnknownAddress, match="did you mean 'group'"):
        choices.without("groop")
    assert choices.select(select("groop", missing="ignore")) == {}


# --- One vector


def test_the_vector_has_values_first_and_then_what_is_below_each_sorted_by_key():
    choices = ChoiceMap({"b": {"y": 5.0, "x": {0: 6.0}}, "z": 2.0, "a": {1: 4.0, 0: 3.0}, "c": 1.0})
    assert choices.to_array().tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_keys_of_several_types_have_an_order():
    choices = ChoiceMap({"a": 7.0, 10: 4.0, 2: 2.0, 2.5: 3.0, None: 1.0, np.int64(11): 5.0})
    assert choices.to_array().tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 7.0]


def test_keys_without_an_order_are_sorted_by_their_text():
    choices = ChoiceMap({1 + 2j: 2.0, 1 + 1j: 1.0})
    assert choices.to_array().tolist() == [1.0, 2.0]


def test_arrays_and_tuples_are_laid_out_in_order():
    choices = ChoiceMap({"m": [[1.0, 2.0], [3.0, 4.0]], "n": (5, (True, [7.0, 8.0])), "o": []})
    array = choices.to_array()
    assert array.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 7.0, 8.0]
    assert array.dtype == np.float64
    back = choices.from_array(array + 1.0)
    assert back["m"].tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert back["n"][0] == 6
    assert back["n"][1][0] == 2.0
    assert back["n"][1][1].tolist() == [8.0, 9.0]
    assert back["o"].shape == (0,)


def test_whole_numbers_come_back_as_integers_and_truth_values():
    choices = ChoiceMap({"b": True, "f": 2.0, "i": 3, "k": [1, 2]})
    back = choices.from_array([0.0, 1.0, 4.0, 5.0, 6.0])
    assert [type(back[key]) for key in "bfi"] == [bool, float, int]
    assert back["k"].dtype == choices["k"].dtype
    other = choices.from_array([0.5, 1.0, 4.5, 5.5, 6.0])
    assert [type(other[key]) for key in "bfi"] == [float, float, float]
    assert other["k"].tolist() == [5.5, 6.0]


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300])
def test_a_number_that_no_integer_holds_comes_back_as_a_float(number):
    back = ChoiceMap({"n": 1}).from_array([number])["n"]
    assert type(back) is float
    np.testing.assert_equal(back, number)


def test_a_map_from_a_vector_keeps_its_order_and_cannot_be_written_to():
    given = np.zeros(3)
    choices = ChoiceMap({"b": np.ones(2), "a": 1.0}).from_array(given)
    given[:] = 5.0
    assert list(choices) == [("b",), ("a",)]
    assert choices == {"a": 0.0, "b": [0.0, 0.0]}
    assert not choices["b"].flags.writeable


def test_the_vector_of_no_choices_is_empty():
    assert ChoiceMap().to_array().shape == (0,)
    assert ChoiceMap().from_array([]) == {}


@pytest.mark.parametrize("array", [[1.0, 2.0], np.zeros(4), np.zeros((3, 1)), 1.0], ids=repr)
def test_a_vector_of_another_length_is_refused(array):
    with pytest.raises(ShapeError, match="these choices have 3 numbers"):
        ChoiceMap(NESTED).from_array(array)


@pytest.mark.parametrize("value", ["x", None, 1j, 10**400, (1.0, "x"), np.array(["x"])], ids=str)
def test_a_value_that_is_no_number_has_no_place_in_a_vector(value):
    choices = ChoiceMap({"a": 1.0, "odd": value})
    with pytest.raises(InvalidValue, match="the choice at 'odd' must be made of real numbers"):
        choices.to_array()
    with pytest.raises(InvalidValue, match="the choice at 'odd'"):
        choices.from_array([1.0, 2.0])


@pytest.mark.parametrize("array", [["x"], [1.0, [2.0]], ((1.0,), (2.0, 3.0)), None], ids=str)
def test_what_is_no_vector_of_numbers_is_refused(array):
    with pytest.raises(InvalidValue, match="a vector must be made of real numbers"):
        ChoiceMap({"a": 1.0}).from_array(array)


numbers = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53) | st.booleans()
values = numbers | st.lists(numbers, max_size=3) | st.tuples(numbers, st.lists(numbers, max_size=2))
keys = st.text(max_size=2) | st.integers(-3, 3) | st.floats(allow_nan=False) | st.none()
maps = st.recursive(
    st.dictionaries(keys, values, max_size=4),
    lambda inner: st.dictionaries(keys, values | inner, max_size=4),
    max_leaves=10,
)
law = settings(max_examples=60)


@law
@given(maps)
def test_a_map_is_that_of_its_own_vector(given):
    choices = ChoiceMap(given)
    back = choices.from_array(choices.to_array())
    assert back == choices
    assert list(back) == list(choices)
    assert [type(v) for v in back.values()] == [type(v) for v in choices.values()]


@law
@given(maps, st.randoms())
def test_equal_maps_have_equal_vectors(given, random):
    choices = ChoiceMap(given)
    items = list(choices.items())
    random.shuffle(items)
    shuffled = ChoiceMap(dict(items))
    assert shuffled == choices
    np.testing.assert_array_equal(shuffled.to_array(), choices.to_array())


@law
@given(maps)
def test_a_selection_and_its_complement_make_up_the_map(given):
    choices = ChoiceMap(given)
    some = list(choices)[::2]
    assert choices.select(some).merge(choices.without(some)) == choices


@law
@given(maps)
def test_every_map_has_a_text_and_pickles(given):
    choices = ChoiceMap(given)
    assert repr(choices)
    assert choices._repr_html_()
    assert pickle.loads(pickle.dumps(choices)) == choices


# --- Text


def test_the_text_of_a_map_is_a_tree():
    assert str(ChoiceMap(NESTED)).splitlines() == [
        "ChoiceMap: 3 choices",
        "|- mu : 1.0",
        "`- group",
        "   |- 0 : 2.0",
        "   `- 1",
        "      `- x : 3.0",
    ]
    assert repr(ChoiceMap()) == "ChoiceMap: no choices"
    assert repr(ChoiceMap({(): 1.0})) == "ChoiceMap: 1 choice\n`- () : 1.0"


def test_a_notebook_shows_a_map_as_lists():
    html = ChoiceMap({"a": {"b": "<i>"}})._repr_html_()
    assert "<summary>a</summary><ul><li>b : <code>&#x27;&lt;i&gt;&#x27;</code></li></ul>" in html
