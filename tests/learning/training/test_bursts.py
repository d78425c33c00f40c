"""Bursts: many steps of training in one call are the steps one by one, to the bit."""

import math
import signal
import threading
from typing import Any

import numpy as np
import pytest
from training import X, Y, adam, begin, history_of, values

from genparams import (
    ADAM,
    SGD,
    AdaGrad,
    AdamW,
    EarlyStopping,
    GradientTracer,
    Lion,
    Momentum,
    ParamUpdate,
    RMSProp,
    chain,
    clip,
    clip_by_global_norm,
    cosine_decay,
    exponential,
    gen,
    init_param,
    normal,
    param,
    partition,
    positive,
    scale_by_schedule,
    simplex,
    with_schedule,
)
from genparams.errors import (
    GenParamsError,
    ImpossibleTrace,
    NotStatic,
    UnusedConstraint,
    UpdateError,
)
from genparams.learning.training.train import train

DATA = (X,), {"y": Y}


def one_by_one(event):
    """A callback that is called after each step, so that there are no bursts."""


def line():
    """A line whose gradient is recorded, at its start."""

    @gen(static=True)
    def line(x):
        return normal(param("slope") * x + param("intercept"), param("noise")) @ "y"

    begin(line)
    return line


def counting(f) -> list[int]:
    """A list that gets an entry for each gradient of one step alone."""
    static, found = f.trace_gradients, []
    accumulate = static.accumulate

    def counted(*given):
        found.append(1)
        return accumulate(*given)

    static.accumulate = counted
    return found


def same(one, other):
    """Assert that two trainings have the same history, but for the time."""
    assert one.stopped_because == other.stopped_because
    for name in ("steps", "epochs", "log_prob"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    np.testing.assert_allclose(one.grad_norm, other.grad_norm, rtol=1e-12)
    assert one.params.keys() == other.params.keys()
    for name in one.params:
        np.testing.assert_array_equal(one.params[name], other.params[name])
    assert np.all(np.diff(one.seconds) >= 0.0)


def same_updates(one, other):
    assert one.steps == other.steps
    a, b = one.state_dict(), other.state_dict()
    assert [name.split(".")[-1] for name in a] == [name.split(".")[-1] for name in b]
    for x, y in zip(a.values(), b.values(), strict=True):
        np.testing.assert_array_equal(x, y)


def both(make, rule, data, **options):
    """Train in bursts and one by one, and compare; how many steps were alone."""
    f, g = make(), make()
    update, other = ParamUpdate(rule, f), ParamUpdate(rule, g)
    alone = counting(f)
    one = train(f, data, update, **options)
    two = train(g, data, other, callbacks=[one_by_one], **options)
    same(one, two)
    for p, q in zip(f.params.values(), g.params.values(), strict=True):
        np.testing.assert_array_equal(p.value, q.value)
        assert not p.accumulated
    same_updates(update, other)
    return len(alone)


RULES = {
    "ADAM": ADAM(0.05),
    "SGD": SGD(0.001),
    "Momentum": Momentum(0.001),
    "RMSProp": RMSProp(0.01),
    "AdaGrad": AdaGrad(0.1),
    "AdamW": AdamW(0.05),
    "Lion": Lion(0.01),
    "clipped": chain(clip(0.5), ADAM(0.05)),
    "a schedule": with_schedule(ADAM(1.0), cosine_decay(0.05, 200)),
    "a schedule at the end": chain(ADAM(1.0), scale_by_schedule(lambda t: 0.1 / (1.0 + t))),
    "by name": partition({"slope": SGD(0.001), "*": ADAM(0.05)}),
}


@pytest.mark.parametrize("rule", RULES)
def test_steps_in_bursts_are_the_steps_one_by_one(rule):
    assert both(line, RULES[rule], DATA, steps=300) < 60


def test_a_rule_that_needs_whole_gradients_steps_one_by_one():
    rule = chain(clip_by_global_norm(1.0), ADAM(0.05))
    assert both(line, rule, DATA, steps=50) == 50


@pytest.mark.parametrize("reduction", [{"total": 1000.0}, {"reduction": "mean"}])
def test_weights_of_data(reduction):
    both(line, ADAM(0.05), DATA, steps=100, **reduction)


@pytest.mark.parametrize("every", [2, 7, 1000])
def test_every_so_many_steps_are_recorded(every):
    both(line, ADAM(0.05), DATA, steps=100, history_every=every)


@pytest.mark.parametrize("ends", [{"epochs": 77}, {"epochs": 77, "steps": 60}, {"steps": 1}])
def test_the_end_is_at_its_step(ends):
    both(line, ADAM(0.05), DATA, **ends)


def test_values_are_not_recorded_where_they_are_not_asked_for():
    both(line, ADAM(0.05), DATA, steps=100, record_params=False)


# --- Parameters of other forms


def regression():
    @gen(static=True)
    def regression(x):
        weights = param("weights")
        share, scale = param("share"), param("scale")
        mean = x @ (weights * share[0]) + param("shift") * share[1]
        return normal(mean, scale) @ "y"

    init_param(regression, "shift", 0.5)
    init_param(regression, "weights", np.zeros(3))
    init_param(regression, "share", np.array([0.2, 0.3, 0.5]), constraint=simplex)
    init_param(regression, "scale", 1.0, constraint=positive)
    init_param(regression, "qqq", np.ones(2))
    init_param(regression, "zulu", 2.0)
    return regression


def rows():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3))
    return (x,), {"y": x @ np.array([1.0, -2.0, 0.5]) + 0.1 * rng.standard_normal(20)}


