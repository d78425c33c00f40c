"""The runner of chains: what is kept, seeds, executors, and what it refuses."""

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from genparams import Trace, gamma, gen, init_param, normal, param, set_param, uniform
from genparams.dsl.parallel.processes import LocalProcesses
from genparams.errors import (
    ArgumentError,
    ComputedHere,
    InvalidValue,
    NoDensity,
    NotPicklable,
    UnknownAddress,
)
from genparams.learning.sampling.mcmc import mcmc
from genparams.learning.sampling.metropolis import metropolis_hastings
from genparams.learning.sampling.moved import Moved

YS = np.array([0.8, 1.9, 1.1])


@gen
def mean_of():
    mu = normal(param("centre"), 2.0) @ "mu"
    s = gamma(3.0, rate=3.0) @ "s"
    normal(mu, s, size=3) @ "ys"


@gen
def drift(trace, width):
    normal(trace["mu"], width * param("unit")) @ "mu"


init_param(mean_of, "centre", 1.0)
init_param(drift, "unit", 1.0)

move_mu = functools.partial(metropolis_hastings, proposal=drift, proposal_args=(0.5,))
move_s = functools.partial(metropolis_hastings, selection="s")


def trace_of(**given: Any) -> Trace:
    return mean_of.generate((), {"ys": YS, "mu": 1.0, "s": 0.8, **given})[0]


def run(kernel: Any = move_mu, draws: int = 6, warmup: int = 0, **named: Any):
    return mcmc(kernel, named.pop("trace", trace_of()), draws, warmup, rng=3, **named)


def test_the_draws_are_those_of_the_kernel_in_a_loop():
    """Chain c draws from a generator that is seeded by child c of the seed."""
    found = run([move_mu, move_s], draws=8, chains=2)
    entropy = np.random.default_rng(3).integers(2**32, size=4).tolist()
    for c, seed in enumerate(np.random.SeedSequence(entropy).spawn(2)):
        rng, trace = np.random.default_rng(seed), trace_of()
        for kept in found.traces[c]:
            trace, _ = move_mu(trace, rng=rng)
            trace, _ = move_s(trace, rng=rng)
            assert trace == kept
    assert found.shape == (2, 8)
    assert found.values["mu"].shape == (2, 8)
    assert found.values["ys"].shape == (2, 8, 3)
    assert found.log_prob[1, 3] == found.traces[1][3].log_prob


def test_a_chain_does_not_depend_on_the_number_of_chains():
    one, three = run(chains=1), run(chains=3)
    np.testing.assert_array_equal(one.values["mu"][0], three.values["mu"][0])
    assert not np.any(three.values["mu"][1:] == three.values["mu"][0])


def test_the_warm_up_and_the_states_between_are_left_out():
    all_states = run(draws=12).values["mu"][0]
    np.testing.assert_array_equal(run(draws=7, warmup=5).values["mu"][0], all_states[5:])
    np.testing.assert_array_equal(run(draws=4, thin=3).values["mu"][0], all_states[2::3])


def test_each_chain_may_begin_elsewhere():
    starts = [trace_of(mu=-50.0), trace_of(mu=50.0)]
    found = run(trace=starts, chains=2, draws=2)
    assert np.all(found.values["mu"][0] < 0.0)
    assert np.all(found.values["mu"][1] > 0.0)


def test_rates_of_acceptance_are_of_each_kernel_and_between_draws():
    sure = iter(range(100))

    def alternate(trace, rng):
        return Moved(trace, True, 1.0 if next(sure) % 2 else 0.5, stats={"depth": 3.0})

    def plain(trace, rng):
        return trace, False

    found = run([alternate, plain], draws=4, thin=2)
    np.testing.assert_array_equal(found.accept_probs, np.tile([0.75, 0.0], (1, 4, 1)))
    assert found.accept_rate == pytest.approx([0.375])
    assert [*found.stats] == ["depth[0]"]
    assert [*run(alternate).stats] == ["depth"]
    np.testing.assert_array_equal(found.stats["depth[0]"], np.full((1, 4), 3.0))


def test_a_chain_follows_the_present_parameters():
    before = trace_of()
    set_param(mean_of, "centre", 40.0)
    try:
        found = run(trace=before, draws=3)
        assert not found.traces[0][0].is_stale
        assert found.log_prob[0, 0] < before.log_prob - 100.0
    finally:
        set_param(mean_of, "centre", 1.0)


def test_a_function_of_each_trace_is_collected():
    found = run(draws=3, chains=2)
    both = found.collect(lambda trace: np.array([trace["mu"], trace["s"]]))
    np.testing.assert_array_equal(both[..., 0], found.values["mu"])
    np.testing.assert_array_equal(both[..., 1], found.values["s"])


def test_draws_show_themselves():
    assert repr(run(draws=3, chains=2)).startswith("Draws(2 chains of 3 draws, accepted 0.")


