"""Replays of a trace in which selected choices are functions of unconstrained coordinates.

The coordinates u of the selected choices are one real vector. A replay computes each of these
choices from its part of u, inside the run: where the bounds of a choice depend on another selected
choice, the map is the one at the present value of that choice, and the gradient follows it. A
choice depends in this way on choices before it only, so that log |d t / d u| is the sum over the
choices.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, Tape, last_refusal, mark_shared, operand, raw
from genparams.dsl.call import Call
from genparams.dsl.comparison import confirm
from genparams.dsl.coordinate_layout import Layout, Piece, laid_out, map_tuples
from genparams.dsl.differences import CAUGHT
from genparams.dsl.distributions.regions import WHOLE_LINE
from genparams.dsl.execution import execute
from genparams.dsl.interpreter import Choose, Operands, Run
from genparams.dsl.quantities import Point
from genparams.dsl.replay import held, replay
from genparams.dsl.replay_errors import explained_error
from genparams.dsl.traced_replay import Inputs, TracedReplay
from genparams.errors import (
    DistributionError,
    GenParamsError,
    ImpossibleTrace,
    ReplayDiffers,
    StructureChange,
    TracedValueError,
)
from genparams.numeric import quiet
from genparams.program.recorded import Recorded
from genparams.structure import leaves, map_leaves
from genparams.text import brief
from genparams.trace.selection import Selection
from genparams.trace.trace import Trace
from genparams.types import Address, Array, show


class Density(NamedTuple):
    """A log density over the coordinates u, and its gradient by u."""

    log_density: float
    gradient: Array


def first_replay(
    trace: Trace, selection: Selection, values: dict[Any, Any], jacobian: bool
) -> tuple[Layout, Array, Density]:
    """The coordinates of the selected choices of a trace, and the density there.

    The replay is compared with the run, as for every gradient.

    Args:
        values: Receives the values of the parameters that are read.

    Raises:
        DistributionError: a selected choice is discrete, has no unconstrained coordinates, or is at
            a bound.
        ReplayDiffers, ImpossibleTrace, ForeignParameters: as `Trace.choice_gradients`.
    """
    chosen: dict[Address, Any] = {}
    dets: list[Any] = []
    with Tape() as tape:
        before = last_refusal()
        choose = _taking_coordinates(trace, tape, selection, chosen, dets)
        run, retval = replay(trace, _reading(values), trace.args, choose)
        inputs = Inputs({}, (None,) * len(trace.args), chosen)
        boxes = leaves(list(chosen.values()))
        confirm(trace, TracedReplay(tape, run, retval, values, inputs, boxes), False)
        _refuse_caught_errors(trace, before)
        layout, u = laid_out(chosen, jacobian)
        found = _joined(layout, _density(tape, run, dets if jacobian else None, boxes))
    if found is None:
        raise ImpossibleTrace(
            trace.gen_fn.__name__,
            "the selection",
            trace.log_prob,
            "the gradient by its unconstrained coordinates is not finite",
        )
    return layout, u, found


def _taking_coordinates(
    trace: Trace, tape: Tape, selection: Selection, chosen: dict[Address, Any], dets: list[Any]
) -> Choose:
    """A `Choose` that holds every choice; a selected one as a function of its boxed coordinates."""
    answer = held(trace)

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        value = answer(address, distribution, operands, size)
        if address not in selection:
            return value
        if not distribution.kind.continuous:
            raise DistributionError(
                f"the choice is discrete ({distribution.__name__}) and has no gradient; select "
                "continuous choices only"
            )
        region = distribution.region_of(operands)
        u = region.inverse(value)
        if not all(np.all(np.isfinite(part)) for part in leaves(u)):
            raise DistributionError(
                f"the value {brief(value)} is at a bound of what {distribution.__name__} can be "
                "here, where its unconstrained coordinates are infinite; begin at another value"
            )
        boxes = map_leaves(lambda part: tape.leaf(operand(part)), u)
        chosen[address] = boxes
        dets.append(region.log_det(boxes))
        return _with_values(region.natural(boxes), value)

    return choose


def _with_values(boxes: Any, values: Any) -> Any:
    """Boxes that hold the numbers of the run, to the bit."""
    if type(boxes) is tuple:
        return tuple([_with_values(b, v) for b, v in zip(boxes, values, strict=True)])
    boxes.value = operand(values)
    mark_shared(boxes)
    return boxes


# --- Elsewhere


@quiet
def replay_at(trace: Trace, layout: Layout, u: Array, values: dict[Any, Any]) -> Density | None:
    """The density at coordinates u; None where it is 0, not finite, or cannot be computed.

    A distribution that refuses its arguments there, and an error of arithmetic, count as a density
    that cannot be computed: a scale may overflow on the way.

    Args:
        values: The values of the parameters, by parameter; others have their present ones.

    Raises:
        StructureChange: the function visits other choices than the trace has.
    """
    quantity = density_of_coordinates if layout.jacobian else density_of_values
    evaluate = trace.gen_fn.trace_quantities.evaluate
    return _joined(layout, evaluate(quantity, trace, _parts(layout, u), values))


def _parts(layout: Layout, u: Array) -> dict[Address, Any]:
    """The coordinates of each selected choice."""
    return {
        a: p.of(u) if type(p) is Piece else map_tuples(lambda p: p.of(u), p)
        for a, p in layout.pieces.items()
    }


def density_of_coordinates(trace: Trace, point: Point) -> list[Any] | None:
    """log p(t(u); x) + log |d t / d u|, and its gradient by each leaf of the coordinates u."""
    return _density_at(trace, point, dets=[])


def density_of_values(trace: Trace, point: Point) -> list[Any] | None:
    """log p(t(u); x), and its gradient by each leaf of the coordinates u."""
    return _density_at(trace, point, dets=None)


def _density_at(trace: Trace, point: Point, dets: list[Any] | None) -> list[Any] | None:
    with Tape() as tape:
        before = last_refusal()
        chosen = {a: map_tuples(tape.leaf, part) for a, part in point.theta.items()}
        run = Run(_moving(trace, point, chosen, dets), point.held)
        if not _ran(trace, run, point):
            return None
        _refuse_caught_errors(trace, before)
        point.log_probs.update(run.log_probs)
        boxes = list(chosen.values())
        return _density(tape, run, dets, leaves(boxes) if tuple in map(type, boxes) else boxes)


def _reading(values: dict[Any, Any]) -> Callable[[Any], Any]:
    def read(parameter: Any) -> Any:
        value = values.get(parameter)
        if value is None:
            value = values[parameter] = parameter.value
        return value

    return read


def _moving(
    trace: Trace, point: Point, chosen: dict[Address, Any], dets: list[Any] | None
) -> Choose:
    """A `Choose` that computes selected choices from their coordinates and holds the others."""
    given = point.choices

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        u = chosen.get(address)
        if u is None:
            try:
                return given[address]
            except KeyError:
                raise StructureChange(trace.gen_fn.__name__, show(address), True) from None
        region = distribution.region_of(operands)
        if region is WHOLE_LINE:
            return u
        if dets is not None:
            dets.append(region.log_det(u))
        return region.natural(u)

    return choose


def _all_visited(trace: Trace) -> Callable[[Run], None]:
    """A check that a run visited every choice of the trace."""
    given = trace.choices._values

    def check(run: Run) -> None:
        if len(run.values) != len(given):
            gone = next(a for a in given if a not in run.values)
            raise StructureChange(trace.gen_fn.__name__, show(gone), False)

    return check


def _ran(trace: Trace, run: Run, point: Point) -> bool:
    """Run the function; whether its log probability could be computed."""

    def fails_plainly() -> bool:
        try:
            _trace_of(trace, point.theta)
        except Exception:
            return True
        return False

    try:
        run.execute(Call(trace.gen_fn, point.args, None), _all_visited(trace))
    except (DistributionError, np.linalg.LinAlgError):
        return False
    except Exception as error:
        if isinstance(error, ArithmeticError) and not isinstance(error, GenParamsError):
            return False
        explained = explained_error(trace, error, run, fails_plainly)
        if explained is error:
            raise
        raise explained from error
    return True


def _refuse_caught_errors(trace: Trace, before: object) -> None:
    """Refuse a body that caught an error about a value which lost its derivative, and went on."""
    if last_refusal() is not before:
        name, found = trace.gen_fn.__name__, "a derivative was lost on the way"
        raise ReplayDiffers(name, None, None, None, CAUGHT, found)


def _density(tape: Tape, run: Run, dets: list[Any] | None, boxes: list[Box]) -> list[Any] | None:
    """The log density of a replay, and its gradient by each box; None where it is not finite.

    Args:
        dets: The logarithms of |d t / d u|; None where they are no part of the density.
    """
    terms = [*run.log_probs.values(), *(dets or ())]
    traced = [lp for lp in terms if type(lp) is Box]
    if any(lp.tape is not tape for lp in traced):
        raise TracedValueError(
            "a log probability is made of values of another gradient, which is computed around "
            "this one; pass numbers to a sampler"
        )
    total = sum([raw(lp) for lp in terms])
    if not isinstance(total, Recorded) and total - total != 0.0:
        return None
    return [total, *tape.gradients([(lp, 1.0) for lp in traced], boxes)]


def _joined(layout: Layout, found: list[Any] | None) -> Density | None:
    """The density, and its gradient as one vector; None where one of them is not finite."""
    if found is None:
        return None
    gradient = np.zeros(layout.size)
    for (start, end, shape), g in zip(layout.flat, found[1:], strict=True):
        if g is not None:
            gradient[start:end] = np.ravel(g) if shape else g
    total = float(gradient.sum())
    return Density(float(found[0]), gradient) if total - total == 0.0 else None


# --- Back to traces


def trace_at(trace: Trace, layout: Layout, u: Array) -> Trace:
    """The trace with the selected choices at coordinates u, by a run without derivatives."""
    return _trace_of(trace, _parts(layout, u))


def _trace_of(trace: Trace, coordinates: Mapping[Address, Any]) -> Trace:
    given = trace.choices._values

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        u = coordinates.get(address)
        if u is None:
            try:
                return given[address]
            except KeyError:
                raise StructureChange(trace.gen_fn.__name__, show(address), True) from None
        value = distribution.region_of(operands).natural(u)
        return distribution.coerce(value, operands, size)

    return execute(trace.gen_fn, trace.args, choose, _all_visited(trace))
