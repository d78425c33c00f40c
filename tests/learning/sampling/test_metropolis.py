"""Metropolis-Hastings: detailed balance by enumeration, and jumps between dimensions."""

import functools

import numpy as np
import pytest
from transitions import Branching, flip, transitions

from genparams import bernoulli, gen, init_param, normal, param, select, set_param
from genparams.errors import (
    ArgumentError,
    GenParamsError,
    InferenceError,
    NoDensity,
    NotInvolution,
    ProposalMismatch,
    UnknownAddress,
    UnusedConstraint,
)
from genparams.learning.sampling.metropolis import metropolis_hastings


@gen
def forked():
    """A model whose choices depend on a choice."""
    deep = flip(0.3) @ "deep"
    rate = flip(0.6) @ "a" * 0.5 + flip(0.2) @ "b" * 0.3 if deep else 0.1 + flip(0.7) @ "c" * 0.6
    flip(0.1 + 0.8 * rate) @ "y"


def forked_trace():
    return forked.generate((), {"y": 1, "deep": 0, "c": 0})[0]


def assert_balanced(kernel, start, states):
    """pi_i P_ij = pi_j P_ji over all states, which are as many as expected."""
    pi, P, traces = transitions(kernel, start)
    assert len(traces) == states
    np.testing.assert_allclose(P.sum(axis=1), 1.0, atol=1e-12)
    flow = pi[:, None] * P
    np.testing.assert_allclose(flow, flow.T, atol=1e-14)


LATENT = select("deep") | select("a", "b", "c", missing="ignore")


@pytest.mark.parametrize("selection", ["deep", ["deep"], LATENT], ids=["one", "list", "all"])
def test_a_selection_that_changes_the_structure_is_balanced(selection):
    assert_balanced(functools.partial(metropolis_hastings, selection=selection), forked_trace(), 6)


@gen
def switched(trace, up):
    """Chooses only the fork; what is new there is drawn from the model."""
    flip(0.8 if trace["deep"] else up) @ "deep"


@gen
def guided(trace):
    """Chooses the fork, and some of the choices on either side."""
    if flip(0.9 - 0.6 * trace["deep"]) @ "deep":
        flip(0.55) @ "a"
    else:
        flip(0.35) @ "c"


@pytest.mark.parametrize(
    ("proposal", "args"), [(switched, (0.4,)), (guided, ())], ids=["prior", "guided"]
)
def test_a_proposal_that_changes_the_structure_is_balanced(proposal, args):
    kernel = functools.partial(metropolis_hastings, proposal=proposal, proposal_args=args)
    assert_balanced(kernel, forked_trace(), 6)
    same = metropolis_hastings(forked_trace(), proposal, args, rng=Branching([1]))
    again = kernel(forked_trace(), rng=Branching([1]))
    assert same == again


def test_a_kernel_without_the_way_back_is_found_out():
    def wrong(trace, rng):
        forward, log_forward, _ = switched.propose((trace, 0.4), rng)
        new, weight, _ = trace.update(forward, rng=rng)
        back, _ = switched.assess((trace, 0.4), {"deep": trace["deep"]})
        from genparams.learning.sampling.kernels import decided

        return decided(rng, trace, new, weight - log_forward + back)

    with pytest.raises(AssertionError):
        assert_balanced(wrong, forked_trace(), 6)


@gen
def three():
    for i in range(3):
        flip(0.2 + 0.3 * i) @ i
    flip(0.9) @ "y"


@gen
def which(trace):
    return flip(0.3) @ "first" + flip(0.6 - 0.2 * trace[0]) @ "second"


def turned(trace, u, place, proposal_args):
    return {place: 1 - trace[place]}, u, 0.0


def test_an_involution_of_discrete_choices_is_balanced():
    start, _ = three.generate((), {"y": 1})
    kernel = functools.partial(metropolis_hastings, proposal=which, involution=turned, check=True)
    assert_balanced(kernel, start, 8)


# --- Jumps between dimensions


YS = (0.3, 1.4)
SPREAD = 0.8


@gen
def one_or_two():
    """One mean for both data, or one for each."""
    if bernoulli(0.5) @ "two":
        means = [normal(0.0, 1.0) @ "m1", normal(0.0, 1.0) @ "m2"]
    else:
        means = [normal(0.0, 1.0) @ "m"] * 2
    for i, mean in enumerate(means):
        normal(mean, SPREAD) @ ("y", i)


@gen
def gap(trace):
    """A merge needs no random number: it is deterministic."""
    if not trace["two"]:
        normal(0.0, 0.7) @ "u"


def split_or_merge(trace, u, retval, proposal_args):
    if trace["two"]:
        half = 0.5 * (trace["m2"] - trace["m1"])
        middle = 0.5 * (trace["m2"] + trace["m1"])
        return {"two": False, "m": middle}, {"u": half}, -np.log(2.0)
    m, half = trace["m"], u["u"]
    return {"two": True, "m1": m - half, "m2": m + half}, {}, np.log(2.0)


def jump(trace, rng=None, check=False):
    return metropolis_hastings(trace, gap, (), split_or_merge, check=check, rng=rng)


