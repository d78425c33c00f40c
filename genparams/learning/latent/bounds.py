"""Bounds on the log probability of data, and where their gradients begin.

A particle is one completion of the observations: its weight is

    log w = log p(observations, choices) - log q(choices)

for the model p and the guide q. A choice that the model draws itself is in both, and cancels.

The gradient of the mean of a bound is the mean of a gradient with two parts. The derivative of the
bound at fixed noise goes through the choices with the pathwise estimator. The derivative of log q
at the other choices, times what these choices change in the bound, is the part of the score
function. Both begin at the log probabilities of choices, each with a factor, the *seed*, and are
computed by one backward pass to the parameters of guide and model together.

Reference: Schulman, Heess, Weber and Abbeel, 2015, Gradient estimation using stochastic computation
graphs, https://arxiv.org/abs/1506.05254.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, raw
from genparams.dsl.likelihood.sites import Site
from genparams.learning.latent.completion import Completion
from genparams.learning.latent.particles_as_arrays import (
    entries,
    log_probs_by_particle,
    over_entries,
)
from genparams.types import Address, Array

Seed = tuple[Address, Box, Any]
"""Where a gradient begins: the log probability of the choice at an address, and its factor."""


Weights = Any
"""A number for each particle: an array, or a list where there is one particle."""


class Factors(NamedTuple):
    """For each particle, the factors of the log probabilities of its choices."""

    model: Weights
    """Of the choices of the model."""
    path: Weights
    """Of the choices of the guide with the pathwise estimator."""
    score: Weights
    """Of the choices of the guide with the score-function estimator."""
    drawn: Weights
    """Of the choices that the model drew itself, with the score-function estimator."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound as a function of the log weights of the particles."""

    name: str
    estimate: Callable[[Array], float]
    factors: Callable[[Array], Factors]
    needs_weights: bool
    """Whether the factors differ between particles even where every choice is pathwise."""


# --- The ELBO


def mean_of_others(log_w: Array) -> Array:
    """For each particle the mean log weight of the others."""
    return (np.sum(log_w) - log_w) / (len(log_w) - 1)


def elbo(leave_one_out: bool) -> Bound:
    """The evidence lower bound E[log w], by the mean of log w over K particles.

    With the seeds 1 / K of log p and -1 / K of log q. The mean of the derivative of log q by its
    own parameters is 0, so that it is left out at choices with the score function, whose factor is

        (log w - b) / K,   b = 0, or with `leave_one_out` the mean log w of the other particles

    Reference: Kingma and Welling, 2014, https://arxiv.org/abs/1312.6114, for the pathwise
    estimator; Ranganath, Gerrish and Blei, 2014, https://arxiv.org/abs/1401.0118, for the other.
    """

    def factors(log_w: Array) -> Factors:
        count = len(log_w)
        if count == 1:
            return Factors([1.0], [-1.0], log_w, log_w)
        baseline = mean_of_others(log_w) if leave_one_out else 0.0
        ones = np.full(count, 1.0 / count)
        score = (log_w - baseline) / count
        return Factors(ones, -ones, score, score)

    return Bound("ELBO", lambda log_w: float(sum(log_w) / len(log_w)), factors, False)


# --- Several samples


def log_mean_exp(log_w: Array) -> Any:
    """log of the mean of exp(log_w) along the last axis; -inf entries have the weight 0."""
    top = np.max(log_w, axis=-1, keepdims=True)
    return top[..., 0] + np.log(np.mean(np.exp(log_w - top), axis=-1))


def log_mean_of_others(log_w: Array) -> Array:
    """For each particle the log of the mean weight of the others."""
    count = len(log_w)
    others = np.where(np.eye(count) > 0.0, -np.inf, log_w)
    return log_mean_exp(others) + np.log(count / (count - 1))


def multi_sample(baseline: str) -> Bound:
    """The multi-sample bound E[L], L = log((1 / K) sum_k w_k).

    The seeds of log p and log q are a_k and -a_k, for the normalised weights a_k = w_k / sum w. At
    choices with the score function the factor of log q is L - b_k - a_k, where b_k is L with log
    w_k replaced by the mean of the other log weights ("geometric"), or by the log of the mean of
    the other weights ("arithmetic").

    Reference: Mnih and Rezende, 2016, Variational inference for Monte Carlo objectives,
    https://arxiv.org/abs/1602.06725; Burda, Grosse and Salakhutdinov, 2016,
    https://arxiv.org/abs/1509.00519, for the pathwise part.
    """
    replaced = {"geometric": mean_of_others, "arithmetic": log_mean_of_others}[baseline]

    def factors(log_w: Array) -> Factors:
        whole, count = log_mean_exp(log_w), len(log_w)
        each = np.where(np.eye(count) > 0.0, replaced(log_w)[:, None], log_w)
        signal = whole - log_mean_exp(each)
        share = np.exp(log_w - whole) / count
        return Factors(share, -share, signal - share, signal)

    return Bound("multi-sample bound", lambda log_w: float(log_mean_exp(log_w)), factors, True)


# --- Weights and seeds


def log_weights(found: Sequence[Completion], particles: int | None) -> Weights:
    """log w of each particle, of several runs or of one run on arrays."""
    if particles is not None:
        return _log_weights_in_arrays(found[0], particles)
    if len(found) == 1:
        return [_log_weight(found[0])]
    return np.array([_log_weight(one) for one in found])


def _log_weight(one: Completion) -> float:
    log_probs, drawn = one.model.log_probs, one.drawn
    kept = [lp for a, lp in log_probs.items() if a not in drawn] if drawn else log_probs.values()
    return float(sum(map(raw, kept)) - sum(map(raw, one.guide.log_probs.values())))


def _log_weights_in_arrays(one: Completion, particles: int) -> Array:
    total = np.zeros(particles)
    for site in one.model_sites:
        each = log_probs_by_particle(site, particles)  # checks the axis of every choice
        if site.address not in one.drawn:
            total += each
    for site in one.guide_sites:
        total -= log_probs_by_particle(site, particles)
    return total


def seeds(
    found: Sequence[Completion], factors: Factors, particles: int | None, needs_weights: bool
) -> list[Seed]:
    """The log probabilities on the tape, with their factors."""
    if particles is None:
        return [
            (address, box, float(by_particle[k]))
            for k, one in enumerate(found)
            for _, address, box, by_particle in _choices(one, factors)
        ]
    (one,) = found
    sites: dict[bool, dict[Address, Site]] = {
        True: {site.address: site for site in one.guide_sites},
        False: {site.address: site for site in one.model_sites},
    }
    begin: list[Seed] = []
    for is_guide, address, box, by_particle in _choices(one, factors):
        if not needs_weights and (by_particle is factors.model or by_particle is factors.path):
            begin.append((address, box, float(by_particle[0])))  # the same for every particle
        else:
            each = entries(sites[is_guide][address], particles)
            begin.append((address, each, over_entries(by_particle, each.shape)))
    return begin


def _choices(one: Completion, factors: Factors) -> list[tuple[bool, Address, Box, Weights]]:
    """Each choice with a seed: whether the guide makes it, its address, log probability, and its
    factors by particle."""
    scored, drawn = one.scored, one.drawn
    found = []
    for address, box in one.model.log_probs.items():
        if type(box) is not Box:
            continue
        if address not in drawn:
            found.append((False, address, box, factors.model))
        elif address in scored:
            found.append((False, address, box, factors.drawn))
    for address, box in one.guide.log_probs.items():
        if type(box) is Box:
            by_particle = factors.score if address in scored else factors.path
            found.append((True, address, box, by_particle))
    return found