@pytest.mark.parametrize("rule", ["ADAM", "SGD", "a schedule"])
def test_arrays_constraints_and_parameters_that_nothing_reads(rule):
    assert both(regression, RULES[rule], rows(), steps=300) < 60


def test_arrays_that_are_not_recorded():
    both(regression, ADAM(0.05), rows(), steps=100, record_params=False)


def frozen():
    f = regression()
    f.params["share"].freeze()
    f.params["shift"].freeze()
    return f


def test_frozen_parameters():
    both(frozen, ADAM(0.05), rows(), steps=200)


def single():
    @gen(static=True)
    def single(x):
        return normal(param("slope") * x + param("shift") * 1.0, param("noise")) @ "y"

    init_param(single, "slope", np.float32(0.5))
    init_param(single, "shift", np.zeros(1, np.float32))
    init_param(single, "noise", np.float32(1.0), constraint=positive)
    return single


def test_parameters_of_single_precision_are_interpreted():
    with pytest.warns(NotStatic, match="float32"):
        both(single, ADAM(0.05), DATA, steps=200)


def many():
    @gen(static=True)
    def many(x):
        total = 0.0
        for i in range(40):
            total = total + param(f"w{i}", 0.1 * i) * x ** (i % 3)
        return normal(total, 1.0) @ "y"

    many.simulate((X,))
    return many


def test_many_numbers():
    both(many, ADAM(0.01), DATA, steps=100)


def test_several_updates():
    f, g = regression(), regression()

    def updates(f):
        return [
            ParamUpdate(ADAM(0.05), {f: ["weights", "scale"]}),
            ParamUpdate(SGD(0.001), {f: ["share", "shift"]}),
        ]

    mine, other = updates(f), updates(g)
    alone = counting(f)
    one = train(f, rows(), mine, steps=200)
    two = train(g, rows(), other, steps=200, callbacks=[one_by_one])
    same(one, two)
    for a, b in zip(mine, other, strict=True):
        same_updates(a, b)
    assert len(alone) < 60


# --- Steps that are not plain


def ended(f, update, data, **options):
    """The error of a training, with its history."""
    with pytest.raises((UpdateError, ImpossibleTrace)) as found:
        train(f, data, update, **options)
    return found.value


def falling():
    @gen(static=True)
    def falling(x):
        return normal(x * param("a"), param("s")) @ "y"

    init_param(falling, "a", 0.0)
    init_param(falling, "s", 1.0, constraint=positive)
    return falling


@pytest.mark.parametrize("rate", [1.0, 100.0, 1e100])
def test_an_error_comes_at_the_same_step(rate):
    f, g = falling(), falling()
    one = ended(f, ParamUpdate(SGD(rate), f), DATA, steps=500)
    two = ended(g, ParamUpdate(SGD(rate), g), DATA, steps=500, callbacks=[one_by_one])
    assert type(one) is type(two)
    assert str(one) == str(two)
    same(history_of(one), history_of(two))
    assert values(f) == values(g)


def branching():
    @gen(static=True)
    def branching(x):
        a = param("a")
        mean = a * x if a < 0.3 else a * x + 0.5 * (a - 0.3)
        return normal(mean, 1.0) @ "y"

    init_param(branching, "a", 0.0)
    return branching


def test_a_branch_is_taken_at_its_step():
    assert both(branching, ADAM(0.01), DATA, steps=300) < 100