def evidence(two):
    """log p(y | two), a normal density with a covariance."""
    cov = SPREAD**2 * np.eye(2) + (np.eye(2) if two else np.ones((2, 2)))
    y = np.array(YS)
    return -0.5 * (y @ np.linalg.solve(cov, y) + np.linalg.slogdet(2.0 * np.pi * cov)[1])


def from_posterior(rng):
    """An exact draw of the posterior."""
    odds = np.exp(evidence(True) - evidence(False))
    y = np.array(YS)
    observed = {("y", 0): YS[0], ("y", 1): YS[1]}
    if rng.random() < odds / (1.0 + odds):
        precision = 1.0 + 1.0 / SPREAD**2
        m1, m2 = y / SPREAD**2 / precision + rng.normal(size=2) / np.sqrt(precision)
        given = {"two": True, "m1": m1, "m2": m2}
    else:
        precision = 1.0 + 2.0 / SPREAD**2
        m = y.sum() / SPREAD**2 / precision + rng.normal() / np.sqrt(precision)
        given = {"two": False, "m": m}
    return one_or_two.generate((), {**given, **observed})[0]


def test_the_acceptance_of_a_jump_is_the_formula_of_green():
    start = one_or_two.generate((), {"two": False, "m": 0.4, ("y", 0): 0.3, ("y", 1): 1.4})[0]
    moved = jump(start, rng=5)
    u = gap.simulate((start,), rng=5)["u"]
    new, _, _ = start.update({"two": True, "m1": 0.4 - u, "m2": 0.4 + u})
    ratio = new.log_prob - start.log_prob - normal.log_prob(u, 0.0, 0.7) + np.log(2.0)
    assert moved.accept_prob == pytest.approx(np.exp(min(ratio, 0.0)), rel=1e-12)
    back = jump(new, rng=0)
    assert back.accept_prob == pytest.approx(np.exp(min(-ratio, 0.0)), rel=1e-12)


def test_a_jump_between_dimensions_leaves_the_posterior_invariant():
    """1500 exact draws, one step each: z-tests of three means, that fail once in 5000 seeds."""
    rng = np.random.default_rng(7)
    starts = [from_posterior(rng) for _ in range(1500)]
    ends = [jump(trace, rng).trace for trace in starts]
    odds = np.exp(evidence(True) - evidence(False))
    p = odds / (1.0 + odds)
    twos = np.array([trace["two"] for trace in ends])
    assert abs(np.mean(twos) - p) < 4.0 * np.sqrt(p * (1.0 - p) / len(ends))
    precision = 1.0 + 1.0 / SPREAD**2
    m1 = np.array([trace["m1"] for trace in ends if trace["two"]])
    z = (m1 - YS[0] / SPREAD**2 / precision) * np.sqrt(precision)
    assert abs(np.mean(z)) < 4.0 / np.sqrt(len(z))
    assert abs(np.mean(z**2) - 1.0) < 4.0 * np.sqrt(2.0 / len(z))
    assert 0.2 < np.mean([a is not b for a, b in zip(starts, ends, strict=True)]) < 0.9


def test_the_check_confirms_a_jump_in_both_directions():
    rng = np.random.default_rng(1)
    for _ in range(4):
        assert 0.0 < jump(from_posterior(rng), rng, check=True).accept_prob <= 1.0


# --- The present parameters, and bad input


@gen
def centred():
    normal(param("mu"), 1.0) @ "x"


def test_a_step_is_taken_at_the_present_parameters():
    init_param(centred, "mu", 0.0)
    trace, _ = centred.generate((), {"x": 0.5})
    set_param(centred, "mu", 3.0)

    @gen
    def stay(trace):
        normal(trace["x"], 0.1) @ "x"

    kept = metropolis_hastings(trace, stay, (), rng=0)
    new = metropolis_hastings(trace.rescored(), stay, (), rng=0)
    assert kept.accept_prob == new.accept_prob
    assert not kept.trace.is_stale


def test_an_impossible_proposal_is_rejected():
    @gen
    def positive_only():
        x = normal(0.0, 1.0) @ "x"
        bernoulli(1.0 if x > 0.0 else 0.0) @ "y"

    trace, _ = positive_only.generate((), {"x": 1.0, "y": True})

    @gen
    def below(trace):
        normal(-5.0, 0.1) @ "x"

    moved = metropolis_hastings(trace, below, ())
    assert moved.trace is trace
    assert (moved.accepted, moved.accept_prob) == (False, 0.0)


def test_a_step_repeats_to_the_bit():
    start = one_or_two.generate((), {("y", 0): 0.3, ("y", 1): 1.4}, rng=0)[0]
    one, other = (metropolis_hastings(start, "two", rng=3) for _ in range(2))
    assert one == other


@gen
def stranger(trace):
    flip(0.5) @ "z"


@gen
def odd(trace):
    """Moves c from c = 0, and the fork from c = 1: there is no way back."""
    if trace["c"]:
        flip(0.5) @ "deep"
    else:
        flip(1.0 - 1e-9) @ "c"


def lost(trace, u, retval, proposal_args):
    return {"deep": 1}, u, 0.0


