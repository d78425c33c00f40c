"""Structures: nested tuples, lists and dictionaries."""

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genparams.errors import ShapeError
from genparams.structure import indexed, leaves, map_leaves, pairs, paths, replace

LEAVES = st.none() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=2)
TREES = st.recursive(
    LEAVES,
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2), parts, max_size=3)
    ),
    max_leaves=8,
)


class Point(NamedTuple):
    x: float
    y: float


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


@given(TREES)
def test_mapping_the_identity_gives_an_equal_structure(tree):
    assert map_leaves(lambda leaf: leaf, tree) == tree


@given(TREES)
def test_mapping_a_function_maps_every_leaf_in_order(tree):
    assert leaves(map_leaves(repr, tree)) == [repr(leaf) for leaf in leaves(tree)]


@given(TREES)
def test_a_leaf_is_at_its_path(tree):
    assert [leaf for _, leaf in paths(tree)] == leaves(tree)
    for path, leaf in paths(tree):
        assert at(tree, path) is leaf


@given(TREES)
def test_replacing_a_leaf_changes_it_alone(tree):
    for path, _ in paths(tree):
        new = replace(tree, path, "new")
        for other, leaf in paths(new):
            assert leaf is ("new" if other == path else at(tree, other))


@given(TREES)
def test_a_structure_pairs_with_itself_leaf_by_leaf(tree):
    found = list(pairs(tree, tree, "r", "g"))
    wanted = [(f"r{indexed(path)}", leaf) for path, leaf in paths(tree) if leaf is not None]
    assert [(name, one) for name, one, _ in found] == wanted
    assert all(one is other for _, one, other in found)


def test_a_named_tuple_keeps_its_class():
    assert map_leaves(abs, Point(-1.0, -2.0)) == Point(1.0, 2.0)
    assert replace([Point(1.0, 2.0)], (0, 1), 3.0) == [Point(1.0, 3.0)]
    assert type(replace(Point(1.0, 2.0), (0,), 0.0)) is Point


def test_the_leaves_of_a_mapping_are_its_values():
    assert leaves(MappingProxyType({"a": [1, 2]})) == [1, 2]


def test_a_path_is_shown_as_python_writes_it():
    assert indexed((0, "y")) == "[0]['y']"
    assert indexed(()) == ""


def test_none_pairs_with_nothing_and_a_dictionary_may_leave_out_keys():
    found = pairs({"a": 1.0, "b": (2.0, 3.0)}, {"b": (None, 5.0)}, "r", "g")
    assert list(found) == [("r['b'][1]", 3.0, 5.0)]


def test_the_rows_of_an_array_pair_with_the_parts_of_a_list():
    assert [(r, g) for _, r, g in pairs([1.0, 2.0], np.array([3.0, 4.0]), "r", "g")] == [
        (1.0, 3.0),
        (2.0, 4.0),
    ]


@pytest.mark.parametrize(
    ("tree", "other", "said"),
    [
        ({"a": 1.0}, {"b": 1.0}, r"r is a dictionary with keys \['a'\]; g gives"),
        ({"a": 1.0}, 2.0, "r is a dictionary"),
        ([[1.0, 2.0]], [[1.0]], r"r\[0\] has 2 parts; g gives"),
        ((1.0,), 2.0, "r has 1 parts; g gives 2.0"),
    ],
)
def test_structures_that_differ_are_refused(tree, other, said):
    with pytest.raises(ShapeError, match=said):
        list(pairs(tree, other, "r", "g"))
