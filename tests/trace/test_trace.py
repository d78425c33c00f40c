"""Traces: the record of one execution."""

import numpy as np
import pytest

from genparams import gen, init_param, normal, param, set_param
from genparams.errors import UnknownAddress


@gen
def cluster(center, n):
    return [normal(center, 1.0) @ ("x", i) for i in range(n)]


@gen
def model(n=2):
    center = normal(0.0, 10.0) @ "center"
    return {"all": cluster(center, n) @ "cluster", "center": center}


def test_a_trace_holds_what_happened():
    trace = model.simulate((), rng=0)
    assert trace.gen_fn is model
    assert trace.args == (2,)
    assert trace.retval == {"all": trace["cluster"], "center": trace["center"]}
    assert list(trace.choices) == [("center",), ("cluster", "x", 0), ("cluster", "x", 1)]


def test_indexing_gives_choices_and_what_calls_returned():
    trace = model.simulate((), rng=0)
    assert trace["cluster"] == [trace["cluster", "x", 0], trace["cluster", "x", 1]]
    assert trace["center"] == trace.choices["center"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("centre", "did you mean 'center'"),
        (("cluster", "x"), "neither a choice nor a call"),
        (("cluster", "x", 5), "no choice at"),
    ],
)
def test_an_address_that_was_not_visited_is_unknown(address, message):
    with pytest.raises(UnknownAddress, match=message):
        model.simulate((), rng=0)[address]


def test_log_prob_is_the_sum_over_every_choice():
    trace = model.simulate((3,), rng=0)
    assert set(trace.log_probs) == set(trace.choices)
    assert trace.log_prob == sum(trace.log_probs.values())
    assert type(trace.log_prob) is float


def test_a_trace_keeps_the_log_probability_of_its_day():
    @gen
    def f():
        return normal(param("mu"), 1.0) @ "x"

    init_param(f, "mu", 0.0)
    trace, _ = f.generate((), {"x": 0.0})
    before = trace.log_prob
    set_param(f, "mu", 3.0)
    assert trace.log_prob == before
    assert trace.accumulate_param_gradients()[0] == pytest.approx(before - 4.5)
    assert trace.log_prob == before


def test_a_parameter_that_a_trace_returned_is_not_changed_by_an_update():
    @gen
    def f():
        return param("w")

    init_param(f, "w", np.zeros(2))
    trace = f.simulate()
    set_param(f, "w", np.ones(2))
    assert trace.retval.tolist() == [0.0, 0.0]


def test_the_text_of_a_trace_says_whose_it_is():
    trace = model.simulate((), rng=0)
    title, *lines = repr(trace).split("\n")
    assert title == f"Trace(model, log_prob={trace.log_prob:.6g}, 3 choices)"
    assert len(lines) >= 3
    assert "model" in trace._repr_html_()
