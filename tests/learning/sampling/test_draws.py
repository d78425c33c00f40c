"""Draws as arrays, as a data frame and as inference data of ArviZ."""

import functools
import sys
import types
from typing import Any

import numpy as np
import pytest
from scipy import stats

from genparams import bernoulli, gen, init_param, normal, param, poisson, product, set_param
from genparams.errors import ArgumentError, InvalidValue, MissingExtra, UnknownAddress
from genparams.learning.sampling.exports import readable
from genparams.learning.sampling.mcmc import mcmc
from genparams.learning.sampling.metropolis import metropolis_hastings

YS = np.array([0.8, 1.9, 1.1])


@gen
def group():
    return normal(0.0, 1.0) @ "effect"


@gen
def study(n):
    mu = normal(param("centre"), 2.0) @ "mu"
    theta = normal(mu, 1.0, size=2) @ "theta"
    flag = bernoulli(0.5) @ "flag"
    effects = [group() @ ("groups", i) for i in range(2)]
    normal(mu + 0.1 * flag + theta[0] + effects[0], 0.5, size=n) @ "ys"
    poisson(param("rate")) @ ("extra", "count")


init_param(study, "centre", 0.5)
init_param(study, "rate", 3.0)
OBSERVED = ["ys", ("extra", "count")]


@functools.cache
def draws() -> Any:
    trace, _ = study.generate((3,), {"ys": YS, ("extra", "count"): 4}, rng=0)
    selections = ("mu", "theta", "flag", "groups")
    kernels = [functools.partial(metropolis_hastings, selection=a) for a in selections]
    return mcmc(kernels, trace, 12, 5, chains=2, rng=1)


def test_a_frame_has_a_row_for_each_draw_and_a_column_for_each_number_that_moves():
    found, frame = draws(), draws().to_frame()
    assert [*frame.columns] == [
        *("chain", "draw", "log_prob", "mu", "theta[0]", "theta[1]", "flag"),
        *("groups[0].effect", "groups[1].effect"),
    ]
    assert len(frame) == 24
    np.testing.assert_array_equal(frame["mu"], found.values["mu"].ravel())
    np.testing.assert_array_equal(frame["theta[1]"], found.values["theta"][..., 1].ravel())
    row = frame[(frame.chain == 1) & (frame.draw == 3)].iloc[0]
    assert row["log_prob"] == found.log_prob[1, 3]


def test_a_frame_of_selected_choices():
    assert [*draws().to_frame(["mu", "ys"]).columns[3:]] == ["mu", "ys[0]", "ys[1]", "ys[2]"]
    with pytest.raises(UnknownAddress, match="did you mean 'mu'"):
        draws().to_frame("mo")


@gen
def jumping():
    if bernoulli(0.5) @ "two":
        normal(0.0, 1.0) @ "more"


@functools.cache
def jumps() -> Any:
    kernel = functools.partial(metropolis_hastings, selection="two")
    return mcmc(kernel, jumping.simulate((), 0), 20, 0, rng=0)


def test_a_choice_that_a_draw_does_not_have_is_a_gap_in_the_frame():
    frame = jumps().to_frame()
    assert np.all(frame["more"].isna() == (frame["two"] == 0))
    with pytest.raises(InvalidValue, match=r"'more' is in \d+ of 20 traces"):
        jumps().values["more"]


def test_the_inference_data_have_their_groups():
    found, data = draws(), draws().to_arviz(OBSERVED)
    posterior = data["posterior"]
    assert {*posterior.data_vars} == {"mu", "theta", "flag", "groups[0].effect", "groups[1].effect"}
    assert posterior["theta"].shape == (2, 12, 2)
    assert posterior["theta"].dims[:2] == ("chain", "draw")
    assert posterior["flag"].dtype == int
    np.testing.assert_array_equal(posterior["mu"], found.values["mu"])
    np.testing.assert_array_equal(data["sample_stats"]["lp"], found.log_prob)
    assert not np.any(data["sample_stats"]["diverging"])
    rate = data["sample_stats"]["acceptance_rate"].mean("draw")
    np.testing.assert_allclose(rate, found.accept_rate)
    np.testing.assert_array_equal(data["observed_data"]["ys"], YS)
    assert data["observed_data"]["extra.count"] == 4


