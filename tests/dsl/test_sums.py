"""Pairwise sums: the tree depends on the number of terms, and branches may be summed anywhere."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genparams.dsl.parallel.branches import branches, shards
from genparams.dsl.sums import PairwiseSum, pairwise_sum

numbers = st.lists(st.floats(-1e20, 1e20), min_size=1, max_size=70)


def terms_of(xs):
    return [{"a": x, "b": np.array([x, 1.0])} if i % 3 else {"a": x} for i, x in enumerate(xs)]


@given(numbers)
def test_neighbours_are_added_then_neighbouring_sums(xs):
    level = xs
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(level) - len(level) % 2 :]
    assert pairwise_sum({"a": x} for x in xs) == {"a": level[0]}


@given(numbers, st.integers(1, 9))
def test_sums_of_branches_make_the_same_sum_to_the_bit(xs, count):
    terms = terms_of(xs)
    total = PairwiseSum()
    for begin, end in shards(len(terms), count):
        for a, b in branches(begin, end):
            total.add(pairwise_sum(terms[a:b]), b - a)
    found, whole = total.total(), pairwise_sum(terms)
    assert found["a"] == whole["a"]
    assert found.keys() == whole.keys()
    if "b" in whole:
        np.testing.assert_array_equal(found["b"], whole["b"])


@given(st.integers(1, 5000), st.integers(1, 64))
def test_shards_are_nearly_equal_ranges_of_few_branches(traces, count):
    found = shards(traces, count)
    assert [i for begin, end in found for i in range(begin, end)] == list(range(traces))
    lengths = [end - begin for begin, end in found]
    assert len(found) == min(count, traces)
    assert max(lengths) <= 1.2 * traces / len(found) + 1
    assert all(len(branches(*shard)) <= 12 for shard in found)


def test_terms_are_not_changed():
    terms = [{"a": np.ones(2)}, {"a": np.ones(2)}, {"a": np.ones(2)}, {}]
    np.testing.assert_array_equal(pairwise_sum(terms)["a"], [3.0, 3.0])
    for term in terms[:3]:
        np.testing.assert_array_equal(term["a"], [1.0, 1.0])


def test_no_terms_have_no_sum():
    assert pairwise_sum([]) == {}
