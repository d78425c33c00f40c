"""Distributions outside a model: log densities by entry, samples, gradients, words, labels."""

import math
import pickle

import numpy as np
import pytest
from test_domains import ALL, repeated
from test_table import ROWS

from genparams import (
    ChoiceMap,
    bernoulli,
    beta,
    binomial,
    categorical,
    censored,
    custom_random,
    dirichlet,
    distribution,
    gen,
    get_param_grad,
    laplace,
    mixture,
    multinomial,
    mvnormal,
    normal,
    param,
    piecewise_uniform,
    poisson,
    product,
    truncated,
)
from genparams.autodiff import Box, Tape, gradient
from genparams.errors import ArgumentError, DistributionError, ShapeError

every = pytest.mark.parametrize("name", ALL)


# --- log_prob, log_probs and sample


@every
def test_log_probs_has_an_entry_for_each_of_the_batch_and_log_prob_is_their_sum(name):
    make, args, x = ALL[name]
    call = make(*args)
    one = call.log_prob(x)
    assert type(one) is float
    assert type(call.log_probs(x)) is float
    np.testing.assert_allclose(call.log_probs(x), one, rtol=1e-12, atol=1e-14)
    each = call.log_probs(repeated(x))
    np.testing.assert_allclose(each, np.full(3, one), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(call.log_prob(repeated(x)), 3 * one, rtol=1e-12, atol=1e-14)


@every
def test_arguments_broadcast_against_one_value(name):
    make, args, x = ALL[name]
    one = make(*args).log_prob(x)
    many = make(*(np.stack([a] * 4) for a in args))
    np.testing.assert_allclose(many.log_probs(x), np.full(4, one), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(many.log_prob(x), 4 * one, rtol=1e-12, atol=1e-14)


@every
def test_a_call_draws_as_a_model_does(name):
    make, args, _ = ALL[name]
    call = make(*args)
    drawn = call.sample(rng=3)

    @gen
    def model():
        return call @ "x"

    assert repr(drawn) == repr(model.simulate((), rng=3).retval)
    many = call.sample(size=5, rng=3)
    assert np.all(np.isfinite(call.log_probs(many)))
    assert np.shape(call.log_probs(many)) == (5,)


@every
def test_log_probs_agree_with_the_log_probability_of_a_trace(name):
    make, args, x = ALL[name]
    call = make(*args)

    @gen
    def model():
        return call @ "x"

    trace, weight = model.generate((), {"x": x})
    np.testing.assert_allclose(call.log_prob(trace["x"]), weight, rtol=1e-13)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_gradients_flow_through_log_probs(row):
    args = row.settings(4, (3,))
    x = row.values(4, args, (3,))
    weights = np.array([0.3, -1.2, 2.0])
    for i, argument in enumerate(row.arguments):
        if argument.move is None:
            continue

        def of(t, i=i):
            return np.sum(weights * row.call(*args[:i], t, *args[i + 1 :]).log_probs(x))

        step = argument.move(np.random.default_rng(1), args[i])
        slope = (of(args[i] + 1e-6 * step) - of(args[i] - 1e-6 * step)) / 2e-6
        np.testing.assert_allclose(np.sum(gradient(of, args[i]) * step), slope, rtol=1e-5)


@every
def test_a_distribution_says_which_gradients_it_has(name):
    make, args, x = ALL[name]
    call = make(*args)
    flags = call.fn.has_gradients
    assert list(flags) == ["x", *call.fn.arguments]
    for i, (label, has) in enumerate(flags.items()):
        if i == 0 and type(x) is tuple:
            continue
        tape = Tape()
        values = [x, *call.fn.operands(call.args)]
        values[i] = tape.leaf(values[i]) if type(values[i]) is not str else Box(1.0, tape, -1)
        if has:
            found = call.fn.log_prob_of(values[0], values[1:])
            assert type(found) is Box, label
        elif type(x) is not str:
            with pytest.raises(DistributionError, match="has no derivative by"):
                call.fn.log_prob_of(values[0], values[1:])


def test_the_error_for_a_missing_derivative_says_what_may_depend_on_it():
    said = "no derivative by n, which depends here on a parameter, on an argument whose gradient"
    with pytest.raises(DistributionError, match=said):
        gradient(lambda n: binomial.log_prob(2, n, 0.5), 3.0)


def test_values_and_arguments_that_do_not_broadcast_are_refused():
    with pytest.raises(ShapeError, match=r"has shape \(2,\) here, got \(3,\)"):
        normal(np.zeros(2), 1.0).log_prob(np.zeros(3))
    with pytest.raises(ShapeError, match=r"has shape \(2,\) here, got \(3,\)"):
        mvnormal(np.zeros(2), np.eye(2)).log_probs(np.zeros(3))
    with pytest.raises(ArgumentError, match="size 3 already"):
        normal(0.0, 1.0, size=3).sample(size=2)


def test_log_prob_of_many_values_is_their_sum_as_documented():
    assert normal.log_prob(np.zeros(3), 0.0, 1.0) == pytest.approx(
        3 * normal.log_prob(0.0, 0.0, 1.0)
    )
    assert normal.log_probs([0.0, 1.0], 0.0, 1.0).shape == (2,)
    assert truncated(normal(0.0, 1.0), 0.0, 1.0).log_prob(0.5) > normal(0.0, 1.0).log_prob(0.5)


def test_a_product_of_parts_of_different_shapes_has_a_sum_and_no_entries():
    call = product([normal(np.zeros(3), 1.0), poisson(2.0)])
    assert math.isfinite(call.log_prob((np.zeros(3), 1)))
    with pytest.raises(ShapeError, match="batches of different shapes"):
        call.log_probs((np.zeros(3), 1))


def test_a_call_of_a_generative_function_says_what_to_write():
    @gen
    def model():
        return normal(0.0, 1.0) @ "x"

    for use, instead in [
        (lambda: model().log_prob(0.3), r"model\.assess\(args, choices\)"),
        (lambda: model().log_probs(0.3), r"model\.assess\(args, choices\)"),
        (lambda: model().sample(), r"model\.simulate\(args\)"),
    ]:
        with pytest.raises(ArgumentError, match=instead):
            use()
    own = custom_random(None, lambda x: 0.0, lambda x: (None,), name="own")
    with pytest.raises(ArgumentError, match=r"own\.assess"):
        own().log_prob(1.0)


# --- Why a value is impossible


@pytest.mark.parametrize(
    ("call", "x", "said"),
    [
        (
            bernoulli(np.full(4, 0.3)),
            np.array([0.0, 1.0, -1.0, -1.0]),
            "2 of 4 entries have log probability -inf: the first is -1.0 at [2], where "
            "probs = 0.3; the support of bernoulli is 0 and 1",
        ),
        (
            poisson(2.0),
            2.5,
            "the value is 2.5, where rate = 2.0, and its log probability is -inf; the support of "
            "poisson is the whole numbers from 0 on",
        ),
        (
            dirichlet([1.0, 2.0], size=4),
            np.array([[0.5, 0.5]] * 3 + [[0.5, 0.4]]),
            "1 of 4 entries has log probability -inf: row 3 sums to 0.9, where alpha = [1., 2.]; "
            "the support of dirichlet is vectors of numbers of at least 0 that sum to 1",
        ),
        (
            multinomial(4, [0.5, 0.5]),
            np.array([2, 3]),
            "the value sums to 5, where n = 4.0, probs = [0.5, 0.5], and its log probability is "
            "-inf; the support of multinomial is vectors of whole numbers from 0 on that sum to n",
        ),
        (
            categorical([0.5, 0.0, 0.5]),
            1,
            "the value is 1, where probs = [0.5, 0. , 0.5], and its log probability is -inf; the "
            "support of categorical is the whole numbers from 0 to K - 1, for K probs",
        ),
        (
            product([normal(0.0, 1.0), poisson(2.0)]),
            (0.5, -1),
            "entry 1 of the tuple: the value is -1, where rate = 2.0, and its log probability is "
            "-inf; the support of poisson is the whole numbers from 0 on",
        ),
        (
            categorical([1.0, 0.0], labels=["no", "yes"]),
            np.array(["no", "yes"]),
            "1 of 2 entries has log probability -inf: the first is 'yes' at [1]; the support of "
            "categorical is the labels 'no', 'yes'",
        ),
    ],
    ids=["bernoulli", "poisson", "dirichlet", "multinomial", "categorical", "product", "labels"],
)
def test_a_distribution_says_why_a_value_is_impossible(call, x, said):
    assert call.fn.why_impossible(x, call.fn.operands(call.args)) == said


def _with_inf(x):
    """A value with its last entry infinite."""
    bad = np.array(x, dtype=float)
    bad.flat[-1] = -math.inf
    return bad


@every
def test_every_distribution_says_why_and_its_support(name):
    make, args, x = ALL[name]
    call = make(*args)
    operands = call.fn.operands(call.args)
    assert isinstance(call.fn.support, str)
    if type(x) is str:
        return
    bad = tuple(np.float64(-math.inf) for _ in x) if type(x) is tuple else _with_inf(x)
    said = call.fn.why_impossible(bad, operands)
    assert "inf" in said
    assert "support" in said
    if type(x) is not tuple and not name.startswith("censored"):
        said = call.fn.why_impossible(np.stack([x, bad]), operands)
        assert said.startswith("1 of 2 entr")
    tape = Tape()
    boxed = [tape.leaf(a) for a in operands]
    assert "support" in call.fn.why_impossible(bad, boxed)


def test_a_sum_that_overflows_is_told_as_such():
    call = normal(0.0, 1.0, size=3)
    assert "their sum overflows" in call.fn.why_impossible(np.full(3, 1.2e154), [0.0, 1.0])


def test_a_distribution_of_a_user_says_its_support_in_general_words():
    own = distribution(
        sample=lambda rng, rate, size: rng.exponential(1.0 / rate, size),
        log_prob=lambda x, rate: np.where(x > 0.0, np.log(rate) - rate * x, -np.inf),
        name="waiting",
    )
    said = own.why_impossible(np.array([1.0, -2.0]), [1.5])
    assert said == (
        "1 of 2 entries has log probability -inf: the first is -2.0 at [1], where rate = 1.5; the "
        "support of waiting is the finite numbers to which its log_prob gives a density"
    )


# --- Labels

LABELS = ["left", "right", "straight"]


@gen
def turns(probs, n):
    one = categorical(probs, labels=LABELS) @ "one"
    many = categorical(logits=np.log(probs), labels=LABELS, size=n) @ "many"
    return one, many


def test_labels_are_drawn_and_given():
    trace = turns.simulate(([0.2, 0.3, 0.5], 50), rng=0)
    assert type(trace["one"]) is str
    assert trace["many"].dtype.kind == "U"
    assert set(trace["many"]) == set(LABELS)
    again, weight = turns.generate(trace.args, trace.choices)
    assert again.choices == trace.choices
    assert weight == trace.log_prob
    codes = [LABELS.index(label) for label in trace["many"]]
    expected = categorical.log_prob(LABELS.index(trace["one"]), [0.2, 0.3, 0.5]) + (
        categorical.log_prob(codes, [0.2, 0.3, 0.5])
    )
    assert trace.log_prob == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    "given",
    [
        ["left", "right"],
        np.array(["left", "right"]),
        np.array(["left", "right"], dtype=object),
        ("left", np.str_("right")),
    ],
    ids=["list", "texts", "objects", "tuple"],
)
def test_labels_are_given_as_any_array_of_strings(given):
    probs = [0.2, 0.3, 0.5]
    assert categorical.log_prob(given, probs, labels=LABELS) == pytest.approx(math.log(0.2 * 0.3))
    assert categorical(probs, labels=LABELS).log_probs(given).tolist() == [
        math.log(0.2),
        math.log(0.3),
    ]
    trace, _ = turns.generate((probs, 2), {"many": given})
    assert trace["many"].tolist() == ["left", "right"]


def test_an_unknown_label_is_refused_with_the_nearest():
    for given in ("rigth", ["left", "rigth"]):
        with pytest.raises(DistributionError, match=r"'rigth'.* is not a label .* mean right\?"):
            categorical.log_prob(given, [0.2, 0.3, 0.5], labels=LABELS)
    with pytest.raises(DistributionError, match=r"^at 'many': 'up' at \[1\] is not a label"):
        turns.generate(([0.2, 0.3, 0.5], 2), {"many": ["left", "up"]})
    with pytest.raises(DistributionError, match="1 is not a label of categorical; the labels"):
        categorical.log_prob(1, [0.2, 0.3, 0.5], labels=LABELS)
    masked = np.ma.masked_array(["left", "right"], [True, False])
    with pytest.raises(DistributionError, match="masked"):
        categorical.log_prob(masked, [0.2, 0.3, 0.5], labels=LABELS)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("abc", "labels is a list of strings"),
        ([], "labels is a list of strings"),
        ([1, 2, 3], "labels is a list of strings"),
        (["a", "b", "a"], "'a' is there twice"),
    ],
)
def test_labels_that_are_none_are_refused(labels, said):
    with pytest.raises(ArgumentError, match=said):
        categorical([0.2, 0.3, 0.5], labels=labels)


