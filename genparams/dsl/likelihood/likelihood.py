"""The log probability of traces as a function of a vector, with its derivatives.

Every choice of the traces is held, and every parameter of the vector is free. Computing the log
probability moves no parameter and uses no accumulator.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, Tape, columns, raw
from genparams.dsl.execution import recorder
from genparams.dsl.interpreter import Read, Run
from genparams.dsl.likelihood import quantities
from genparams.dsl.likelihood.scales import Scales, may_have_scale, scales_of
from genparams.dsl.likelihood.sites import (
    Site,
    Stacked,
    recording,
)
from genparams.dsl.quantities import Point, Quantity, reading, run_at
from genparams.errors import DistributionError, TracedValueError
from genparams.numeric import quiet
from genparams.params import Parameter
from genparams.params.vector import Vector
from genparams.trace.trace import Trace
from genparams.types import Array

WIDTH = 100.0
"""The size of a coordinate for a difference, at most, beside its standard error."""
ASIDE = 1e-3
"""How far a point that confirms a scale is from the start, beside a coordinate."""
DIFFERENCE = 6e-6
"""The step of a difference, as a part of a coordinate: the cube root of the rounding error."""


class First(NamedTuple):
    """A log probability and its gradient."""

    log_prob: float
    gradient: Array


class Second(NamedTuple):
    """A log probability, its gradient, and a matrix of second derivatives.

    The matrix is the Hessian, minus the Hessian, or the information: each function says which.
    """

    log_prob: float
    gradient: Array
    matrix: Array


@dataclass(frozen=True, slots=True)
class Likelihood:
    """log p(t; x, theta) + log p(theta) of traces, as a function of the free coordinates theta."""

    traces: Sequence[Trace]
    vector: Vector
    priors: Mapping[Parameter, Any]
    """A `Call` of a distribution for each parameter that has a prior, over its natural value."""
    held: Mapping[Parameter, Any] = field(default_factory=dict)
    """The natural values of parameters that are not in the vector; the present ones if absent."""
    weights: Sequence[float] | None = None
    """A factor for the log probability of each trace, positive; 1 if absent."""
    evaluators: Mapping[Any, Any] = field(default_factory=dict)
    """What evaluates the quantities of the traces of some functions, in place of their own
    `trace_quantities`."""
    refusals: list[Exception] = field(default_factory=list)
    """The error that says why Hessians are computed from differences of gradients: the model gives
    a gradient by hand that cannot be differentiated. Empty until a Hessian meets it."""

    # --- Values

    @quiet
    def log_prob(self, x: Array) -> float:
        """The log probability, without derivatives."""
        return self.log_likelihood(x) + self.log_prior(x)

    def log_likelihood(self, x: Array) -> float:
        """The log probability of all traces, without the prior."""
        each = zip(self._weights, self.log_probs(x), strict=True)
        return float(sum(weight * log_prob for weight, log_prob in each))

    @property
    def _weights(self) -> Sequence[float]:
        return [1.0] * len(self.traces) if self.weights is None else self.weights

    @quiet
    def log_probs(self, x: Array) -> list[float]:
        """The log probability of each trace, without its weight and the prior."""
        read = self._given(x)
        runs = [self._run(trace, read) for trace in self.traces]
        return [float(sum(map(raw, run.log_probs.values()))) for run in runs]

    def log_prior(self, x: Array) -> float:
        """The log density of the parameters that have a prior."""
        values = self.natural(x)
        return float(sum(call.log_prob(values[p]) for p, call in self.priors.items()))

    @quiet
    def sites(self, x: Array) -> list[list[Site]]:
        """The choices of each trace, with the arguments of their distributions."""
        found: list[list[Site]] = [[] for _ in self.traces]
        for trace, sites in zip(self.traces, found, strict=True):
            self._run(trace, self._given(x), sites)
        return found

    # --- Derivatives

    @quiet
    def gradient(self, x: Array) -> First:
        """The log probability and its gradient."""
        total, g = 0.0, np.zeros(self.vector.size)
        for weight, found in self._each(quantities.gradient, quantities.first, x):
            log_prob, *grads = found
            total += weight * log_prob
            g += weight * self._joined(grads)
        return First(float(total), g)

    @quiet
    def hessian(self, x: Array) -> Second:
        """The log probability, its gradient and its second derivatives.

        Where the model gives a gradient by hand that cannot be differentiated, the second
        derivatives are differences of gradients.
        """
        if not self.refusals:
            try:
                return self._hessian(x)
            except (TracedValueError, DistributionError) as error:
                self.gradient(x)  # the same error, if the parameters are outside of a domain
                self.refusals.append(error)
        return Second(*self.gradient(x), self._differences(x))

    def _hessian(self, x: Array) -> Second:
        total, size = 0.0, self.vector.size
        g, h = np.zeros(size), np.zeros((size, size))
        for weight, found in self._each(quantities.hessian, quantities.second, x):
            log_prob, *grads, matrix = found
            total += weight * log_prob
            g += weight * self._joined(grads)
            h += weight * matrix
        return Second(float(total), g, 0.5 * (h + h.T))

    def _differences(self, x: Array) -> Array:
        """The Hessian by central differences of gradients.

        A step is a small part of the standard error of a coordinate with the others held, which
        takes two Hessians with other steps first.
        """
        sizes = np.maximum(np.abs(x), 1.0)
        for _ in range(2):
            curvature = np.abs(np.diag(self._differences_by(x, DIFFERENCE * sizes)))
            known = np.isfinite(curvature) & (curvature > 0.0)
            errors = 1.0 / np.sqrt(np.where(known, curvature, 1.0))
            sizes = np.where(known, np.minimum(WIDTH * errors, sizes), sizes)
        return self._differences_by(x, DIFFERENCE * sizes)

    def _differences_by(self, x: Array, steps: Array) -> Array:
        moves = np.diag(steps)
        changes = [self.gradient(x + s).gradient - self.gradient(x - s).gradient for s in moves]
        h = np.reshape(changes, (len(x), len(x))) / (2.0 * steps[:, None])
        return 0.5 * (h + h.T)

    @quiet
    def information(self, x: Array) -> Second | None:
        """The log probability, its gradient and the expected information.

            I = sum over choices of A^T I(a) A

        for the derivatives A of the arguments a of each choice by theta, and the information I(a)
        of its distribution. For one choice it is minus the expectation of the Hessian, given the
        values of the earlier choices. A prior adds minus its Hessian.

        Returns:
            None where a distribution has no closed form of I(a), or where the model gives a
            gradient by hand that cannot be differentiated.
        """
        total, size = 0.0, self.vector.size
        g, information = np.zeros(size), np.zeros((size, size))
        for weight, found in self._each(quantities.derivatives_of_arguments, None, x):
            if found is None:
                return None
            (log_prob, *grads), parts = found
            total += weight * log_prob
            g += weight * self._joined(grads)
            for part in parts:
                if part.moves:
                    of_part = part.information()
                    if of_part is None:
                        return None
                    information += weight * of_part
        if self.priors:
            prior = Likelihood((), self.vector, self.priors, self.held).hessian(x)
            return Second(total + prior.log_prob, g + prior.gradient, information - prior.matrix)
        return Second(total, g, information)

    @quiet
    def scales(self, x: Array) -> Scales:
        """The standard deviations that have their maximum in closed form; none with weights."""
        if self.weights is not None:
            return Scales({})
        if not any(map(may_have_scale, self._stacks(x))):
            return Scales({})  # without the derivatives, which take as long as the information
        stacks: list[Stacked] = []
        for _, found in self._each(quantities.derivatives_of_arguments, None, x):
            if found is None:
                return Scales({})
            stacks += found[1]
        places = [place for p, place in self.vector.places.items() if p in self.priors]
        fixed = [j for place in places for j in range(place.start, place.stop)]
        found = scales_of(stacks, self.vector.size, fixed)
        return self._confirmed(found, x) if found.entries else found

    def _confirmed(self, found: Scales, x: Array) -> Scales:
        """The scales that runs at two other points confirm; none where the model fails there.

        The first is a little away in every coordinate, as a derivative may be 0 by accident at x.
        """
        x = x + ASIDE * np.maximum(np.abs(x), 1.0) * np.cos(1.0 + np.arange(len(x)))
        try:
            before, after = map(self._stacks, (x, found.moved(x)))
        except Exception:  # whatever the model raises there
            return Scales({})
        return found.confirmed(before, after)

    @quiet
    def settled(self, x: Array, scales: Scales) -> Array:
        """x with the standard deviations in `scales` at their maximum, given the rest."""
        if not scales.entries:
            return x
        return scales.settled(x, self._stacks(x))

    def exact(self, x: Array) -> list[int]:
        """The coordinates in `scales` whose residuals are rounding errors."""
        return self.scales(x).exact(self._stacks(x))

    def _stacks(self, x: Array) -> list[Stacked]:
        """The choices of all traces, in stacks, with the arguments of their distributions."""
        each = self._each(quantities.arguments_of_choices, None, x)
        return [stack for _, found in each for stack in found]

    @quiet
    def scores(self, x: Array) -> Array:
        """The gradient of each term of the log likelihood, in rows; without weights and the prior.

        With one trace a term is an entry of a choice. With several traces a term is a trace.
        """
        if len(self.traces) > 1:
            each = [Likelihood([t], self.vector, {}, self.held) for t in self.traces]
            return np.stack([one.gradient(x).gradient for one in each])
        with Tape() as tape:
            leaves, sites = self._leaves(tape, x), []
            self._run(self.traces[0], reading(leaves, given(self.held)), sites)
            each = [site.log_probs() for site in sites]
            found = columns(tape, [one for one in each if type(one) is Box], [*leaves.values()])
            return np.concatenate([by_theta.reshape(len(x), -1).T for by_theta in found])

    @quiet
    def tangents(
        self, x: Array, compute: Callable[[Read], Sequence[Any]]
    ) -> list[tuple[Any, Array]]:
        """The values of functions of the natural values, with their derivatives by the vector.

        Args:
            compute: The functions: it takes a function that reads a parameter, and returns values.

        Returns:
            For each value, the value and its derivatives, of shape (size, *value.shape).
        """
        with Tape() as tape:
            leaves = self._leaves(tape, x)
            found = compute(reading(leaves, given(self.held)))
            by_theta = columns(tape, found, [*leaves.values()])
            return [(raw(v), d) for v, d in zip(found, by_theta, strict=True)]

    # --- Terms: a trace, or the prior

    def _each(
        self, quantity: Quantity, of_terms: Callable[..., Any] | None, x: Array
    ) -> Iterator[tuple[float, Any]]:
        """A quantity of each trace, and of the prior, with its weight.

        Args:
            of_terms: The same quantity of any terms; None leaves out the prior.
        """
        theta = self.vector.parts(x)
        for trace, weight in zip(self.traces, self._weights, strict=True):
            evaluator = self.evaluators.get(trace.gen_fn, trace.gen_fn.trace_quantities)
            yield weight, evaluator.evaluate(quantity, trace, theta, self.held)
        if self.priors and of_terms is not None:
            yield 1.0, of_terms(self._prior_terms, theta)

    def _prior_terms(self, leaves: Mapping[Parameter, Box]) -> list[Any]:
        read = reading(leaves, given(self.held))
        return [call.log_prob(read(p)) for p, call in self.priors.items()]

    def _run(self, trace: Trace, read: Read, sites: list[Site] | None = None) -> Run:
        """Run a trace's function again with its choices held; what it declares is forgotten."""
        around = None if sites is None else partial(recording, sites=sites)
        return run_at(trace, Point({}, read, trace.args, trace.choices._values), read, around)

    # --- Parameters

    def _leaves(self, tape: Tape, x: Array) -> dict[Parameter, Box]:
        """A leaf of a tape for each parameter, in the order of the vector."""
        return quantities.boxed(tape, self.vector.parts(x))

    def _joined(self, found: Iterable[Any]) -> Array:
        return self.vector.joined(dict(zip(self.vector.parameters, found, strict=True)))

    def natural(self, x: Array) -> dict[Parameter, Any]:
        """The natural value of each parameter of the vector, and of those that are held."""
        return {**self.held, **self.vector.values(x)}

    def _given(self, x: Array) -> Read:
        return given(self.natural(x))


# --- Answers


def given(values: Mapping[Parameter, Any]) -> Read:
    """A `Read` that gives these values, and the present ones of other parameters."""
    return recorder(values)[0]
