"""`train`: the loop in the open, made comfortable and with the same bits."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from training import X, Y, adam, begin, gradient, history_of, new_line, noting, pairs, values

from genparams import (
    ADAM,
    SGD,
    ChoiceMap,
    ParamUpdate,
    accumulate_param_gradients,
    bernoulli,
    gen,
    get_param,
    get_param_grad,
    init_param,
    normal,
    param,
    positive,
)
from genparams.errors import (
    AccumulatorsNotEmpty,
    ArgumentError,
    GenParamsError,
    InvalidValue,
    LatentChoice,
    NothingToTrain,
    ShapeError,
    UnusedConstraint,
    UpdateError,
)
from genparams.learning.training.train import train

# --- The same bits as the loop in the open


def test_all_data_in_each_step_are_the_loop_in_the_open():
    line, same = new_line(), new_line()
    update = adam(line)
    trace, _ = line.generate((X,), {"y": Y})
    log_probs = []
    for _ in range(30):
        log_probs.append(trace.accumulate_param_gradients()[0])
        update.apply()
    history = train(same, ((X,), {"y": Y}), adam(same), steps=30)
    assert values(same) == values(line)
    assert history.log_prob.tolist() == log_probs
    assert history.stopped_because == "30 steps were taken"


def test_minibatches_of_arrays_are_the_loop_in_the_open():
    line, same = new_line(), new_line()
    update, rng = adam(line), np.random.default_rng(7)
    for _ in range(6):
        order = rng.permutation(10)
        for rows in (order[:5], order[5:]):
            trace, _ = line.generate((X[rows],), {"y": Y[rows]})
            trace.accumulate_param_gradients(scale=2.0)
            update.apply()
    train(same, ((X,), {"y": Y}), adam(same), epochs=6, batch_size=5, total=10, rng=7)
    assert values(same) == values(line)


def test_minibatches_of_pairs_are_the_loop_in_the_open():
    line, same = new_line(), new_line()
    update, rng = adam(line), np.random.default_rng(7)
    traces = [line.generate(*pair)[0] for pair in pairs()]
    for _ in range(4):
        order = rng.permutation(10)
        for rows in (order[:4], order[4:8], order[8:]):
            accumulate_param_gradients([traces[i] for i in rows])
            update.apply()
    train(same, pairs(), adam(same), epochs=4, batch_size=4, rng=7)
    assert values(same) == values(line)


def test_the_pairs_of_a_generator_come_in_their_order():
    line, same = new_line(), new_line()
    update = adam(line)
    for pair in pairs():
        line.generate(*pair)[0].accumulate_param_gradients()
        update.apply()
    history = train(same, (pair for pair in pairs()), adam(same))
    assert values(same) == values(line)
    assert history.stopped_because == "the data ended after 10 steps"


def test_a_seeded_training_repeats_to_the_bit():
    ends = []
    for _ in range(2):
        line = new_line()
        train(line, ((X,), {"y": Y}), adam(line), epochs=3, batch_size=3, rng=1)
        ends.append(values(line))
    assert ends[0] == ends[1]


# --- The weights of minibatches


def noted(data, **options):
    """The gradients of the steps of one epoch, and the history."""
    line, found = new_line(), []
    history = train(line, data, ParamUpdate(noting(found), line), epochs=1, rng=3, **options)
    return found, history


FORMS = {"arrays": ((X,), {"y": Y}), "pairs": pairs()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 3, 5, 10])
def test_the_mean_of_the_gradients_of_an_epoch_is_the_gradient_of_all_data(form, size):
    found, _ = noted(FORMS[form], batch_size=size, total=10)
    full = gradient(new_line(), (X,), {"y": Y})
    assert len(found) == math.ceil(10 / size)
    for name in full:
        mean = np.mean([step[name] for step in found])
        assert mean == pytest.approx(full[name], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_the_mean_reduction_is_the_gradient_of_a_datum(form):
    found, history = noted(FORMS[form], batch_size=3, reduction="mean")
    full = gradient(new_line(), (X,), {"y": Y}, scale=0.1)
    for name in full:
        assert np.mean([step[name] for step in found]) == pytest.approx(full[name], rel=1e-12)
    sizes = np.array([3, 3, 3, 1])
    mean = new_line().generate((X,), {"y": Y})[1] / 10
    assert sizes @ history.log_prob / 10 == pytest.approx(mean, rel=1e-12)


def test_the_sum_is_the_gradient_of_the_minibatch_alone():
    found, history = noted(FORMS["pairs"], batch_size=4, shuffle=False)
    last = gradient(new_line(), (X[8:],), {"y": Y[8:]})
    assert found[-1] == pytest.approx(last, rel=1e-12)
    log_prob = new_line().generate((X[8:],), {"y": Y[8:]})[1]
    assert history.log_prob[-1] == pytest.approx(5.0 * log_prob, rel=1e-12)  # of all ten


def test_a_total_without_minibatches_scales_the_whole():
    found, history = noted(FORMS["arrays"], total=40)
    assert found == [pytest.approx(gradient(new_line(), (X,), {"y": Y}, scale=4.0), rel=1e-12)]
    log_prob = new_line().generate((X,), {"y": Y})[1]
    assert history.log_prob[0] == pytest.approx(4.0 * log_prob, rel=1e-12)


def test_the_mean_without_minibatches_is_over_rows():
    found, _ = noted(FORMS["arrays"], reduction="mean")
    assert found == [pytest.approx(gradient(new_line(), (X,), {"y": Y}, scale=0.1), rel=1e-12)]


def test_every_datum_of_a_generator_has_the_weight_of_a_full_minibatch():
    line, found = new_line(), []
    train(line, iter(pairs()), ParamUpdate(noting(found), line), batch_size=4, total=10)
    parts = [slice(0, 4), slice(4, 8), slice(8, 10)]
    expected = [gradient(line, (X[rows],), {"y": Y[rows]}, scale=2.5) for rows in parts]
    assert found == [pytest.approx(g, rel=1e-12) for g in expected]


def test_an_epoch_is_a_partition_in_a_new_order():
    seen = []

    @gen
    def noted_line(x):
        seen.append(x.tolist())
        return normal(param("slope", 0.0) * x, 1.0) @ "y"

    data = (np.arange(7.0),), {"y": np.arange(7.0)}
    noted_line.generate(*data)  # which declares the parameter
    found = []
    train(noted_line, data, ParamUpdate(noting(found), noted_line), epochs=2, batch_size=3, rng=0)
    batches = seen[2::2]  # each is generated and replayed, after one that is looked at first
    assert [len(batch) for batch in batches] == [3, 3, 1, 3, 3, 1]
    orders = [[*chain(*batches[:3])], [*chain(*batches[3:])]]
    assert [sorted(order) for order in orders] == [list(range(7))] * 2
    assert orders[0] != orders[1]


# --- What is cut


@gen
def scaled(table, offsets, power, label, knots=None):
    assert isinstance(label, str)
    mean = param("a") * table["x"] ** power + offsets[0]
    assert knots is None or len(knots) == 3
    return normal(mean, 1.0) @ ("deep", "y")


def test_arrays_are_cut_inside_structures_and_the_rest_is_passed_whole():
    init_param(scaled, "a", 0.0)
    args = ({"x": list(X)}, (X / 2.0,), 2, "label", [1.0, 2.0, 3.0])
    constraints = {"deep": {"y": Y}}
    found = []
    update = ParamUpdate(noting(found), scaled)
    train(scaled, (args, constraints), update, epochs=1, batch_size=5, whole=["knots"], total=10)
    full = gradient(scaled, ({"x": X}, (X / 2.0,), 2, "label"), constraints)
    assert np.mean([g["a"] for g in found]) == pytest.approx(full["a"], rel=1e-12)


def test_the_columns_of_a_table_are_arrays():
    line, same = new_line(), new_line()
    table = pd.DataFrame({"x": X, "y": Y}, index=range(100, 110))
    options: dict[str, Any] = {"epochs": 2, "batch_size": 4, "rng": 0}
    train(line, ((table["x"],), {"y": table["y"]}), adam(line), **options)
    train(same, ((X,), {"y": Y}), adam(same), **options)
    assert values(line) == values(same)


def test_a_table_is_cut_by_its_rows():
    @gen
    def by_name(table):
        return normal(param("a", 0.0) * table["x"].to_numpy(), 1.0) @ "y"

    table = pd.DataFrame({"x": X}, index=range(100, 110))
    history = train(by_name, ((table,), {"y": Y}), adam(by_name), epochs=1, batch_size=4, rng=0)
    assert len(history.steps) == 3


def test_a_sparse_matrix_is_cut_by_its_rows():
    @gen
    def regression(design):
        return normal(design.toarray() @ param("beta"), 1.0) @ "y"

    init_param(regression, "beta", np.zeros(2))
    design = np.stack([np.ones(10), X], axis=1)
    found = []
    update = ParamUpdate(noting(found), regression)
    data = (csr_array(design),), {"y": Y}
    train(regression, data, update, epochs=1, batch_size=4, total=10)
    mean = np.mean([g["beta"] for g in found], axis=0)
    np.testing.assert_allclose(mean, design.T @ Y, rtol=1e-12)


def test_the_number_of_rows_is_an_argument_on_request():
    @gen
    def throws(n):
        return bernoulli(param("p", 0.5, constraint=positive), size=n) @ "heads"

    heads = np.array([1, 0, 1, 1, 1], bool)
    found = []
    throws.simulate((1,))
    update = ParamUpdate(noting(found), throws)
    train(throws, ((5,), {"heads": heads}), update, epochs=1, batch_size=2, count="n", total=5)
    full = gradient(throws, (5,), {"heads": heads})
    assert np.mean([g["p"] for g in found]) == pytest.approx(full["p"], rel=1e-12)


# --- Streams


def test_a_function_makes_the_pairs_of_each_epoch():
    asked = []

    def made(epoch):
        asked.append(epoch)
        yield from pairs()[:epoch]

    line = new_line()
    history = train(line, made, adam(line), epochs=3)
    assert asked == [1, 2, 3]
    assert history.epochs.tolist() == [1, 2, 2, 3, 3, 3]


def test_a_generator_function_needs_no_argument():
    line = new_line()
    history = train(line, lambda: iter(pairs()), adam(line), steps=12)
    assert history.epochs.tolist() == [1] * 10 + [2] * 2


def test_a_generator_that_ends_early_says_how_many_steps_are_missing():
    line = new_line()
    history = train(line, iter(pairs()), adam(line), steps=40)
    assert history.stopped_because == "the data ended after 10 steps, 30 steps too early"
    assert len(history.steps) == 10


def test_a_function_that_gives_the_same_generator_again_is_an_error():
    line, generator = new_line(), iter(pairs())
    with pytest.raises(InvalidValue, match=r"epoch 2 has no data; .* a new iterator") as caught:
        train(line, lambda: generator, adam(line), epochs=2)
    assert len(history_of(caught.value).steps) == 10


def test_a_sequence_that_makes_its_pairs_is_read_as_it_is_needed():
    reads = []

    class Made(Sequence):
        def __len__(self):
            return 10

        def __getitem__(self, i):
            reads.append(i)
            return pairs()[i]

    line, same = new_line(), new_line()
    train(line, Made(), adam(line), epochs=2, batch_size=5, rng=0)
    train(same, pairs(), adam(same), epochs=2, batch_size=5, rng=0)
    assert values(line) == values(same)
    assert len(reads) == 21  # once to look at, then each in each epoch


# --- Several updates


@gen
def slope_of():
    return param("slope")


@gen
def two_parts(x):
    slope = slope_of() @ "slope"
    return normal(slope * x + param("intercept"), 1.0) @ "y"


def begin_two_parts():
    init_param(slope_of, "slope", 0.0)
    init_param(two_parts, "intercept", 0.0)
    return [ParamUpdate(SGD(0.01), slope_of), ParamUpdate(ADAM(0.1), two_parts)]


def test_several_updates_take_their_steps_together():
    updates = begin_two_parts()
    trace, _ = two_parts.generate((X,), {"y": Y})
    for _ in range(5):
        trace.accumulate_param_gradients()
        for update in updates:
            update.apply()
    end = values(slope_of, two_parts)
    history = train(two_parts, ((X,), {"y": Y}), begin_two_parts(), steps=5)
    assert values(slope_of, two_parts) == end
    assert set(history.params) == {"slope", "intercept"}


def test_an_update_whose_functions_a_minibatch_does_not_call_waits():
    @gen
    def rare():
        return param("rare", 0.0)

    @gen
    def sometimes(is_rare):
        mean = rare() @ "rare" if is_rare else param("usual", 0.0)
        return normal(mean, 1.0) @ "y"

    data = [((False,), {"y": 1.0}), ((True,), {"y": 2.0}), ((False,), {"y": 1.0})]
    updates = [ParamUpdate(SGD(0.1), rare), ParamUpdate(SGD(0.1), sometimes)]
    train(sometimes, data, updates, epochs=1, batch_size=1, shuffle=False)
    assert get_param(rare, "rare") == 0.2
    assert get_param(sometimes, "usual") == pytest.approx(0.1 + 0.09)
    assert [update.steps for update in updates] == [1, 2]


def test_parameters_that_no_update_moves_are_left_without_gradients():
    begin_two_parts()
    with pytest.warns(UserWarning, match="slope_of.slope, which the runs read and no update moves"):
        train(two_parts, ((X,), {"y": Y}), ParamUpdate(SGD(0.01), two_parts), steps=3)
    assert get_param_grad(slope_of, "slope") == 0.0
    assert not slope_of.params["slope"].accumulated


# --- Workers

MANY: dict[str, Any] = {
    "all pairs": (pairs(), {}),
    "minibatches of pairs": (pairs(), {"batch_size": 4}),
    "rows": (((X,), {"y": Y}), {"batch_size": 4}),
    "rows in order": (((X,), {"y": Y}), {"batch_size": 4, "shuffle": False}),
    "a function": (lambda epoch: iter(pairs()), {"batch_size": 3}),
}


@pytest.mark.parametrize("form", MANY)
def test_workers_give_the_same_bits(form):
    data, options = MANY[form]
    line, same = new_line(), new_line()
    straight = train(line, data, adam(line), epochs=3, rng=2, **options)
    with ThreadPoolExecutor(2) as threads:
        history = train(same, data, adam(same), epochs=3, rng=2, executor=threads, **options)
    assert values(same) == values(line)
    assert history.log_prob.tolist() == straight.log_prob.tolist()


def test_what_is_no_executor_is_refused():
    line = new_line()
    with pytest.raises(ArgumentError, match="executor"):
        train(line, pairs(), adam(line), epochs=1, executor=3)
    assert get_param(line, "slope") == 0.0


# --- Choices without data


@gen
def noisy(x):
    hidden = normal(param("mean"), 1.0) @ "hidden"
    return normal(hidden * x, 1.0) @ "y"


def test_a_choice_without_data_is_drawn_on_request():
    ends = []
    for _ in range(2):
        init_param(noisy, "mean", 0.0)
        train(noisy, ((X,), {"y": Y}), adam(noisy), steps=4, latent="prior", rng=5)
        ends.append(get_param(noisy, "mean"))
    assert ends[0] == ends[1] != 0.0
    init_param(noisy, "mean", 0.0)
    update, rng = adam(noisy), np.random.default_rng(5)
    for _ in range(4):
        noisy.generate((X,), {"y": Y}, rng)[0].accumulate_param_gradients()
        update.apply()
    assert get_param(noisy, "mean") == ends[0]


def test_choices_that_change_with_the_parameters_are_an_error_when_they_do():
    @gen
    def grows(x):
        a = param("a", 0.0)
        if a > 0.05:
            _ = normal(0.0, 1.0) @ "extra"
        return normal(a, 1.0) @ "y"

    update = ParamUpdate(SGD(0.04), grows)
    with pytest.raises(LatentChoice, match="grows chose 'extra'") as caught:
        train(grows, ((0.0,), {"y": 1.0}), update, steps=9)
    assert len(history_of(caught.value).steps) == 2
    assert not grows.params["a"].accumulated


# --- What is refused, before anything moves


def other():
    @gen
    def other_model():
        return normal(param("mu", 0.0), 1.0) @ "z"

    other_model.simulate()
    return adam(other_model)


TABLE = (X,), {"y": Y}
RAGGED = (X,), {"y": Y[:7]}
BAD = {
    "a minibatch larger than the data": (
        TABLE,
        {"batch_size": 11},
        InvalidValue,
        "a minibatch of 11 is larger than the data, which are 10",
    ),
    "a minibatch larger than the pairs": (
        pairs(),
        {"batch_size": 11},
        InvalidValue,
        "larger than the data, which are 10",
    ),
    "ragged arrays": (
        RAGGED,
        {"batch_size": 2},
        ShapeError,
        "arrays of one length: argument x has 10, the data at 'y' has 7; write whole=",
    ),
    "a list of parts of other lengths": (
        (([[1.0], [2.0, 3.0]],), {"y": Y[:2]}),
        {"batch_size": 1},
        ShapeError,
        "argument x is a list of parts of different lengths",
    ),
    "nothing to cut": (
        ((1.0,), {"y": 2.0}),
        {"batch_size": 1},
        InvalidValue,
        "the data at 'y' is 2.0, which has no rows",
    ),
    "no arrays": (((1.0,), {}), {"batch_size": 1}, ShapeError, "there are none among"),
    "no such argument": (
        TABLE,
        {"batch_size": 2, "whole": ["z"]},
        ArgumentError,
        "no argument 'z' is given",
    ),
    "whole without arrays": (pairs(), {"count": "x"}, ArgumentError, "are for data that are arr"),
    "no data": ([], {}, InvalidValue, "the list is empty"),
    "an empty generator": (iter([]), {}, InvalidValue, "there are no data"),
    "no pairs": ([1, 2], {}, ArgumentError, "item 0 of the data is 1; each is a pair"),
    "only data": ({"y": Y}, {}, ArgumentError, "data are a pair"),
    "arguments that are no tuple": (
        (X, {"y": Y}),
        {},
        ArgumentError,
        "the arguments of the model are a tuple",
    ),
    "a model for data": (new_line(), {}, ArgumentError, "data are a pair"),
    "a function of two": (lambda a, b: iter([]), {}, ArgumentError, "is a function of \\(epoch\\)"),
    "a function of nothing": (lambda: None, {}, ArgumentError, "gave None for epoch 1"),
    "epochs of a generator": (
        iter(pairs()),
        {"steps": None, "epochs": 2},
        ArgumentError,
        "gives its data once, and 2 epochs",
    ),
    "no end": (TABLE, {"steps": None}, ArgumentError, "say how long to train"),
    "a negative length": (TABLE, {"steps": -1}, InvalidValue, "at least 0, got -1"),
    "another reduction": (TABLE, {"reduction": "max"}, InvalidValue, "no reduction of kind 'max'"),
    "a mean of a total": (
        TABLE,
        {"reduction": "mean", "total": 5},
        InvalidValue,
        "leave it out with reduction",
    ),
    "no total": (TABLE, {"total": 0}, InvalidValue, "the number of all data, above 0, got 0"),
    "data for another address": (
        ((X,), {"z": Y}),
        {},
        UnusedConstraint,
        "line never visited 'z'; known: 'y'",
    ),
    "another word": (TABLE, {"latent": "posterior"}, InvalidValue, "no latent of kind 'posterior'"),
    "no callback": (TABLE, {"callbacks": [3]}, InvalidValue, "a callback is a function of"),
    "a misspelt option": (TABLE, {"epoch": 3}, ArgumentError, "did you mean epochs"),
}


@pytest.mark.parametrize("what", BAD)
def test_wrong_data_are_refused_before_anything_moves(what):
    data, options, error, message = BAD[what]
    line = new_line()
    before = values(line)
    with pytest.raises(error, match=message):
        train(line, data, adam(line), **{"steps": 2, **options})
    assert values(line) == before


def test_an_update_that_shares_no_parameter_is_refused():
    line = new_line()
    before, stranger = values(line), other()
    message = "an update moves other_model.mu, and line reads line.slope, line.intercept"
    with pytest.raises(NothingToTrain, match=message):
        train(line, TABLE, [adam(line), stranger], steps=2)
    assert values(line) == before
    assert stranger.steps == 0


def test_a_model_without_parameters_is_refused():
    @gen
    def fixed(x):
        return normal(x, 1.0) @ "y"

    with pytest.raises(NothingToTrain, match=r"fixed has nothing to train: it reads no parameter"):
        train(fixed, TABLE, ParamUpdate(SGD(0.1), fixed), steps=1)


def test_two_updates_of_one_parameter_are_refused():
    line = new_line()
    with pytest.raises(UpdateError, match=r"two updates move line.slope"):
        train(line, TABLE, [adam(line), ParamUpdate(SGD(0.1), {line: ["slope"]})], steps=1)


@pytest.mark.parametrize("update", [None, [], [3], ADAM(0.1)])
def test_what_is_no_update_is_refused(update):
    with pytest.raises(UpdateError, match="train takes"):
        train(new_line(), TABLE, update, steps=1)


def test_gradients_from_before_are_refused_and_stay():
    line = new_line()
    update = adam(line)
    line.generate(*TABLE)[0].accumulate_param_gradients()
    before = values(line)
    with pytest.raises(AccumulatorsNotEmpty, match=r"wait at line.slope, .* zero_param_grad\(line"):
        train(line, TABLE, update, steps=1)
    assert values(line) == before


def test_a_choice_without_data_is_refused():
    init_param(noisy, "mean", 0.0)
    with pytest.raises(LatentChoice, match=r"noisy chose 'hidden'.*latent=\"prior\" draws it"):
        train(noisy, TABLE, adam(noisy), steps=1)
    assert get_param(noisy, "mean") == 0.0


def test_what_is_no_model_is_refused():
    with pytest.raises(ArgumentError, match="train takes a generative function first"):
        train(len, TABLE, adam(new_line()), steps=1)  # type: ignore[arg-type]


def test_a_choice_map_is_data_too():
    line, same = new_line(), new_line()
    train(line, ((X,), ChoiceMap({"y": Y})), adam(line), epochs=1, batch_size=2, rng=0)
    train(same, TABLE, adam(same), epochs=1, batch_size=2, rng=0)
    assert values(line) == values(same)
    begin(line)


FORMS_TO_CORRECT: list[tuple[Any, dict[str, Any], str]] = [
    ((X, Y), {"batch_size": 4}, r"no tuple of 2 values, .*write \(\(x,\), \{'y': y\}\)"),
    ((X, Y), {}, r"no tuple of 2 values, .*write \(\(x,\), \{'y': y\}\)"),
    ((X, Y, X), {}, r"no tuple of 3 values, .*write \(\(x,\), \{'y': y\}\)"),
    (((X,), Y), {"batch_size": 4}, r"given by address, got .*write \(\(x,\), \{'y': y\}\)"),
    ((X, {"y": Y}), {"batch_size": 4}, r"are a tuple, got .*write \(\(x,\), \{'y': y\}\)"),
]


@pytest.mark.parametrize(("data", "options", "message"), FORMS_TO_CORRECT)
def test_data_that_are_almost_a_pair_say_what_to_write(data, options, message):
    line = new_line()
    with pytest.raises(ArgumentError, match=message):
        train(line, data, adam(line), steps=3, **options)


@pytest.mark.parametrize("at", [0, 3])
def test_an_error_in_a_pair_names_the_pair(at):
    line, data = new_line(), pairs()
    data[at] = (data[at][0], {"z": 1.0})
    with pytest.raises(GenParamsError) as caught:
        train(line, data, adam(line), epochs=1)
    assert caught.value.__notes__ == [f"in pair {at} of the data, counted from 0"]


def test_a_function_of_data_with_a_default_gets_the_epoch():
    line, found = new_line(), []

    def read(epoch=None, *, rows=None):
        found.append(epoch)
        return iter(pairs())

    train(line, read, adam(line), epochs=2, batch_size=5)
    assert found == [1, 2]
    found.clear()
    train(line, lambda *, n=7: iter(pairs()), adam(line), epochs=2, batch_size=5)


def test_values_of_an_event_are_for_reading():
    line = new_line()

    def writes(event):
        event.params["slope"] = 1.0

    with pytest.raises(TypeError, match="does not support item assignment"):
        train(line, ((X,), {"y": Y}), adam(line), steps=1, callbacks=[writes])
