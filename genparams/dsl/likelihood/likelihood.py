"""The log probability of traces as a function of a vector, with its derivatives.

Every choice of the traces is held, and every parameter of the vector is free. Computing the log
probability moves no parameter and uses no accumulator.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, Tape, columns, raw, rows
from genparams.dsl.execution import by_place, recorder
from genparams.dsl.interpreter import Read, Run
from genparams.dsl.likelihood.scales import Scales, may_have_scale, scales_of
from genparams.dsl.likelihood.sites import (
    Site,
    Tangents,
    information_of,
    recording,
    tangents_of,
    traced_operands,
)
from genparams.dsl.replay import held, replay
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
        for terms in self._terms():
            with Tape() as tape:
                leaves = self._leaves(tape, x)
                log_prob, seeds = terms(tape, leaves)
                total += log_prob
                g += self._joined(leaves, tape.gradients(seeds, [*leaves.values()]))
        return First(total, g)

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
        for terms in self._terms():
            with Tape() as outer:
                above = self._leaves(outer, x)
                with Tape() as inner:
                    leaves = {p: inner.leaf(box) for p, box in above.items()}
                    log_prob, seeds = terms(inner, leaves)
                    total += log_prob
                    found = inner.gradients(seeds, [*leaves.values()])
                pairs = zip(leaves, found, strict=True)
                first = [np.zeros(p.shape) if part is None else part for p, part in pairs]
                g += self._joined(leaves, map(raw, first))
                h += rows(outer, first, [*above.values()])
        return Second(total, g, 0.5 * (h + h.T))

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
        for trace, weight in zip(self.traces, self._weights, strict=True):
            with Tape() as tape:
                leaves, sites = self._leaves(tape, x), []
                log_prob, seeds = self._trace_terms(trace, tape, leaves, sites, weight)
                total += log_prob
                g += self._joined(leaves, tape.gradients(seeds, [*leaves.values()]))
                tangents = self._known_tangents(tape, leaves, sites)
                found = None if tangents is None else information_of(sites, tangents, size)
                if found is None:
                    return None
                information += weight * found
        if self.priors:
            prior = Likelihood((), self.vector, self.priors, self.held).hessian(x)
            return Second(total + prior.log_prob, g + prior.gradient, information - prior.matrix)
        return Second(total, g, information)

    @quiet
    def scales(self, x: Array) -> Scales:
        """The standard deviations that have their maximum in closed form; none with weights."""
        if self.weights is not None:
            return Scales({})
        if not any(may_have_scale(site) for run in self.sites(x) for site in run):
            return Scales({})  # without the derivatives, which take as long as the information
        sites: list[Site] = []
        tangents: list[Tangents] = []
        for trace in self.traces:
            with Tape() as tape:
                leaves, mine = self._leaves(tape, x), []
                self._trace_terms(trace, tape, leaves, mine)
                by_operand = self._known_tangents(tape, leaves, mine)
                if by_operand is None:
                    return Scales({})
                tangents += [tangents_of(site, by_operand) for site in mine]
                sites += mine
        places = [place for p, place in self.vector.places.items() if p in self.priors]
        fixed = [j for place in places for j in range(place.start, place.stop)]
        found = scales_of(sites, tangents, self.vector.size, fixed)
        return self._confirmed(found, x) if found.entries else found

    def _confirmed(self, found: Scales, x: Array) -> Scales:
        """The scales that runs at two other points confirm; none where the model fails there.

        The first is a little away in every coordinate, as a derivative may be 0 by accident at x.
        """
        x = x + ASIDE * np.maximum(np.abs(x), 1.0) * np.cos(1.0 + np.arange(len(x)))
        try:
            before, after = (
                [site for run in self.sites(at) for site in run] for at in (x, found.moved(x))
            )
        except Exception:  # whatever the model raises there
            return Scales({})
        return found.confirmed(before, after)

    @quiet
    def settled(self, x: Array, scales: Scales) -> Array:
        """x with the standard deviations in `scales` at their maximum, given the rest."""
        if not scales.entries:
            return x
        return scales.settled(x, [site for run in self.sites(x) for site in run])

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
            self._trace_terms(self.traces[0], tape, leaves, sites)
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
            found = compute(_natural_of(leaves, self.held))
            by_theta = columns(tape, found, [*leaves.values()])
            return [(raw(v), d) for v, d in zip(found, by_theta, strict=True)]

    # --- Terms: a trace, or the prior

    def _terms(self) -> Iterator[Callable[..., tuple[float, list[Any]]]]:
        """For each trace, and for the prior, a function that puts it on a tape.

        It takes the tape and its leaves, and returns log p and the seeds of its gradient.
        """
        for trace, weight in zip(self.traces, self._weights, strict=True):
            yield lambda tape, leaves, trace=trace, weight=weight: self._trace_terms(
                trace, tape, leaves, weight=weight
            )
        if self.priors:
            yield self._prior_terms

    def _trace_terms(
        self,
        trace: Trace,
        tape: Tape,
        leaves: Mapping[Parameter, Box],
        sites: list[Site] | None = None,
        weight: float = 1.0,
    ) -> tuple[float, list[Any]]:
        run = self._run(trace, _natural_of(leaves, self.held), sites)
        log_probs = run.log_probs.values()
        seeds = [(lp, weight) for lp in log_probs if type(lp) is Box and lp.tape is tape]
        return weight * float(sum(map(raw, log_probs))), seeds

    def _prior_terms(self, tape: Tape, leaves: Mapping[Parameter, Box]) -> tuple[float, list[Any]]:
        read = _natural_of(leaves, self.held)
        found = [call.log_prob(read(p)) for p, call in self.priors.items()]
        return float(sum(map(raw, found))), [(lp, 1.0) for lp in found if type(lp) is Box]

    def _run(self, trace: Trace, read: Read, sites: list[Site] | None = None) -> Run:
        """Run a trace's function again with its choices held; what it declares is forgotten."""
        choose, runs = held(trace, at_run=True), []
        if sites is not None:
            choose = recording(choose, sites)
        try:
            run, _ = replay(trace, read, trace.args, choose, runs, at_run=True)
        finally:
            for one in runs:
                one.forget()
        return run

    # --- Parameters

    def _leaves(self, tape: Tape, x: Array) -> dict[Parameter, Box]:
        """A leaf of a tape for each parameter, in the order of the vector."""
        return {p: tape.leaf(part) for p, part in self.vector.parts(x).items()}

    def _tangents(
        self, tape: Tape, leaves: Mapping[Parameter, Box], sites: Sequence[Site]
    ) -> dict[int, Array]:
        """The derivatives of each traced argument by the vector, by its `id`."""
        operands = traced_operands(sites)
        found = columns(tape, operands, [*leaves.values()])
        return {id(o): by_theta for o, by_theta in zip(operands, found, strict=True)}

    def _known_tangents(
        self, tape: Tape, leaves: Mapping[Parameter, Box], sites: Sequence[Site]
    ) -> dict[int, Array] | None:
        """`_tangents`; None where a gradient by hand cannot be differentiated."""
        try:
            return self._tangents(tape, leaves, sites)
        except TracedValueError:
            return None

    def _joined(self, leaves: Mapping[Parameter, Box], found: Any) -> Array:
        pairs = zip(leaves, found, strict=True)
        return self.vector.joined({p: part for p, part in pairs if part is not None})

    def natural(self, x: Array) -> dict[Parameter, Any]:
        """The natural value of each parameter of the vector, and of those that are held."""
        return {**self.held, **self.vector.values(x)}

    def _given(self, x: Array) -> Read:
        return given(self.natural(x))


# --- Answers


def given(values: Mapping[Parameter, Any]) -> Read:
    """A `Read` that gives these values, and the present ones of other parameters."""
    return recorder(values)[0]


def _natural_of(leaves: Mapping[Parameter, Box], held: Mapping[Parameter, Any]) -> Read:
    """A `Read` that gives each parameter as a function of its boxed coordinates."""
    values = by_place(held)
    free = by_place({p: (p.constraint, leaf) for p, leaf in leaves.items()})

    def read(parameter: Parameter) -> Any:
        place = parameter.store, parameter.name
        value = values.get(place)
        if value is None:
            constraint, leaf = free.get(place, (None, None))
            value = parameter.value if constraint is None else constraint.natural(leaf)
            values[place] = value
        return value

    return read
