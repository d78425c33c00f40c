"""The log density of a declared distribution, as one node on the tape.

Single numbers go through the formula with the functions of `math`. Large batches are computed in
blocks that stay in a core's cache.
"""

import math
from collections.abc import Sequence
from typing import Any

from genparams.autodiff import Box, np, operand, raw, shape_of, sum_to, total, unbox
from genparams.dsl.distributions.declaration import Declaration, Formula
from genparams.errors import DistributionError, ShapeError, TracedValueError
from genparams.numeric import arrays, quiet, scalars
from genparams.program.recorded import Recorded

BLOCK = 32768
"""Numbers in one temporary array of a block: a few such arrays fit in a core's cache."""


def log_density(declared: Declaration, operands: Sequence[Any]) -> Any:
    """log p of the value, the first of the operands, summed over the batch."""
    formula = declared.formula
    if formula is not None:
        tape, values = None, []  # as `unbox` gives them, if all are single numbers
        m = scalars
        for o in operands:
            kind = type(o)
            if kind is Box and (tape is None or tape is o.tape):
                tape, o = o.tape, o.value
                kind = type(o)
            if kind is Recorded and not o.shape:
                m = arrays
            elif kind is not float and kind is not int and kind is not bool:
                break
            values.append(o)
        else:
            return _of_numbers(declared, formula, m, operands, tape, values)
    return _of_arrays(declared, operands)


def log_densities(declared: Declaration, operands: Sequence[Any]) -> Any:
    """log p of each entry of the batch."""
    if declared.formula is not None and not any(map(shape_of, operands)):
        return log_density(declared, operands)
    tape, values = unbox(operands)
    with np.errstate(all="ignore"):
        declared.check(values[1:])
        each, pullbacks = declared.terms(*values)
        _check_batch(declared, values, shape_of(each))
        if not np.all(np.isfinite(raw(each))):
            declared.check_lazy(values[1:])
    if not shape_of(each) and type(each) is not Box:
        each = float(each)
    if tape is None:
        return each
    edges = [
        (o, _derivative(declared, pullbacks, i))
        for i, o in enumerate(operands)
        if type(o) is Box and o.tape is tape
    ]
    return tape.record(each, edges)


def _of_numbers(
    declared: Declaration,
    formula: Formula,
    m: Any,
    operands: Sequence[Any],
    tape: Any,
    values: Sequence[Any],
) -> Any:
    for i, test in declared.eager_tests:
        if not test(values[i]):
            declared.check(values[1:])
    if declared.fit is not None:
        declared.fit(*values[1:])
    if declared.inside is None or declared.inside(*values):
        log_prob, partials = formula(m, *values)
    else:
        log_prob, partials = -math.inf, [lambda: 0.0] * len(values)
    if type(log_prob) is float and log_prob - log_prob != 0.0:
        declared.check_lazy(values[1:])
    if tape is None:
        return log_prob
    add_edge = tape.edges.append
    child = tape.node()
    for i, o in enumerate(operands):
        if type(o) is Box:
            add_edge((child, o.index, _derivative(declared, partials, i)()))
    return Box(log_prob, tape, child)


@quiet
def _of_arrays(declared: Declaration, operands: Sequence[Any]) -> Any:
    """`log_density` of a batch, or of vectors."""
    tape, values = unbox(operands)
    declared.check(values[1:])
    wanted = [i for i, o in enumerate(operands) if type(o) is Box and o.tape is tape]
    log_prob, gradients = _summed(declared, values, wanted)
    if type(raw(log_prob)) is float and not math.isfinite(raw(log_prob)):
        declared.check_lazy(values[1:])
    if tape is None:
        return log_prob
    if type(log_prob) is Box and log_prob.tape is tape:
        raise TracedValueError(
            f"the log density of {declared.name} uses a value that is being differentiated and "
            "is not one of its arguments; give it as an argument"
        )
    edges = tape.edges
    child = tape.node()
    for i, gradient in zip(wanted, gradients, strict=True):
        edges.append((child, operands[i].index, gradient))
    return Box(log_prob, tape, child)


