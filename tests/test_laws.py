"""What holds for every model and every value: laws that tie the ways of executing to each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genparams import (
    ADAM,
    ChoiceMap,
    ParamUpdate,
    accumulate_param_gradients,
    bernoulli,
    categorical,
    gamma,
    gen,
    init_param,
    normal,
    param,
    poisson,
    positive,
    simplex,
)
from genparams.errors import NonFiniteGradient, ShapeError, UnusedConstraint
from genparams.trace.selection import as_selection, everything, nothing

law = settings(max_examples=40)
seeds = st.integers(0, 2**32 - 1)
numbers = st.floats(-3.0, 3.0)
scales = st.floats(-1e3, 1e3)


@gen
def leaf(x):
    return gamma(param("shape", 2.0, positive), scale=np.exp(0.1 * x)) @ "g"


@gen
def tree(depth, x):
    """Choices of every kind, below calls, inlined calls, recursion and data-dependent branches."""
    x = normal(x + param("shift", 0.3), param("std", 1.0, positive)) @ "x"
    count = poisson(param("rate", 1.5, positive)) @ "count"
    w = normal(param("w", [0.5, -0.5]) * x, 1.0, size=(count + 1, 2)) @ "w"
    k = categorical(param("probs", [0.2, 0.3, 0.5], simplex)) @ ("which", "k")
    x = x + (leaf(x) @ ("leaf", k) if bernoulli(0.5) @ ("which", "leaf") else leaf.inline(x))
    if depth > 0:
        x = x + tree(depth - 1, 0.1 * x) @ "below"
    return x + np.sum(w)


trees = st.builds(
    lambda depth, x, seed: tree.simulate((depth, x), seed), st.integers(0, 2), numbers, seeds
)


def zero():
    for f in (tree, leaf):
        for name in f.params:
            f.params[name].zero_grad()


def accumulated():
    """Every accumulator in one vector, emptied."""
    found = [np.ravel(p.grad) for f in (tree, leaf) for _, p in f.params.items()]
    zero()
    return np.concatenate(found)


@law
@given(trees)
def test_assess_agrees_with_simulate(trace):
    weight, retval = tree.assess(trace.args, trace.choices)
    assert weight == trace.log_prob
    assert retval == trace.retval


@law
@given(trees)
def test_generate_with_everything_given_weighs_its_log_probability(trace):
    again, weight = tree.generate(trace.args, trace.choices.to_dict())
    assert weight == pytest.approx(trace.log_prob, rel=1e-13)
    assert again.log_prob == trace.log_prob
    assert again.choices == trace.choices
    assert again.retval == trace.retval


@law
@given(trees, seeds, st.randoms(use_true_random=False))
def test_the_weight_of_generate_is_the_sum_over_what_was_given(trace, seed, random):
    given_choices = {
        a: v
        for a, v in trace.choices.items()
        if random.random() < 0.5 or a[-1] == "count"  # the shape of w depends on it
    }
    again, weight = tree.generate(trace.args, given_choices, seed, strict=False)
    expected = sum(again.log_probs[a] for a in given_choices if a in again.choices)
    assert weight == pytest.approx(expected, rel=1e-13, abs=1e-13)


@law
@given(st.integers(0, 2), numbers, seeds)
def test_a_seed_determines_a_run_to_the_bit(depth, x, seed):
    first, second = (tree.simulate((depth, x), seed) for _ in range(2))
    assert first.choices == second.choices
    assert first.log_probs == second.log_probs
    choices, weight, retval = tree.propose((depth, x), seed)
    assert (choices, weight, retval) == (first.choices, first.log_prob, first.retval)


@law
@given(trees, scales, numbers)
def test_accumulation_is_linear_in_the_scale(trace, scale, retval_grad):
    zero()
    trace.accumulate_param_gradients(retval_grad)
    once = accumulated()
    trace.accumulate_param_gradients(retval_grad, scale)
    np.testing.assert_allclose(accumulated(), scale * once, rtol=1e-12, atol=1e-12)


@law
@given(trees, numbers, numbers)
def test_accumulation_is_linear_in_the_gradient_of_the_return_value(trace, a, b):
    zero()
    trace.accumulate_param_gradients()
    of_choices = accumulated()
    parts = []
    for g in (a, b, a + b):
        trace.accumulate_param_gradients(g)
        parts.append(accumulated() - of_choices)
    np.testing.assert_allclose(parts[0] + parts[1], parts[2], rtol=1e-8, atol=1e-8)


@law
@given(st.lists(trees, min_size=1, max_size=4), st.data())
def test_several_traces_add_what_each_adds_alone(traces, data):
    factors = data.draw(st.lists(scales, min_size=len(traces), max_size=len(traces)))
    zero()
    accumulate_param_gradients(traces, factors)
    together = accumulated()
    for trace, factor in zip(traces, factors, strict=True):
        trace.accumulate_param_gradients(scale=factor)
    np.testing.assert_array_equal(together, accumulated())


@law
@given(trees)
def test_param_gradients_are_what_is_accumulated(trace):
    zero()
    found = trace.param_gradients(0.5)
    trace.accumulate_param_gradients(0.5)
    for f in (tree, leaf):
        for name, g in found.get(f.__name__, {}).items():
            np.testing.assert_array_equal(g, f.params[name].grad)
    zero()


# --- Edits

edits = st.tuples(trees, st.integers(0, 2), numbers, seeds, st.integers(0, 2**16))


def edited(trace, depth, x, seed, mask):
    """A trace updated with some of the choices of another one, and to its arguments.

    With all of them where some do not go together: a kept count, and an array of another length.
    Returns what was given, the new trace, the weight and what was discarded.
    """
    other = tree.simulate((depth, x), seed)
    some = {a: v for i, (a, v) in enumerate(other.choices.items()) if mask >> i & 1}
    try:
        return (some, *trace.update(some, other.args, rng=seed))
    except (ShapeError, UnusedConstraint):
        return (other.choices, *trace.update(other.choices, other.args))


@law
@given(edits)
def test_an_update_there_and_back_is_the_identity_and_its_weights_cancel(edit):
    """What was drawn on the way there, and weighs nothing, is subtracted on the way back."""
    trace = edit[0]
    given, new, weight, discard = edited(*edit)
    back, back_weight, again = new.update(discard, trace.args)
    assert back == trace
    fresh = set(new.choices) - set(trace.choices) - set(given)
    drawn = sum(new.log_probs[a] for a in fresh)
    assert weight + drawn == pytest.approx(-back_weight, rel=1e-9, abs=1e-9)
    gone = {a: v for a, v in new.choices.items() if a in discard or a not in trace.choices}
    assert again == gone


@law
@given(edits)
def test_an_update_weighs_the_change_of_log_prob_less_what_was_drawn(edit):
    trace = edit[0]
    given, new, weight, discard = edited(*edit)
    assert new.log_prob == tree.assess(new.args, new.choices)[0]
    fresh = set(new.choices) - set(trace.choices) - set(given)
    expected = new.log_prob - sum(new.log_probs[a] for a in fresh) - trace.log_prob
    assert weight == pytest.approx(expected, rel=1e-9, abs=1e-9)
    replaced = set(trace.choices) & set(given)
    assert set(discard) == replaced | (set(trace.choices) - set(new.choices))


@law
@given(trees)
def test_an_update_of_nothing_is_the_identity(trace):
    assert trace.update({}) == (trace, 0.0, {})
    assert trace.rescored() == trace
    assert trace.regenerate(nothing) == (trace, 0.0)
    assert not trace.is_stale


@law
@given(trees, seeds)
def test_regenerating_everything_is_simulating(trace, seed):
    assert trace.regenerate(everything, rng=seed) == (tree.simulate(trace.args, seed), 0.0)


@law
@given(trees, seeds, st.integers(0, 2**16))
def test_regenerating_weighs_the_change_of_what_is_kept(trace, seed, mask):
    chosen = [a for i, a in enumerate(trace.choices) if mask >> i & 1]
    try:
        new, weight = trace.regenerate(chosen, rng=seed)
    except ShapeError:  # another count, and the array that it sizes is kept
        return
    kept = [a for a in trace.choices if a not in chosen and a in new.choices]
    expected = sum(new.log_probs[a] - trace.log_probs[a] for a in kept)
    assert weight == pytest.approx(expected, rel=1e-9, abs=1e-9)
    for a in kept:
        np.testing.assert_array_equal(new[a], trace[a])


@law
@given(trees, st.integers(0, 2**16))
def test_projections_on_a_selection_and_its_complement_add_up(trace, mask):
    selection = as_selection([a for i, a in enumerate(trace.choices) if mask >> i & 1])
    whole = trace.project(selection) + trace.project(~selection)
    assert whole == pytest.approx(trace.log_prob, rel=1e-12, abs=1e-12)


@law
@given(trees, numbers)
def test_the_gradient_by_a_choice_does_not_depend_on_what_else_is_selected(trace, g):
    smooth = [a for a, v in trace.choices.items() if np.asarray(v).dtype.kind == "f"]
    together = trace.choice_gradients(smooth, g)[2]
    for a in smooth:
        np.testing.assert_allclose(
            trace.choice_gradients([a], g)[2][a], together[a], rtol=1e-10, atol=1e-12
        )


# --- The score has mean zero


def test_the_mean_gradient_at_the_true_parameters_is_zero():
    """E[d/d theta log p(t; theta)] = 0 under t ~ p(.; theta).

    A right library fails this once in about 2000 choices of the seed: each of the 8 coordinates
    must lie within 4 standard errors.
    """
    leaf.simulate((0.0,))
    rows = []
    for seed in range(1500):
        zero()
        tree.simulate((0, 0.5), seed).accumulate_param_gradients()
        rows.append(accumulated())
    rows = np.array(rows)
    errors = rows.std(axis=0) / np.sqrt(len(rows))
    assert np.all(errors > 0.0)
    assert np.max(np.abs(rows.mean(axis=0) / errors)) < 4.0


def test_the_mean_gradient_at_other_parameters_is_not_zero():
    """The law above has the power to fail: the data are drawn at 0.3 and differentiated at 0.6."""
    shift = tree.params["shift"]
    traces = [tree.simulate((0, 0.5), seed) for seed in range(300)]
    before = shift.value
    shift.set(before + 0.3)
    found = np.array([trace.param_gradients()["tree"]["shift"] for trace in traces])
    shift.set(before)
    assert abs(found.mean()) / (found.std() / np.sqrt(len(found))) > 4.0


# --- Choice maps

keys = st.one_of(st.text(max_size=3), st.integers(-3, 3), st.booleans(), st.none())
leaves = st.one_of(
    st.floats(allow_nan=False), st.integers(), st.booleans(), st.lists(numbers, max_size=3)
)
nested = st.recursive(
    st.dictionaries(keys, leaves, max_size=4),
    lambda inner: st.dictionaries(keys, st.one_of(leaves, inner), max_size=4),
    max_leaves=12,
)


def flattened(values, prefix=()):
    flat = {}
    for key, value in values.items():
        below = flattened(value, (*prefix, key)) if isinstance(value, dict) else {}
        flat.update(below if isinstance(value, dict) else {(*prefix, key): value})
    return flat


@law
@given(nested)
def test_a_choice_map_of_a_nested_dictionary_is_that_of_the_flat_one(values):
    choices = ChoiceMap(values)
    assert choices == ChoiceMap(flattened(values)) == flattened(values)
    assert ChoiceMap(choices.to_dict()) == choices
    assert ChoiceMap(dict(choices)) == choices
    assert list(choices) == list(flattened(values))


@law
@given(nested)
def test_every_value_is_found_by_its_path_and_step_by_step(values):
    choices = ChoiceMap(values)
    for address, value in flattened(values).items():
        stepwise = choices
        for key in address:
            stepwise = stepwise[key]
        np.testing.assert_array_equal(choices[address], value)
        np.testing.assert_array_equal(stepwise, value)
        assert address in choices
        assert address[:-1] not in choices


# --- Failure


@law
@given(st.integers(0, 6), st.booleans(), seeds)
def test_a_failed_run_leaves_nothing_behind(place, nested_call, seed):
    places = iter(range(100))

    def fail_here():
        if next(places) == place:
            raise RuntimeError("here")

    @gen
    def inner():
        fail_here()
        param("b", 1.0)
        fail_here()
        normal(0.0, 1.0) @ "x"
        fail_here()

    @gen
    def outer():
        fail_here()
        param("a", [1.0, 2.0])
        fail_here()
        inner() @ "inner" if nested_call else inner.inline()
        fail_here()
        param("c", 1.0)
        fail_here()

    init_param(outer, "kept", 1.0)
    outer.params["kept"].increment_grad(2.0)
    with pytest.raises(RuntimeError, match="here"):
        outer.simulate((), seed)
    assert list(outer.params) == ["kept"]
    assert list(inner.params) == []
    assert outer.params["kept"].grad == 2.0
    places = iter(range(100, 200))
    outer.simulate((), seed)
    assert list(outer.params) == ["kept", "a", "c"]


@law
@given(st.integers(0, 2), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_an_update_that_is_refused_leaves_nothing_behind(place, bad):
    @gen
    def f():
        return [param(name, [1.0, 2.0]) for name in "abc"]

    f.simulate()
    update = ParamUpdate(ADAM(0.1), f)
    update.apply(grads={"a": [1.0, 1.0], "b": [2.0, 2.0], "c": [3.0, 3.0]})
    for i, (_, p) in enumerate(f.params.items()):
        p.increment_grad(np.array([1.0, bad if i == place else 1.0]))
    before = {k: v.tobytes() for k, v in update.state_dict().items()}
    values = [p.value.copy() for _, p in f.params.items()]
    grads = [p.grad.tobytes() for _, p in f.params.items()]
    with pytest.raises(NonFiniteGradient, match="step 2"):
        update.apply()
    assert {k: v.tobytes() for k, v in update.state_dict().items()} == before
    assert all(
        np.array_equal(p.value, v) for (_, p), v in zip(f.params.items(), values, strict=True)
    )
    assert [p.grad.tobytes() for _, p in f.params.items()] == grads