def test_a_gradient_that_is_too_large_to_be_squared_is_one_step():
    @gen(static=True)
    def steep(x):
        a = param("a")
        return normal(a * (1e160 if a > 0.5 else 1.0), 1e3) @ "y"

    init_param(steep, "a", 0.0)
    update = ParamUpdate(chain(clip(1.0), SGD(0.05)), steep)
    history = train(steep, ((X,), {"y": 400.0}), update, steps=15)
    assert len(history.steps) == 15


# --- What happens in between


def test_a_model_that_changes_is_told():
    scale = [1.0]

    @gen(static=True)
    def changing(x):
        return normal(param("a", 0.1) * x * scale[0], 1.0) @ "y"

    changing.simulate((X,))
    train(changing, DATA, adam(changing), steps=20)
    scale[0] = 3.0
    with pytest.warns(NotStatic, match="does not find the log probability of the run"):
        train(changing, DATA, adam(changing), steps=200)


def test_a_tracer_sees_every_step():
    f, tracer = line(), GradientTracer()
    train(f, DATA, ParamUpdate(ADAM(0.05), f, tracer=tracer), steps=30)
    assert {record.step for record in tracer.records} == set(range(1, 31))


class Sometimes:
    """A callback that needs every tenth step."""

    def __init__(self):
        self.steps: list[int] = []

    def __call__(self, event):
        if event.step % 10 == 0:
            self.steps.append(event.step)
            self.slope = event.params["slope"]

    def next_call(self, step):
        return step - step % 10 + 10


def test_a_callback_that_says_when_it_is_needed_leaves_bursts_between():
    f, callback = line(), Sometimes()
    alone = counting(f)
    history = train(f, DATA, adam(f), steps=205, callbacks=[callback])
    assert callback.steps == list(range(10, 201, 10))
    assert callback.slope == history.params["slope"][199]
    assert len(alone) < 60


def test_a_stopping_test_sees_every_step():
    def run(f):
        return train(f, DATA, adam(f), steps=400, callbacks=[EarlyStopping(3)])

    f = line()
    assert run(f).stopped_because == run(line()).stopped_because


def test_a_callback_can_stop_after_a_burst():
    class Stops(Sometimes):
        def __call__(self, event):
            if event.step == 40:
                event.stop("it is enough")

    history = train(f := line(), DATA, adam(f), steps=400, callbacks=[Stops()])
    assert history.stopped_because == "it is enough"
    assert len(history.steps) == 40


@pytest.mark.parametrize("first", [1, 30, 64])
def test_a_training_goes_on_from_its_checkpoint(first, tmp_path):
    whole, parts = line(), line()
    expected = train(whole, DATA, adam(whole), steps=150)
    file: dict[str, Any] = {"checkpoint": tmp_path / "a.npz", "checkpoint_every": 13}
    train(parts, DATA, adam(parts), steps=first, **file)
    begin(parts)
    same(train(parts, DATA, adam(parts), steps=150, resume=True, **file), expected)
    assert values(parts) == values(whole)


def test_ctrl_c_ends_a_training_between_bursts():
    f = line()
    timer = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])
    timer.start()
    update = adam(f, 1e-5)
    history = train(f, DATA, update, steps=10**8, history_every=10)
    timer.join()
    assert history.stopped_because == "it was interrupted"
    assert history.seconds[-1] < 5.0
    assert update.steps == history.steps[-1]
    assert history.params["slope"][-1] == f.params["slope"].value


def test_a_thread_that_moves_a_parameter_is_not_undone():
    f = line()
    is_over = threading.Event()

    def move():
        while not is_over.is_set():
            f.params["intercept"].set(5.0)
            is_over.wait(0.002)

    thread = threading.Thread(target=move)
    thread.start()
    try:
        history = train(f, DATA, adam(f, 1e-5), steps=3000)
    finally:
        is_over.set()
        thread.join()
    assert history.steps.tolist() == list(range(1, 3001))
    assert history.params["intercept"][-1] == pytest.approx(5.0, abs=0.5)


def test_nothing_is_left_in_the_accumulators():
    f = regression()
    train(f, rows(), ParamUpdate(ADAM(0.05), {f: ["weights"]}), steps=50)
    assert not any(p.accumulated for p in f.params.values())


def test_records_do_not_follow_the_parameters():
    f = regression()
    weights = f.params["weights"].coordinates
    before = weights.copy()
    train(f, rows(), ParamUpdate(ADAM(0.05), f), steps=50)
    np.testing.assert_array_equal(weights, before)
    after = f.params["weights"].value
    kept = after.copy()
    train(f, rows(), ParamUpdate(ADAM(0.05), f), steps=50)
    np.testing.assert_array_equal(after, kept)
    assert math.isfinite(f.params["scale"].value)