def _summed(
    declared: Declaration, values: Sequence[Any], wanted: list[int]
) -> tuple[Any, list[Any]]:
    """The log density summed over the batch, and its gradients by the wanted values."""
    if type(values[0]) is np.ndarray and values[0].size * declared.block_width > 2 * BLOCK:
        blocks = _blocks(declared, values)
        if len(blocks) > 1:
            return _summed_by_blocks(declared, values, wanted, blocks)
    if declared.formula is not None and _is_inside(declared, values):
        each, partials = declared.formula(arrays, *values)
        batch = shape_of(each)
        if shape_of(values[0]) != batch:  # else it fits, as each entry is a number
            _check_batch(declared, values, batch)
        gradients = [_gradient(declared, partials, i, values[i], batch) for i in wanted]
    else:
        each, pullbacks = declared.terms(*values)
        batch = shape_of(each)
        _check_batch(declared, values, batch)
        gradients = [_derivative(declared, pullbacks, i)(1.0) for i in wanted]
    log_prob = total(each) if batch else each
    return operand(log_prob), gradients


def _gradient(
    declared: Declaration, partials: Sequence[Any], place: int, value: Any, batch: tuple[int, ...]
) -> Any:
    """The gradient of the sum over the batch by one of the values, in its shape."""
    d = _derivative(declared, partials, place)()
    if type(d) is np.ndarray and type(value) is np.ndarray and d.shape == batch == value.shape:
        return d
    return sum_to(d if shape_of(d) == batch else np.broadcast_to(d, batch), shape_of(value))


def _is_inside(declared: Declaration, values: Sequence[Any]) -> bool:
    """Whether every entry has a density, so that the formula is for all of them."""
    return declared.inside is None or bool(np.all(declared.inside(*map(raw, values))))


def _blocks(declared: Declaration, values: Sequence[Any]) -> list[list[Any]]:
    """The values cut into blocks along the first axis of the batch.

    The temporary arrays of a block are small enough that numpy uses their memory again. Without
    blocks most of the time of a large choice goes into allocating memory (benchmarks/step.py,
    logistic regression and mixture).
    """
    batch = np.shape(values[0])[: np.ndim(values[0]) - declared.kind.rank]
    if any(type(v) is Box for v in values) or not batch:
        return []
    rows = max(1, BLOCK // (math.prod(batch[1:]) * declared.block_width))
    ranks = [declared.kind.rank, *(domain.rank for domain in declared.arguments.values())]
    cut = [
        np.ndim(v) - rank == len(batch) and np.shape(v)[0] == batch[0]
        for v, rank in zip(values, ranks, strict=True)
    ]
    return [
        [v[start : start + rows] if c else v for v, c in zip(values, cut, strict=True)]
        for start in range(0, batch[0], rows)
    ]


def _summed_by_blocks(
    declared: Declaration,
    values: Sequence[Any],
    wanted: list[int],
    blocks: list[list[Any]],
) -> tuple[float, list[Any]]:
    parts = [_summed(declared, block, wanted) for block in blocks]
    gradients = []
    for place, i in enumerate(wanted):
        pieces = [g[place] for _, g in parts]
        cut = blocks[0][i] is not values[i]
        gradients.append(np.concatenate(pieces) if cut else sum(pieces[1:], pieces[0]))
    return sum(log_prob for log_prob, _ in parts), gradients


def _check_batch(declared: Declaration, values: Sequence[Any], batch: tuple[int, ...]) -> None:
    """Refuse a value that a replay kept, where the arguments now have another batch shape."""
    shape = shape_of(values[0])
    if shape[: len(shape) - declared.kind.rank] != batch:
        raise ShapeError(
            f"a value of {declared.name} of shape {shape} does not fit the batch of shape "
            f"{batch} that its arguments have"
        )


def _derivative(declared: Declaration, derivatives: Sequence[Any], place: int) -> Any:
    """The derivative or the pullback at a place among the value and the arguments."""
    if derivatives[place] is None:
        name = ("the value", *declared.arguments)[place]
        raise DistributionError(
            f"{declared.name} has no derivative by {name}, which depends here on a parameter, on "
            "an argument whose gradient is wanted, or on a choice"
        )
    return derivatives[place]
