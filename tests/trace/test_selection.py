"""Selections: sets of addresses, each with everything below it."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genparams import ChoiceMap, Selection, everything, nothing, select
from genparams.errors import AddressError, InvalidValue, UnknownAddress
from genparams.trace.selection import as_selection

CHOICES = ChoiceMap({"mu": 1.0, "group": {0: 2.0, 1: {"x": 3.0}}})


def test_an_address_selects_everything_at_and_below_it():
    s = select("mu", ("group", 1))
    assert "mu" in s
    assert ("mu", "anything") in s
    assert ("group", 1) in s
    assert ("group", 1, "x") in s
    assert ("group", 0) not in s


def test_what_is_above_a_selected_address_is_not_selected():
    assert "group" not in select(("group", 1))
    assert () not in select("group")


def test_a_key_and_the_path_of_that_key_are_one_address():
    assert select("mu") == select(("mu",))
    assert ("mu",) in select("mu")


def test_everything_and_nothing():
    for address in [(), "a", ("a", 0)]:
        assert address in everything
        assert address not in nothing
    assert everything == select(())
    assert nothing == select()


def test_the_signs_are_those_of_sets():
    a, b = select("a"), select("b")
    assert "a" not in ~a
    assert "b" in ~a
    assert "a" in a | b
    assert "b" in a | b
    assert "c" not in a | b
    assert "a" not in a & b
    assert ("a", 0) in a & select(("a", 0))
    assert ("a", 1) not in a & select(("a", 0))


@pytest.mark.parametrize("other", ["a", ["a"], None])
def test_only_selections_are_joined(other: Any):
    with pytest.raises(TypeError):
        select("b") | other
    with pytest.raises(TypeError):
        select("b") & other


def test_selections_are_values():
    assert select("a", "b") == select("b", "a", "a")
    assert select("a") != select("a", missing="ignore")
    assert select("a") != select("b")
    assert ~select("a") == ~select("a")
    assert (select("a") | select("b")) != (select("a") & select("b"))
    assert len({select("a", "b"), select("b", "a"), ~select("a")}) == 2


def test_a_selection_does_not_change():
    s: Any = select("a")
    with pytest.raises(AttributeError):
        s.missing = "ignore"


@pytest.mark.parametrize(
    ("selection", "text"),
    [
        (everything, "everything"),
        (nothing, "nothing"),
        (select("a", ("b", 0)), "select('a', ('b', 0))"),
        (select("a", missing="ignore"), "select('a', missing='ignore')"),
        (~select("a"), "~select('a')"),
        (~(select("a") | select(1)) & nothing, "~(select('a') | select(1)) & nothing"),
        (select("a") | (select("b") & everything), "select('a') | (select('b') & everything)"),
    ],
    ids=repr,
)
def test_the_text_of_a_selection_is_what_makes_it(selection, text):
    assert repr(selection) == text
    made = eval(text, {"select": select, "everything": everything, "nothing": nothing})
    assert made == selection
    assert pickle.loads(pickle.dumps(selection)) == selection


@pytest.mark.parametrize(
    "selection",
    [
        everything,
        nothing,
        select("mu", "group"),
        select(("group", 1)),
        select(("group", 1, "x")),
        select("typo", missing="ignore"),
        ~select("mu") | select("typo", missing="ignore"),
    ],
    ids=repr,
)
def test_what_is_there_or_may_be_missing_passes_the_check(selection):
    selection.check(CHOICES)
    selection.check(iter(CHOICES))


@pytest.mark.parametrize(
    "selection",
    [
        select("mu", "groop", "other"),
        select(("group", 1), "groop"),
        ~select("groop"),
        everything & select("groop"),
        select("other", missing="ignore") | select("groop"),
    ],
    ids=repr,
)
def test_the_first_address_with_nothing_there_is_named_with_the_nearest(selection):
    with pytest.raises(
        UnknownAddress, match=r"there is nothing at or below .*'groop'; did you mean 'group'"
    ):
        selection.check(CHOICES)


def test_an_address_below_a_choice_is_not_there():
    with pytest.raises(UnknownAddress, match=r"\('mu', 0\)"):
        select(("mu", 0)).check(CHOICES)


def test_the_check_of_a_trace_without_choices():
    everything.check(())
    with pytest.raises(UnknownAddress, match="there are none"):
        select("a").check(())


@pytest.mark.parametrize("missing", ["warn", None, True])
def test_another_word_for_missing_is_refused(missing: Any):
    with pytest.raises(InvalidValue, match="missing is"):
        select("a", missing=missing)


@pytest.mark.parametrize("address", [["a"], {"a"}, ("a", ("b",)), select("a")], ids=repr)
def test_what_is_no_address_cannot_be_selected(address):
    with pytest.raises(AddressError):
        select(address)


@pytest.mark.parametrize(
    ("given", "selection"),
    [
        ("a", select("a")),
        (("a", 0), select(("a", 0))),
        ((), everything),
        (["a", ("b", 0)], select("a", ("b", 0))),
        pytest.param({"a", "b"}, select("a", "b"), id="a set"),
        ([], nothing),
        (~select("a"), ~select("a")),
    ],
    ids=repr,
)
def test_addresses_and_lists_of_them_stand_for_selections(given, selection):
    assert as_selection(given) == selection


paths = st.lists(st.sampled_from(["a", "b", 0]), max_size=3).map(tuple)
selections = st.recursive(
    st.lists(paths, max_size=3).map(lambda given: select(*given)),
    lambda s: (
        s.map(lambda a: ~a)
        | st.tuples(s, s).map(lambda p: p[0] | p[1])
        | st.tuples(s, s).map(lambda p: p[0] & p[1])
    ),
    max_leaves=4,
)


@given(selections, selections, paths)
def test_selections_obey_the_laws_of_sets(s: Selection, t: Selection, address):
    assert (address in ~~s) == (address in s) != (address in ~s)
    assert (address in s | t) == (address in s or address in t)
    assert (address in ~(s | t)) == (address in ~s & ~t)
    assert (address in s & everything) == (address in s | nothing) == (address in s)


@given(st.lists(paths, max_size=3), paths, paths)
def test_what_is_below_a_selected_address_is_selected(given, address, rest):
    assert address not in select(*given) or address + rest in select(*given)
    assert address + rest in select(address)
