"""The gradients of traces: returned, or added to accumulators, all of them or none.

`Trace` documents what each returns.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.dsl.differentiate import differentiate
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.params import finite_scale, labels
from genparams.text import brief
from genparams.trace.choices import ChoiceMap, frozen, unchecked
from genparams.trace.selection import selection_of
from genparams.trace.trace import ArgGrads, Trace


def accumulate(
    traces: Sequence[Trace], retval_grads: Sequence[Any], scales: Sequence[float]
) -> list[tuple[float, ArgGrads]]:
    """Differentiate each trace, then add everything to the accumulators: all of it, or nothing."""
    found = differentiate(traces, retval_grads, scales=[finite_scale(scale) for scale in scales])
    return [(one.log_prob, one.arg_grads) for one in found]


@explained
def accumulate_param_gradients(
    traces: Trace | Iterable[Trace], scale: float | Sequence[float] = 1.0
) -> list[tuple[float, ArgGrads]]:
    """Add the gradients of one or several traces to their parameters' accumulators.

        accumulator(theta) += sum_i scale_i * d/d theta log p(t_i; x_i, theta)

    Either every trace's gradient is added or, if anything fails, none.

    Args:
        scale: One factor for all, or one for each trace.

    Returns:
        For each trace what `Trace.accumulate_param_gradients` returns.

    Raises:
        ArgumentError: `traces` holds something else than traces.
        ShapeError: there is neither one scale nor one for each trace.
        ImpossibleTrace, ReplayDiffers, ForeignParameters: as `Trace.accumulate_param_gradients`.
    """
    if not isinstance(traces, Iterable) or isinstance(traces, Mapping | Trace):
        traces = [traces]  # type: ignore[list-item]
    traces = list(traces)
    for trace in traces:
        if not isinstance(trace, Trace):
            raise ArgumentError(
                f"expected a trace or several, got {brief(trace)}; write trace, weight = "
                "f.generate(args, constraints)"
            )
    scales: Any = [scale] * len(traces) if np.ndim(scale) == 0 else scale
    if len(scales) != len(traces):
        raise ShapeError(f"{len(traces)} traces need one scale or {len(traces)}, got {len(scales)}")
    return accumulate(traces, [None] * len(traces), scales)


def param_gradients(trace: Trace, retval_grad: Any) -> dict[str, dict[str, Any]]:
    """The gradients by function and parameter name, in the form that `ParamUpdate.apply` takes."""
    (done,) = differentiate([trace], [retval_grad])
    names = labels(parameter.store for parameter in done.grads)
    found: dict[str, dict[str, Any]] = {}
    for parameter, g in done.grads.items():
        found.setdefault(names[parameter.store], {})[parameter.name] = g
    return found


def choice_gradients(
    trace: Trace, selection: Any, retval_grad: Any
) -> tuple[ArgGrads, ChoiceMap, ChoiceMap]:
    values = trace.choices._values
    (done,) = differentiate([trace], [retval_grad], selection_of(selection, values))
    chosen = {a: values[a] for a in done.choice_grads}
    grads = {a: frozen(g) for a, g in done.choice_grads.items()}
    return done.arg_grads, unchecked(chosen), unchecked(grads)