def half_way(trace, u, retval, proposal_args):
    return {"m": trace["m"] + u["u"]}, {"u": u["u"]}, 0.0


def stretched(trace, u, retval, proposal_args):
    return {"m": u["u"]}, {"u": trace["m"]}, np.log(2.0)


def unpaid(trace, u, retval, proposal_args):
    return {"m": u["u"]}, {"u": 2.0 * trace["m"] - trace["m"]}, "none"


def one_mean():
    return one_or_two.generate((), {"two": False, "m": 0.2, ("y", 0): 0.3, ("y", 1): 1.4})[0]


MISTAKES = {
    "no move": (lambda: metropolis_hastings(forked_trace()), ArgumentError, "got neither"),
    "two moves": (
        lambda: metropolis_hastings(forked_trace(), "deep", proposal=guided),
        ArgumentError,
        "got both",
    ),
    "an involution of a selection": (
        lambda: metropolis_hastings(forked_trace(), "deep", (), lost),
        ArgumentError,
        "got an involution with a selection",
    ),
    "not a trace": (
        lambda: functools.partial(metropolis_hastings, "deep")(forked_trace()),  # pyright: ignore
        ArgumentError,
        "moves a trace, which comes first, got 'deep'",
    ),
    "arguments that are no tuple": (
        lambda: metropolis_hastings(forked_trace(), switched, 0.4),  # pyright: ignore
        ArgumentError,
        "proposal_args is a tuple, got 0.4; write \\(0.4,\\)",
    ),
    "a proposal that is a function of Python": (
        lambda: metropolis_hastings(forked_trace(), proposal=lambda trace: 1),
        ArgumentError,
        "a proposal is a generative function",
    ),
    "an unknown address": (
        lambda: metropolis_hastings(forked_trace(), "dee"),
        UnknownAddress,
        "did you mean 'deep'",
    ),
    "an empty selection": (
        lambda: metropolis_hastings(forked_trace(), []),
        InferenceError,
        "nothing selects no choice of forked",
    ),
    "the complement of everything": (
        lambda: metropolis_hastings(three.simulate((), 0), ~select(0, 1, 2, "y")),
        InferenceError,
        "selects no choice of three",
    ),
    "an address that the model never visits": (
        lambda: metropolis_hastings(forked_trace(), stranger, ()),
        UnusedConstraint,
        "forked never visited 'z'",
    ),
    "no way back": (
        lambda: metropolis_hastings(forked_trace(), odd, (), rng=0),
        ProposalMismatch,
        "odd would change 'deep', and this proposal did not",
    ),
    "an involution without a value": (
        lambda: metropolis_hastings(forked_trace(), switched, (0.4,), lost),
        NotInvolution,
        "visits 'a', for which the involution gives no value",
    ),
    "an involution that does not return": (
        lambda: metropolis_hastings(one_mean(), gap, (), half_way, check=True),
        NotInvolution,
        "does not lead back: 'm' of the model was",
    ),
    "a wrong Jacobian": (
        lambda: metropolis_hastings(one_mean(), gap, (), stretched, check=True),
        NotInvolution,
        "add to 0",
    ),
    "a Jacobian that is no number": (
        lambda: metropolis_hastings(one_mean(), gap, (), unpaid),
        GenParamsError,
        "a finite number, got 'none'",
    ),
    "an involution that returns a trace": (
        lambda: metropolis_hastings(one_mean(), gap, (), lambda t, u, r, a: t),
        NotInvolution,
        "an involution returns constraints, back, log_abs_det",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    act, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        act()


def test_a_wrong_determinant_is_found_by_differences():
    """Its two directions add to 0, so that only the differences can tell."""

    def scaled(trace, u, retval, proposal_args):
        image = split_or_merge(trace, u, retval, proposal_args)
        return (*image[:2], 2.0 * image[2])

    with pytest.raises(
        NotInvolution, match=r"gives log \|det J\| = 1.38629, and finite .* 0.693147"
    ):
        metropolis_hastings(one_mean(), gap, (), scaled, check=True)


def test_numbers_that_are_lost_are_counted():
    @gen
    def none(trace):
        pass

    def forgetful(trace, u, retval, proposal_args):
        if trace["two"]:
            return {"two": False, "m": trace["m1"]}, {}, 0.0
        return {"two": True, "m1": trace["m"], "m2": trace["m"]}, {}, 0.0

    with pytest.raises(NotInvolution, match=r"maps 1 \+ 0 numbers to 2 \+ 0"):
        metropolis_hastings(one_mean(), none, (), forgetful, check=True)


def test_a_ratio_that_is_nan_names_its_choice():
    @gen
    def bounded():
        x = normal(0.0, 1.0) @ "x"
        bernoulli(1.0 if x > 0.0 else 0.0) @ "y"

    trace, _ = bounded.generate((), {"x": -1.0, "y": True})
    seed = next(s for s in range(9) if np.random.default_rng(s).normal() < 0.0)
    with pytest.raises(NoDensity, match="cannot move on from this trace: 'y' of bounded"):
        metropolis_hastings(trace, "x", rng=seed)