def test_log_likelihoods_are_by_datum_and_at_the_parameters_of_the_run():
    found = draws()
    set_param(study, "rate", 99.0)
    try:
        group = found.to_arviz(OBSERVED)["log_likelihood"]
    finally:
        set_param(study, "rate", 3.0)
    v = found.values
    mean = v["mu"] + 0.1 * v["flag"] + v["theta"][..., 0] + v["groups", 0, "effect"]
    expected = stats.norm.logpdf(YS, mean[..., None], 0.5)
    np.testing.assert_allclose(group["ys"], expected, rtol=1e-12)
    np.testing.assert_allclose(group["extra.count"], stats.poisson.logpmf(4, 3.0), rtol=1e-12)
    assert group["extra.count"].shape == (2, 12)
    assert "log_likelihood" not in found.to_arviz(OBSERVED, log_likelihood=False)


def test_arviz_computes_with_the_draws():
    arviz = pytest.importorskip("arviz")
    summary = arviz.summary(draws().to_arviz(OBSERVED), var_names=["mu", "flag", "theta"])
    assert summary.loc["mu", "mean"] == pytest.approx(draws().values["mu"].mean(), abs=1e-3)


def test_a_tuple_has_an_array_for_each_of_its_parts():
    @gen
    def paired():
        product([normal(0.0, 1.0), bernoulli(0.5)]) @ "pair"

    kernel = functools.partial(metropolis_hastings, selection="pair")
    found = mcmc(kernel, paired.simulate((), 0), 5, 0, rng=0)
    posterior = found.to_arviz([])["posterior"]
    firsts = [[value[0] for value in row] for row in found.values["pair"]]
    np.testing.assert_array_equal(posterior["pair.0"], firsts)
    assert posterior["pair.1"].dtype == int


def test_the_next_version_of_arviz_takes_one_dictionary(monkeypatch):
    fake: Any = types.ModuleType("arviz")
    fake.from_dict = lambda data, *, name=None: data
    monkeypatch.setitem(sys.modules, "arviz", fake)
    data = draws().to_arviz(OBSERVED)
    assert [*data] == ["posterior", "sample_stats", "observed_data", "log_likelihood"]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(MissingExtra, match=r"to_arviz needs arviz.*genparams\[arviz\]"):
        draws().to_arviz(OBSERVED)


def test_names_are_readable_and_different():
    names = readable([("mu",), ("g", "mu"), ("steps", 3, "y"), (0, "y"), ("g.mu",)])
    assert [*names.values()] == ["mu", "('g', 'mu')", "steps[3].y", "[0].y", "'g.mu'"]


MISTAKES = {
    "no observed addresses": (
        lambda: draws().to_arviz(),
        ArgumentError,
        r"write to_arviz\(observed=\['ys', \('extra', 'count'\)\]\); it seems",
    ),
    "an observed choice that moves": (
        lambda: draws().to_arviz(["ys", "mu"]),
        InvalidValue,
        "'mu' was not observed: its value is not the same",
    ),
    "an observed choice that is not everywhere": (
        lambda: jumps().to_arviz("more"),
        InvalidValue,
        "'more' was not observed: it is not in every draw",
    ),
    "a choice that is not everywhere": (
        lambda: jumps().to_arviz([]),
        InvalidValue,
        "ArviZ has no place for a choice that is not in every draw: 'more' is in",
    ),
    "an unknown address": (
        lambda: draws().to_arviz("yy"),
        UnknownAddress,
        "did you mean 'ys'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    act, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        act()
