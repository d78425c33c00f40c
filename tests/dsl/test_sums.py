"""Sums in an order that the number of terms decides; branches of them may be summed anywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genparams.dsl.parallel.shards import shards
from genparams.dsl.sums import BLOCK, Sum, branches_of, total_of

counts = st.one_of(st.integers(1, 70), st.integers(1, 9 * BLOCK))


def terms_of(count):
    """Terms of very different size, whose sum depends on the order."""
    rng = np.random.default_rng(count)
    xs = (rng.normal(size=count) * 10.0 ** rng.integers(-9, 9, size=count)).tolist()
    return [{"a": x, "b": np.array([x, 1.0])} if i % 3 else {"a": x} for i, x in enumerate(xs)]


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for key in found:
        np.testing.assert_array_equal(found[key], expected[key], strict=True)


def by_definition(xs):
    """Blocks of terms one after another, then neighbours, then neighbouring sums."""
    level = [sum(xs[i + 1 : i + BLOCK], xs[i]) for i in range(0, len(xs), BLOCK)]
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return level[0]


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 128, 129, 192, 300, 448, 640])
def test_blocks_are_added_one_after_another_and_their_sums_pairwise(count):
    terms = terms_of(count)
    found = total_of((term, 1) for term in terms)
    assert found["a"] == by_definition([term["a"] for term in terms])


@given(counts, st.integers(1, 9), st.sampled_from([0, 100_000]))
def test_sums_of_branches_make_the_same_sum_to_the_bit(count, workers, numbers):
    terms = terms_of(count)
    total = Sum()
    for begin, end in shards(count, workers, numbers):
        for a, b in branches_of(begin, end, count):
            total.add(total_of((term, 1) for term in terms[a:b]), b - a)
    assert_equal(total.total(), total_of((term, 1) for term in terms))


@given(counts, st.data())
def test_a_range_is_made_up_of_branches(count, data):
    begin = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(begin + 1, count))
    found = branches_of(begin, end, count)
    assert [i for a, b in found for i in range(a, b)] == list(range(begin, end))
    for a, b in found:
        blocks = (b - a) // BLOCK
        is_branch = blocks > 0 and (b - a) % BLOCK == 0 and a % (b - a) == 0
        is_end = a % BLOCK == 0 and b == count > BLOCK
        assert b - a == 1 or (is_branch and blocks & (blocks - 1) == 0) or is_end


@given(st.integers(1, 50_000), st.integers(1, 64))
def test_shards_are_nearly_equal_ranges(traces, count):
    found = shards(traces, count)
    assert [a for a, _ in found[1:]] == [b for _, b in found[:-1]]
    assert (found[0][0], found[-1][1]) == (0, traces)
    assert len(found) == min(count, traces)
    longest = max(end - begin for begin, end in found)
    assert longest <= traces / len(found) * 1.13 + 1 or longest <= traces / len(found) + BLOCK


def test_long_shards_have_few_branches():
    for begin, end in shards(1_000_000, 8):
        assert len(branches_of(begin, end, 1_000_000)) <= 10


@given(st.integers(65, 5000), st.integers(1, 1000))
def test_of_many_numbers_few_sums_are_sent(traces, count):
    found = shards(traces, count, 10_000)
    assert sum(len(branches_of(*shard, traces)) for shard in found) <= traces / BLOCK + 1
    assert len(found) <= count


def test_terms_are_not_changed():
    terms = [{"a": np.ones(2)} for _ in range(BLOCK + 3)]
    np.testing.assert_array_equal(total_of((t, 1) for t in terms)["a"], [BLOCK + 3.0] * 2)
    for term in terms:
        np.testing.assert_array_equal(term["a"], [1.0, 1.0])


def test_no_terms_have_no_sum():
    assert total_of([]) == {}
