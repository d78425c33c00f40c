"""Recordings and programs evaluated operation by operation: the reference of generated code."""

from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node, Recurrence
from genparams.program.recorded import DATA, Recorded


def moved_inputs(recording, seed, by=0.05):
    """Other values for the inputs of a recording: floats moved a little, the others as they are."""
    rng = np.random.default_rng(seed)
    values = []
    for r in recording.inputs:
        moved = r.value
        if r.dtype.kind == "f":
            moved = r.value + by * rng.standard_normal(r.shape)
        values.append(moved if r.shape else type(r.value)(moved))
    return values


def recorded_again(recording, results, inputs):
    """The results of a recording on other inputs, and whether its tests have the same answers."""
    recording.close()
    known: dict[Any, Any] = dict(zip(recording.inputs, inputs, strict=True))
    with np.errstate(all="ignore"):
        for r in recording.operations:
            if r.op is not None:
                known[r] = _single(r.op(*_given(r.args, known), **r.options))
    same = [np.all(known[asked] == answer) for asked, answer in recording.tests.items()]
    return [_given(r, known) for r in results], all(same)


def evaluated(program, recording, inputs):
    """The results of a program, and whether its tests have the answers that it was made for."""
    each = list(zip(inputs, recording.inputs, strict=True))
    data = [x for x, r in each if r.stage == DATA]
    theta = [x for x, r in each if r.stage != DATA]
    known: dict[Any, Any] = dict(zip(program.parameters, theta, strict=True))
    known |= dict(zip(program.data, data, strict=True))
    with np.errstate(all="ignore"):
        for n in program.nodes:
            args = _given(n.args, known)
            if isinstance(n.op, Recurrence):
                known[n] = looped(n.op, args)
                continue
            known[n] = _single(n.op(*args, **dict(n.options)))
            if n.dtype is not None:
                assert np.shape(known[n]) == n.shape, n
                assert np.asarray(known[n]).dtype == n.dtype, n
    same = [np.all(_given(t.asked, known) == np.asarray(t.answer)) for t in program.tests]
    return [_given(r, known) for r in program.results], all(same)


def looped(recurrence, args):
    """A recurrence, statement by statement."""
    before = {j: [args[k] for k in places] for j, places in recurrence.first.items()}
    kept: dict[int, list[Any]] = {j: [] for j in recurrence.kept}
    for t in range(recurrence.length):
        computed: list[Any] = []
        for statement in recurrence.body:
            values = [_operand(a, t, args, computed, before) for a in statement.args]
            computed.append(statement.op(*values))
        for j in before:
            before[j].append(computed[j])
        for j in kept:
            kept[j].append(computed[j])
    return tuple(np.array(kept[j]) for j in recurrence.kept)


def _operand(a, t, args, computed, before):
    match a:
        case ("input", k):
            return args[k]
        case ("entry", k):
            return args[k][t]
        case ("local", j):
            return computed[j]
        case ("before", j, d):
            return before[j][-d]
    return a[1]


def _given(a, known) -> Any:
    if isinstance(a, (Node, Recorded)):
        return known[a]
    if type(a) is tuple:
        return tuple(_given(x, known) for x in a)
    if type(a) is slice:
        return slice(*(_given(x, known) for x in (a.start, a.stop, a.step)))
    return a


def _single(value):
    return value.item() if isinstance(value, np.ndarray) and not value.ndim else value