def test_there_is_a_label_for_each_category():
    with pytest.raises(ShapeError, match="3 labels and 2 probs"):
        categorical([0.5, 0.5], labels=LABELS).sample()
    with pytest.raises(ShapeError, match="3 labels and 2 logits"):
        categorical(logits=[0.5, 0.5], labels=LABELS).log_prob("left")


def test_traces_of_labels_pickle_and_print():
    trace = turns.simulate(([0.2, 0.3, 0.5], 3), rng=0)
    again = pickle.loads(pickle.dumps(trace))
    assert again.choices == trace.choices
    assert repr(trace["one"]) in str(trace)
    assert ChoiceMap({"a": trace["many"]})["a"].tolist() == trace["many"].tolist()
    call = categorical([0.2, 0.3, 0.5], labels=LABELS)
    assert pickle.loads(pickle.dumps(call.fn)) is call.fn
    assert repr(call.fn) == f"categorical(probs, labels={LABELS!r})"


def test_labels_train_their_probabilities():
    @gen
    def model():
        return categorical(logits=param("t", [0.0, 0.0, 0.0]), labels=LABELS, size=4) @ "x"

    trace, _ = model.generate((), {"x": ["left", "left", "right", "straight"]})
    trace.accumulate_param_gradients()
    np.testing.assert_allclose(get_param_grad(model, "t"), [2 - 4 / 3, 1 - 4 / 3, 1 - 4 / 3])