# --- Minibatches


def pairs():
    return [((X + 0.1 * i,), {"y": Y - 0.2 * i}) for i in range(7)]


FORMS: dict[str, Any] = {
    "rows in a new order": (DATA, {"batch_size": 2}),
    "rows with a shorter last minibatch": (DATA, {"batch_size": 3}),
    "rows in their order": (DATA, {"batch_size": 2, "shuffle": False}),
    "single pairs": (pairs(), {"batch_size": 1}),
    "several pairs": (pairs(), {"batch_size": 2}),
    "a function": (lambda: iter(pairs()), {}),
    "single numbers": ([((float(x),), {"y": float(y)}) for x, y in zip(X, Y, strict=True)],
                       {"batch_size": 1}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_minibatches_in_bursts_are_the_minibatches_one_by_one(form):
    data, options = FORMS[form]
    alone = both(line, ADAM(0.02), data, epochs=40, rng=3, **options)
    assert form in ("several pairs", "rows with a shorter last minibatch") or alone < 100


def test_weights_of_minibatches():
    both(line, ADAM(0.02), DATA, epochs=40, rng=3, batch_size=2, total=50.0)


def test_choices_without_data_are_drawn_in_each_step():
    def make():
        @gen(static=True)
        def noisy(x):
            hidden = normal(param("slope", 0.5), 0.1, size=len(x)) @ "hidden"
            return normal(hidden * x, 1.0) @ "y"

        noisy.simulate((X,))
        return noisy

    assert both(make, ADAM(0.02), DATA, steps=30, rng=3, latent="prior") == 30


@pytest.mark.parametrize("first", [7, 50, 64, 121])
@pytest.mark.parametrize("form", ["rows in a new order", "rows with a shorter last minibatch"])
def test_minibatches_go_on_from_a_checkpoint(form, first, tmp_path):
    data, options = FORMS[form]
    whole, parts = line(), line()
    expected = train(whole, data, adam(whole), steps=200, rng=3, **options)
    file: dict[str, Any] = {**options, "checkpoint": tmp_path / "a.npz", "checkpoint_every": 17}
    train(parts, data, adam(parts), steps=first, rng=3, **file)
    begin(parts)
    same(train(parts, data, adam(parts), steps=200, resume=True, rng=3, **file), expected)
    assert values(parts) == values(whole)


def test_data_that_fail_leave_the_steps_before_them():
    def data():
        yield from pairs() * 30
        raise RuntimeError("the file ends here")

    def ended(f, **options):
        with pytest.raises(RuntimeError, match="the file ends here") as found:
            train(f, data, adam(f), epochs=2, **options)
        return found.value

    f, g = line(), line()
    one, two = ended(f), ended(g, callbacks=[one_by_one])
    same(history_of(one), history_of(two))
    assert len(history_of(one).steps) >= 200
    assert values(f) == values(g)


def test_a_stream_ends_at_its_end():
    f, g = line(), line()
    one = train(f, iter(pairs() * 20), adam(f), steps=1000)
    two = train(g, iter(pairs() * 20), adam(g), steps=1000, callbacks=[one_by_one])
    same(one, two)
    assert one.stopped_because == "the data ended after 140 steps, 860 steps too early"


def test_a_minibatch_that_is_impossible_is_named_at_its_step():
    def make():
        @gen(static=True)
        def rates(x):
            return exponential(param("rate", 1.0, constraint=positive) + 0.0 * x) @ "y"

        rates.simulate((X,))
        return rates

    good = ((X,), {"y": np.abs(Y) + 0.1})
    bad = ((X,), {"y": np.where(X > 0.5, -1.0, 1.0)})

    def ended(f, **options):
        with pytest.raises(GenParamsError) as found:
            train(f, iter([good] * 60 + [bad]), adam(f), **options)
        return found.value

    f, g = make(), make()
    one, two = ended(f), ended(g, callbacks=[one_by_one])
    assert type(one) is type(two)
    assert str(one) == str(two)
    same(history_of(one), history_of(two))


def test_data_of_a_wrong_form_are_refused_at_their_step():
    f = line()
    data = [((X,), {"y": Y})] * 60 + [((X,), {"z": Y})]
    with pytest.raises(UnusedConstraint) as found:
        train(f, iter(data), adam(f))
    assert len(history_of(found.value).steps) == 60
