"""The log probability of traces as a function of a vector, with its derivatives.

Every choice of the traces is held and every parameter of the vector is free. The functions
evaluate it aside: no parameter moves and no accumulator is used.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, Tape, raw
from genparams.dsl.distributions.statistics.functions import expected_information
from genparams.dsl.interpreter import Read, Run
from genparams.dsl.likelihood.sites import Site, recording, stacks, traced_operands
from genparams.dsl.replay import held, replay
from genparams.numeric import quiet
from genparams.params import Parameter
from genparams.params.vector import Vector
from genparams.trace.trace import Trace
from genparams.types import Array


class First(NamedTuple):
    """A log probability and its gradient."""

    log_prob: float
    gradient: Array


class Second(NamedTuple):
    """A log probability, its gradient, and a matrix of second order."""

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

    # --- Values

    def log_prob(self, x: Array) -> float:
        """The log probability, without derivatives."""
        values = self._natural(x)
        return sum(self.log_probs(x, values)) + self.log_prior(x)

    def log_probs(self, x: Array, values: Mapping[Parameter, Any] | None = None) -> list[float]:
        """The log probability of each trace, without the prior."""
        values = self._natural(x) if values is None else values
        return [
            float(sum(map(raw, self._run(trace, self._given(values)).log_probs.values())))
            for trace in self.traces
        ]

    def log_prior(self, x: Array) -> float:
        """The log density of the parameters that have a prior."""
        values = self._natural(x)
        return float(sum(call.log_prob(values[p]) for p, call in self.priors.items()))

    def sites(self, x: Array) -> list[list[Site]]:
        """The choices of each trace, with the arguments of their distributions."""
        found: list[list[Site]] = []
        values = self._natural(x)
        for trace in self.traces:
            found.append([])
            self._run(trace, self._given(values), found[-1])
        return found

    # --- Derivatives

    @quiet
    def gradient(self, x: Array) -> First:
        """The log probability and its gradient."""
        parts, total, g = self.vector.parts(x), 0.0, np.zeros(self.vector.size)
        for terms in self._terms():
            with Tape() as tape:
                log_prob, leaves, seeds = terms(tape, parts)
                total += log_prob
                self._add(g, leaves, tape.gradients(seeds, list(leaves.values())))
        return First(total, g)

    @quiet
    def hessian(self, x: Array) -> Second:
        """The log probability, its gradient and its second derivatives."""
        parts, total, size = self.vector.parts(x), 0.0, self.vector.size
        g, h = np.zeros(size), np.zeros((size, size))
        for terms in self._terms():
            with Tape() as outer:
                above = {p: outer.leaf(part) for p, part in parts.items()}
                with Tape() as inner:
                    log_prob, leaves, seeds = terms(inner, above)
                    total += log_prob
                    first = inner.gradients(seeds, list(leaves.values()))
                self._add(g, leaves, map(raw, first))
                for p, boxes in zip(leaves, first, strict=True):
                    if boxes is not None:
                        h[self.vector.places[p]] += _rows(outer, boxes, above, self.vector)
        return Second(total, g, 0.5 * (h + h.T))

    @quiet
    def information(self, x: Array) -> Second | None:
        """The log probability, its gradient and the expected information; None where the
        distributions have no closed form of it.

        I = sum over choices of A^T I(a) A, for the derivatives A of the arguments a of each choice
        by theta. It is minus the expectation of the Hessian if every choice is drawn anew given
        those before it as they are.
        """
        parts, total, size = self.vector.parts(x), 0.0, self.vector.size
        g, information = np.zeros(size), np.zeros((size, size))
        for trace in self.traces:
            with Tape() as outer, Tape() as tape:
                sites: list[Site] = []
                log_prob, leaves, seeds = self._trace_terms(trace, tape, parts, sites)
                total += log_prob
                self._add(g, leaves, tape.gradients(seeds, list(leaves.values())))
                operands = traced_operands(sites)
                columns = _columns(outer, tape, operands, leaves, self.vector)
                found = _information(sites, columns, size)
                if found is None:
                    return None
                information += found
        return Second(total, g, information)

    @quiet
    def scores(self, x: Array) -> Array:
        """The gradient of each term, in rows: of each entry of each choice if there is one trace,
        else of each trace.
        """
        parts = self.vector.parts(x)
        if len(self.traces) > 1:
            return np.stack([self._score(trace, parts) for trace in self.traces])
        with Tape() as outer, Tape() as tape:
            sites: list[Site] = []
            _, leaves, _ = self._trace_terms(self.traces[0], tape, parts, sites)
            each = [s.distribution.log_probs_of(s.value, s.operands) for s in sites]
            boxes = [box for box in each if type(box) is Box]
            columns = _columns(outer, tape, boxes, leaves, self.vector)
            return np.concatenate([columns[id(b)].reshape(self.vector.size, -1).T for b in boxes])

    @quiet
    def tangents(
        self, x: Array, compute: Callable[[Read], Sequence[Any]]
    ) -> list[tuple[Any, Array]]:
        """Functions of the natural values: each value, and its derivatives by the vector, of shape
        (size, *shape).

        Args:
            compute: From a function that reads a parameter to the values.
        """
        with Tape() as outer, Tape() as tape:
            leaves: dict[Parameter, Box] = {}
            found = compute(_boxing(tape, self.vector.parts(x), leaves, self.held))
            boxes = {id(v): v for v in found if type(v) is Box}
            columns = _columns(outer, tape, list(boxes.values()), leaves, self.vector)
            nothing = (self.vector.size,)
            return [
                (raw(v), columns.get(id(v), np.zeros((*nothing, *np.shape(raw(v)))))) for v in found
            ]

    def _score(self, trace: Trace, parts: Mapping[Parameter, Any]) -> Array:
        with Tape() as tape:
            _, leaves, seeds = self._trace_terms(trace, tape, parts)
            g = np.zeros(self.vector.size)
            self._add(g, leaves, tape.gradients(seeds, list(leaves.values())))
            return g

    # --- Terms: a trace, or the prior

    def _terms(self) -> Iterator[Callable[..., Any]]:
        for trace in self.traces:
            yield lambda tape, parts, trace=trace: self._trace_terms(trace, tape, parts)
        if self.priors:
            yield self._prior_terms

    def _trace_terms(
        self,
        trace: Trace,
        tape: Tape,
        parts: Mapping[Parameter, Any],
        sites: list[Site] | None = None,
    ) -> tuple[float, dict[Parameter, Box], list[Any]]:
        """log p of a trace, the leaves of the tape, and what to seed for the gradient."""
        leaves: dict[Parameter, Box] = {}
        run = self._run(trace, _boxing(tape, parts, leaves, self.held), sites)
        log_probs = run.log_probs.values()
        seeds = [(lp, 1.0) for lp in log_probs if type(lp) is Box and lp.tape is tape]
        return float(sum(map(raw, log_probs))), leaves, seeds

    def _prior_terms(
        self, tape: Tape, parts: Mapping[Parameter, Any]
    ) -> tuple[float, dict[Parameter, Box], list[Any]]:
        leaves: dict[Parameter, Box] = {}
        read = _boxing(tape, parts, leaves, self.held)
        found = [call.log_prob(read(p)) for p, call in self.priors.items()]
        return float(sum(map(raw, found))), leaves, [(lp, 1.0) for lp in found]

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

    def _natural(self, x: Array) -> dict[Parameter, Any]:
        return self.vector.values(x)

    def natural(self, x: Array) -> dict[Parameter, Any]:
        """The natural value of each parameter of the vector, and of those that are held."""
        return {**self.held, **self._natural(x)}

    def _given(self, values: Mapping[Parameter, Any]) -> Read:
        return given({**self.held, **values})

    def _add(self, g: Array, leaves: Mapping[Parameter, Box], found: Any) -> None:
        for p, part in zip(leaves, found, strict=True):
            if part is not None:
                g[self.vector.places[p]] += np.ravel(part)


# --- Answers


def given(values: Mapping[Parameter, Any]) -> Read:
    """A `Read` that gives these values, and the present ones of other parameters."""

    def read(parameter: Parameter) -> Any:
        value = values.get(parameter)
        return parameter.value if value is None else value

    return read


def _boxing(
    tape: Tape,
    parts: Mapping[Parameter, Any],
    leaves: dict[Parameter, Box],
    held: Mapping[Parameter, Any],
) -> Read:
    """A `Read` that gives each parameter of `parts` as a function of its boxed coordinates."""
    values: dict[Parameter, Any] = dict(held)

    def read(parameter: Parameter) -> Any:
        value = values.get(parameter)
        if value is None:
            value = parameter.value
            if parameter in parts:
                leaf = leaves[parameter] = tape.leaf(parts[parameter])
                value = parameter.constraint.natural(leaf)
            values[parameter] = value
        return value

    return read


# --- Matrices


def _information(sites: Sequence[Site], columns: dict[int, Array], size: int) -> Array | None:
    total = np.zeros((size, size))
    for stack in stacks(sites):
        tangents = stack.tangents(columns, size)
        if all(t is None for t in tangents):
            continue
        distribution = stack.sites[0].distribution
        size = _batch(distribution, stack.value())
        found = expected_information(distribution, stack.args(), tangents, size)
        if found is None:
            return None
        total += found
    return total


def _batch(distribution: Any, value: Any) -> tuple[int, ...] | None:
    """The shape of the batch of a value; None for a tuple of values."""
    shape = np.shape(value) if not isinstance(value, tuple) else None
    return None if shape is None else shape[: len(shape) - distribution.kind.rank]


def _columns(
    outer: Tape,
    tape: Tape,
    outputs: Sequence[Box],
    leaves: Mapping[Parameter, Box],
    vector: Vector,
) -> dict[int, Array]:
    """The derivatives of each output by the vector, of shape (size, *shape), by its `id`."""
    cotangents = [
        outer.leaf(np.zeros(np.shape(raw(o)))) if np.shape(raw(o)) else outer.leaf(0.0)
        for o in outputs
    ]
    found = tape.gradients(list(zip(outputs, cotangents)), list(leaves.values()))
    result = {id(o): np.zeros((vector.size, *np.shape(raw(o)))) for o in outputs}
    for p, box in zip(leaves, found, strict=True):
        if type(box) is not Box:
            continue
        start = vector.places[p].start
        shape = np.shape(raw(box))
        for k in range(int(np.prod(shape)) if shape else 1):
            seed = 1.0
            if shape:
                seed = np.zeros(shape)
                seed.flat[k] = 1.0
            rows = outer.gradients([(box, seed)], cotangents)
            for o, r in zip(outputs, rows):
                if r is not None:
                    result[id(o)][start + k] += r
    return result


def _rows(outer: Tape, box: Any, above: Mapping[Parameter, Box], vector: Vector) -> Array:
    """The derivatives of the entries of a box by the vector, in rows."""
    n = int(np.prod(np.shape(raw(box)))) if box is not None else 0
    result = np.zeros((max(n, 0), vector.size))
    if type(box) is not Box or box.tape is not outer:
        return result
    shape = np.shape(raw(box))
    for k in range(n):
        seed = 1.0
        if shape:
            seed = np.zeros(shape)
            seed.flat[k] = 1.0
        found = outer.gradients([(box, seed)], list(above.values()))
        for p, r in zip(above, found):
            if r is not None:
                result[k, vector.places[p]] = np.ravel(r)
    return result