def test_labels_take_part_in_a_product_and_in_updates():
    trace = turns.simulate(([0.2, 0.3, 0.5], 3), rng=0)
    other, weight, discard = trace.update({"one": "left"})
    assert other["one"] == "left"
    assert weight == pytest.approx(
        math.log(0.2) - categorical.log_prob(trace["one"], [0.2, 0.3, 0.5], labels=LABELS)
    )
    assert discard["one"] == trace["one"]
    value = product([categorical([0.2, 0.3, 0.5], labels=LABELS), normal(0.0, 1.0)]).sample(rng=0)
    assert value[0] in LABELS


# --- Others


def test_a_far_or_narrow_truncation_is_that_of_general_families():
    for call, x in [
        (truncated(laplace(0.0, 1.0), 3.0, 3.0 + 1e-7), 3.0 + 0.5e-7),
        (truncated(beta(2.0, 3.0), 0.2, 0.3), 0.25),
        (censored(normal(0.0, 1.0), -1.0, 1.0), 1.0),
        (piecewise_uniform([0.0, 1.0, 2.0], [0.5, 0.5]), 0.5),
        (mixture([0.5, 0.5], normal([0.0, 1.0], [1.0, 1.0])), 0.5),
    ]:
        np.testing.assert_allclose(call.log_prob(x), call.log_probs([x, x])[0], rtol=1e-8)
