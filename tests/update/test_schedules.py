"""Schedules: each against numbers worked out by hand, and the laws that all of them keep."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genparams.errors import InvalidValue
from genparams.update.schedules import (
    constant_schedule,
    cosine_decay,
    exponential_decay,
    inverse_time_decay,
    join_schedules,
    one_over_sqrt,
    piecewise_constant,
    polynomial_decay,
)

deterministic = settings(max_examples=60)
ROOT_HALF = math.sqrt(0.5)
WARM = polynomial_decay(0.0, 1.0, 1, 4)

# the schedule, and factors by count, from the formulas with pencil and paper
TABLE = {
    "constant": (constant_schedule(0.01), {0: 0.01, 1: 0.01, 10**9: 0.01}),
    "inverse time": (inverse_time_decay(1.0, 0.5), {0: 1.0, 1: 2 / 3, 2: 0.5, 6: 0.25}),
    "inverse time over steps": (inverse_time_decay(2.0, 1.0, 10), {0: 2.0, 10: 1.0, 30: 0.5}),
    "inverse time at rate 0": (inverse_time_decay(0.3, 0.0), {0: 0.3, 100: 0.3}),
    "one over sqrt": (one_over_sqrt(0.6), {0: 0.6, 3: 0.3, 8: 0.2, 35: 0.1}),
    "exponential": (
        exponential_decay(0.01, 0.25, 10),
        {0: 0.01, 5: 0.005, 10: 0.0025, 20: 0.000625},
    ),
    "exponential from a begin": (
        exponential_decay(0.8, 0.25, 2, 3),
        {0: 0.8, 2: 0.8, 3: 0.8, 4: 0.4, 5: 0.2, 7: 0.05},
    ),
    "exponential by stairs": (
        exponential_decay(0.8, 0.5, 4, 1, staircase=True),
        {0: 0.8, 1: 0.8, 4: 0.8, 5: 0.4, 8: 0.4, 9: 0.2},
    ),
    "exponential with an end": (
        exponential_decay(1.0, 0.5, 1, end=0.2),
        {0: 1.0, 2: 0.25, 3: 0.2, 10**6: 0.2},
    ),
    "exponential that grows": (
        exponential_decay(1.0, 2.0, 1, end=10.0),
        {0: 1.0, 3: 8.0, 4: 10.0, 10**6: 10.0},
    ),
    "exponential without end": (
        exponential_decay(1.0, 2.0, 1),
        {10: 1024.0, 2000: math.inf, 10**6: math.inf},
    ),
    "exponential down to nothing": (exponential_decay(1.0, 0.5, 1), {10**6: 0.0}),
    "polynomial": (
        polynomial_decay(1.0, 0.0, 2, 10),
        {0: 1.0, 1: 0.81, 5: 0.25, 9: 0.01, 10: 0.0, 11: 0.0},
    ),
    # the example of optax's documentation
    "polynomial from a begin": (
        polynomial_decay(1.0, 0.01, 2, 100, 5),
        {0: 1.0, 5: 1.0, 6: 0.980299, 104: 0.010099, 105: 0.01, 110: 0.01},
    ),
    "straight line up": (WARM, {0: 0.0, 1: 0.25, 2: 0.5, 4: 1.0, 5: 1.0}),
    "cosine": (
        cosine_decay(1.0, 4),
        {0: 1.0, 1: (1 + ROOT_HALF) / 2, 2: 0.5, 3: (1 - ROOT_HALF) / 2, 4: 0.0, 5: 0.0},
    ),
    # init ((1 - alpha) (1 + cos(pi n / k)) / 2 + alpha), alpha 0.1
    "cosine with Axon's alpha": (cosine_decay(0.2, 6, 0.1 * 0.2), {2: 0.155, 3: 0.11, 6: 0.02}),
    "GoMLX's saw-tooth": (
        cosine_decay(1.0, 100, 0.001, cycles=None),
        {0: 1.0, 50: 0.5005, 100: 1.0, 150: 0.5005, 200: 1.0, 10**6: 1.0, 10**6 + 50: 0.5005},
    ),
    "a saw-tooth of three": (
        cosine_decay(1.0, 2, cycles=3),
        {0: 1.0, 1: 0.5, 2: 1.0, 3: 0.5, 4: 1.0, 5: 0.5, 6: 0.0, 7: 0.0},
    ),
    "three periods in ten steps": (
        cosine_decay(1.0, 10 / 3, cycles=None),
        {0: 1.0, 5: 0.5, 10: 1.0, 15: 0.5, 20: 1.0},
    ),
    "GoMLX's warm-up": (
        cosine_decay(1.0, 4, 0.2, cycles=None, warmup=4),
        {0: 0.2, 1: 0.4, 3: 0.8, 4: 1.0, 6: 0.6, 8: 1.0, 10: 0.6},
    ),
    # warmup_cosine_decay_schedule(0.1, 1.0, 3, 7, 0.2)
    "optax's warm-up": (
        cosine_decay(1.0, 7 - 3, 0.2, warmup=3, start=0.1),
        {0: 0.1, 1: 0.4, 2: 0.7, 3: 1.0, 5: 0.6, 7: 0.2, 8: 0.2},
    ),
    "piecewise": (
        # the example of optax's documentation
        piecewise_constant(1.0, {100: 0.1, 200: 0.01}),
        {0: 1.0, 50: 1.0, 99: 1.0, 100: 0.1, 150: 0.1, 199: 0.1, 200: 0.001, 250: 0.001},
    ),
    "piecewise in any order": (piecewise_constant(1.0, {4: 3.0, 2: 0.5}), {1: 1, 2: 0.5, 4: 1.5}),
    "piecewise from the start": (piecewise_constant(2.0, {0: 0.5}), {0: 1.0, 1: 1.0}),
    "piecewise of one piece": (piecewise_constant(2.0, {}), {0: 2.0, 9: 2.0}),
    "joined": (
        join_schedules([WARM, one_over_sqrt(1.0), constant_schedule(0.1)], [4, 8]),
        {0: 0.0, 3: 0.75, 4: 1.0, 7: 0.5, 8: 0.1, 100: 0.1},
    ),
    "joined to nothing": (join_schedules([one_over_sqrt(1.0)], []), {0: 1.0, 3: 0.5}),
}
SCHEDULES = {name: schedule for name, (schedule, _) in TABLE.items()}
every = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


@pytest.mark.parametrize("name", TABLE)
def test_factors_are_those_worked_out_by_hand(name):
    schedule, expected = TABLE[name]
    found = {count: schedule(count) for count in expected}
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


# --- Laws


@every
def test_a_factor_is_a_python_float(schedule):
    assert {type(schedule(count)) for count in (0, 1, 4, 7, 1000)} == {float}


@every
def test_a_schedule_is_a_pure_function(schedule):
    counts = [5, 0, 7, 0, 5]
    assert [schedule(c) for c in counts] == [schedule(c) for c in counts]


@every
def test_a_schedule_pickles_copies_and_equals_its_copy(schedule):
    for again in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert again == schedule
        assert hash(again) == hash(schedule)
        assert [again(c) for c in range(20)] == [schedule(c) for c in range(20)]


@every
def test_a_schedule_shows_the_numbers_that_make_it(schedule):
    assert eval(repr(schedule)) == schedule


def test_schedules_of_different_numbers_differ():
    assert cosine_decay(0.1, 10) != cosine_decay(0.1, 11)
    assert cosine_decay(0.1, 10) != cosine_decay(0.1, 10, cycles=None)
    assert piecewise_constant(1.0, {3: 0.5}) != piecewise_constant(1.0, {3: 0.25})


def test_numbers_of_numpy_become_plain():
    numbers: Any = np.float32(0.5), np.int64(8), np.float64(0.25)
    warmup: Any = np.int32(1)
    schedule = cosine_decay(*numbers, warmup=warmup)
    assert schedule == cosine_decay(0.5, 8, 0.25, warmup=1)
    assert repr(schedule) == repr(cosine_decay(0.5, 8, 0.25, warmup=1))


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        constant_schedule(0.1).value = 0.2  # pyright: ignore[reportAttributeAccessIssue]


def test_a_schedule_keeps_its_own_copy_of_what_it_was_given():
    factors, parts, boundaries = {3: 0.5}, [constant_schedule(1.0), constant_schedule(2.0)], [3]
    schedule, joined = piecewise_constant(1.0, factors), join_schedules(parts, boundaries)
    factors[3], parts[1], boundaries[0] = 7.0, constant_schedule(7.0), 1
    assert schedule(3) == 0.5
    assert [joined(2), joined(3)] == [1.0, 2.0]


sizes = st.floats(1e-6, 1e3)
lengths = st.integers(1, 200)
begins = st.integers(0, 50)
decays = st.one_of(
    st.builds(inverse_time_decay, sizes, sizes, lengths),
    st.builds(one_over_sqrt, sizes),
    st.builds(
        exponential_decay, sizes, st.floats(0.01, 1.0), lengths, begins, staircase=st.booleans()
    ),
    st.builds(polynomial_decay, sizes, st.just(0.0), st.floats(0.1, 5.0), lengths, begins),
    st.builds(cosine_decay, sizes, lengths),
    st.builds(piecewise_constant, sizes, st.dictionaries(st.integers(0, 300), st.floats(0.0, 1.0))),
)


@deterministic
@given(decays, st.integers(0, 300))
def test_a_decay_never_rises_and_stays_between_its_beginning_and_0(schedule, count):
    assert 0.0 <= schedule(count + 1) <= schedule(count) <= schedule.init


@deterministic
@given(sizes, sizes, lengths, st.integers(1, 5), begins, st.integers(0, 1500))
def test_a_cosine_stays_between_its_ends(init, end, steps, cycles, warmup, count):
    factor = cosine_decay(init, steps, end, cycles=cycles, warmup=warmup)(count)
    assert min(init, end) * (1 - 1e-12) <= factor <= max(init, end) * (1 + 1e-12)


@deterministic
@given(sizes, sizes, st.floats(0.5, 3.0), lengths, begins)
def test_a_polynomial_and_a_cosine_reach_their_ends(init, end, power, steps, begin):
    polynomial = polynomial_decay(init, end, power, steps, begin)
    cosine = cosine_decay(init, steps, end, warmup=begin)
    for schedule in (polynomial, cosine):
        assert schedule(begin) == pytest.approx(init, rel=1e-9)
        assert schedule(begin + steps) == end


@pytest.mark.parametrize(
    "schedule",
    [
        polynomial_decay(1.0, 0.1, 2, 1000, 500),
        exponential_decay(1.0, 0.5, 500, 500, end=0.4),
        cosine_decay(1.0, 1000, 0.1, warmup=500),
        cosine_decay(1.0, 1000, 0.1, warmup=500, start=0.7),
    ],
    ids=repr,
)
def test_there_is_no_jump_where_one_formula_follows_another(schedule):
    factors = np.array([schedule(count) for count in range(2000)])
    assert np.max(np.abs(np.diff(factors))) < 0.003


def test_a_saw_tooth_jumps_back_and_never_reaches_its_end():
    factors = [cosine_decay(1.0, 10, 0.1, cycles=None)(count) for count in range(30)]
    assert factors[:10] * 2 == pytest.approx(factors[10:])
    assert factors[9] < factors[10] == 1.0
    assert min(factors) > 0.1


# --- One system's schedule in the words of another


@pytest.mark.parametrize("count", range(12))
def test_a_warm_up_is_a_straight_line_joined_to_a_cosine(count):
    line, cosine = polynomial_decay(0.1, 1.0, 1, 3), cosine_decay(1.0, 5, 0.2)
    joined = join_schedules([line, cosine], [3])
    assert cosine_decay(1.0, 5, 0.2, warmup=3, start=0.1)(count) == pytest.approx(joined(count))


@pytest.mark.parametrize("count", range(5))
def test_the_translations_of_the_docstrings_hold(count):
    n, gamma, beta = count + 1, 0.3, 2.5
    flux7 = inverse_time_decay(1 / (1 + gamma), gamma / (1 + gamma))
    assert inverse_time_decay(1.0, gamma)(count) == pytest.approx(1 / (1 + gamma * count))
    assert flux7(count) == pytest.approx(1 / (1 + gamma * n))
    gen = inverse_time_decay(0.2, 1.0, beta + 1)
    assert gen(count) == pytest.approx(0.2 * (beta + 1) / (beta + n))


# --- What is refused

REFUSED = {
    "no number": (lambda: constant_schedule("fast"), r"constant_schedule: value must be a finite"),  # pyright: ignore[reportArgumentType]
    "NaN": (lambda: constant_schedule(math.nan), "value must be a finite number, got nan"),
    "infinite": (lambda: one_over_sqrt(math.inf), "one_over_sqrt: init must be a finite number"),
    "a truth value": (lambda: exponential_decay(0.1, 0.9, 10, True), "begin must be a whole"),
    "a negative rate": (
        lambda: inverse_time_decay(1.0, -0.1),
        r"inverse_time_decay: rate must be at least 0 and finite, got -0.1",
    ),
    "no steps": (
        lambda: cosine_decay(0.1, 0),
        "cosine_decay: steps must be a number of steps above 0, got 0",
    ),
    "NaN steps": (lambda: polynomial_decay(1.0, 0.0, 1, math.nan), "steps must be .* got nan"),
    "endless steps": (lambda: inverse_time_decay(1.0, 1.0, math.inf), "steps must be .* got inf"),
    "rate 0": (lambda: exponential_decay(0.1, 0.0, 10), "rate must be above 0 and finite"),
    "init 0": (lambda: exponential_decay(0.0, 0.9, 10), "init must be above 0 and finite"),
    "a begin before the start": (lambda: exponential_decay(0.1, 0.9, 10, -1), "begin must be"),
    "half a count": (lambda: polynomial_decay(1.0, 0.0, 1, 10, 0.5), "whole number .* got 0.5"),  # pyright: ignore[reportArgumentType]
    "an end above": (
        lambda: exponential_decay(0.1, 0.5, 10, end=0.2),
        "with rate 0.5 the end must be at most init = 0.1, got 0.2; swap .* rate as 2.0",
    ),
    "an end below": (
        lambda: exponential_decay(0.1, 2.0, 10, end=0.05),
        "with rate 2.0 the end must be at least init = 0.1, got 0.05; swap .* rate as 0.5",
    ),
    "a negative end": (lambda: exponential_decay(0.1, 0.5, 10, end=-1.0), "end must be at least 0"),
    "power 0": (lambda: polynomial_decay(1.0, 0.0, 0, 10), "power must be above 0 and finite"),
    "no cycles": (lambda: cosine_decay(0.1, 10, cycles=0), "cycles must be 1, 2, .* None .* got 0"),
    "a part of a cycle": (lambda: cosine_decay(0.1, 10, cycles=1.5), "cycles must be .* got 1.5"),  # pyright: ignore[reportArgumentType]
    "a negative warm-up": (lambda: cosine_decay(0.1, 10, warmup=-1), "warmup must be .* got -1"),
    "a start of nothing": (
        lambda: cosine_decay(0.1, 10, start=0.01),
        "start = 0.01 is where a warm-up begins, and there is none; give warmup=100",
    ),
    "factors in a list": (
        lambda: piecewise_constant(1.0, [(3, 0.5)]),  # pyright: ignore[reportArgumentType]
        r"factors must be a dictionary .* \{100: 0.5\}, got \[\(3, 0.5\)\]",
    ),
    "half a boundary": (lambda: piecewise_constant(1.0, {2.5: 0.1}), "a boundary must be .* 2.5"),  # pyright: ignore[reportArgumentType]
    "a negative factor": (lambda: piecewise_constant(1.0, {2: -0.1}), "the factor at 2 must be"),
    "nothing to join": (lambda: join_schedules([], []), "0 schedules meet at 0 boundaries, got 0"),
    "too few boundaries": (
        lambda: join_schedules([WARM, WARM], []),
        "2 schedules meet at 1 boundaries, got 0; give .* the count at which each",
    ),
    "falling boundaries": (
        lambda: join_schedules([WARM, WARM, WARM], [5, 3]),
        r"boundaries must rise from above 0, got \[5, 3\]; sort them",
    ),
    "a boundary at 0": (lambda: join_schedules([WARM, WARM], [0]), r"rise from above 0, got \[0\]"),
    "a number to join": (lambda: join_schedules([0.1], []), r"such as constant_schedule\(0.1\)"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_meaning_is_refused_when_it_is_made(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()