# --- Executors


def test_threads_give_the_same_draws():
    here = run(chains=3)
    with ThreadPoolExecutor(2) as executor:
        there = run(chains=3, executor=executor)
    assert here.traces == there.traces


@gen
def near(trace):
    normal(trace["mu"], param("own", 0.3)) @ "mu"


class Hidden:
    """Something in which nobody looks for a generative function."""

    def __init__(self, proposal):
        self.proposal = proposal


def move(trace, proposal, rng):
    proposal = proposal.proposal if isinstance(proposal, Hidden) else proposal
    return metropolis_hastings(trace, proposal, rng=rng)


def test_processes_give_the_same_draws_at_the_parameters_of_the_caller():
    """The workers are started before the parameters move, and know the values of the import."""

    with LocalProcesses(1) as executor:
        first = run(chains=2, executor=executor)
        assert first.traces == run(chains=2).traces
        set_param(mean_of, "centre", -3.0)
        set_param(drift, "unit", 3.0)
        try:
            here = run([move_mu, move_s], chains=2)
            there = run([move_mu, move_s], chains=2, executor=executor)
        finally:
            set_param(mean_of, "centre", 1.0)
            set_param(drift, "unit", 1.0)
        assert here.traces == there.traces
        assert there.traces[0][0].is_stale
        assert not np.array_equal(here.values["mu"], first.values["mu"])
        there.traces[0][0].rescored()

        for kernel in (near, Hidden(near)):
            init_param(near, "own", 2.0)
            here = run(functools.partial(move, proposal=kernel), chains=1)
            hidden = isinstance(kernel, Hidden)
            with pytest.warns(ComputedHere, match="'own' of near") if hidden else nullcontext():
                there = run(functools.partial(move, proposal=kernel), chains=1, executor=executor)
            assert here.traces == there.traces

        with pytest.raises(UnknownAddress, match="did you mean 'mu'"):
            run(functools.partial(metropolis_hastings, selection="mo"), executor=executor)
        locked = functools.partial(metropolis_hastings, selection=threading.Lock())
        with pytest.raises(NotPicklable, match=r"^kernel 0: .* cannot be sent to another process"):
            run(locked, executor=executor)


# --- Bad input


@gen
def bounded():
    x = uniform(0.0, 1.0) @ "x"
    uniform(0.0, x) @ "y"


def outside():
    return bounded.generate((), {"x": 0.5, "y": 2.0})[0]


MISTAKES = {
    "no draws": (lambda: run(draws=0), InvalidValue, "draws is a whole number of at least 1"),
    "a negative warm-up": (lambda: run(warmup=-1), InvalidValue, "warmup is a whole number of at"),
    "no thinning": (lambda: run(thin=0), InvalidValue, "thin is a whole number of at least 1"),
    "no chains": (lambda: run(chains=0), InvalidValue, "chains is a whole number of at least 1"),
    "no kernels": (lambda: run([]), ArgumentError, "got an empty list"),
    "a kernel that is none": (lambda: run("mu"), ArgumentError, "a kernel is a function of"),
    "a kernel without rng": (
        lambda: run(lambda trace: (trace, True)),
        ArgumentError,
        "a kernel is a function of \\(trace, rng\\)",
    ),
    "a kernel that is given its trace": (
        lambda: run(functools.partial(metropolis_hastings, trace_of(), "mu")),
        ArgumentError,
        "got a trace; mcmc gives each kernel its trace",
    ),
    "a kernel that returns a trace": (
        lambda: run(lambda trace, rng: trace),
        ArgumentError,
        "a kernel returns trace, accepted; the function <lambda> returned Trace",
    ),
    "a kernel whose selection is not there": (
        lambda: run(functools.partial(metropolis_hastings, selection="mo")),
        UnknownAddress,
        "did you mean 'mu'",
    ),
    "more traces than chains": (
        lambda: run(trace=[trace_of()] * 3, chains=2),
        InvalidValue,
        "there are 2 chains and 3 traces",
    ),
    "a result of generate": (
        lambda: run(trace=mean_of.generate((), {"ys": YS})),
        ArgumentError,
        "a chain begins at a trace, as in trace, weight",
    ),
    "a start without density": (
        lambda: run(trace=outside()),
        NoDensity,
        "a chain cannot begin at this trace: 'y' of bounded has log probability -inf",
    ),
    "an executor that is none": (
        lambda: run(executor=2),
        ArgumentError,
        "executor is an object with the method submit",
    ),
    "an executor that was not made": (
        lambda: run(executor=ThreadPoolExecutor),
        ArgumentError,
        "executor is an object with the method submit",
    ),
    "values of another address": (
        lambda: run().values["nu"],
        UnknownAddress,
        "there is no choice 'nu'; did you mean 'mu'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    act, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        act()
