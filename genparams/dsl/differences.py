"""What is differentiated, as a function of numbers: for gradients by differences.

A gradient is compared with a difference if the body caught an error about a value that lost its
derivative, and went on. The gradient is then right only if the body does not depend on what it
lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genparams.autodiff import raw, shape_of
from genparams.dsl.interpreter import Operands
from genparams.dsl.replay import held, replay_aside
from genparams.dsl.traced_replay import TracedReplay
from genparams.errors import ReplayDiffers
from genparams.params import Parameter
from genparams.structure import pairs
from genparams.trace.trace import Trace
from genparams.types import Address

STEP = 1e-5
CAUGHT = (
    "The body catches an error about a value that is being differentiated, and goes on without its "
    "derivative. Write functions of numpy, and let the error be raised"
)


def objective(
    trace: Trace,
    retval_grad: Any,
    theta: Mapping[Parameter, Any] = {},
    args: Mapping[int, Any] = {},
    choices: Mapping[Address, Any] = {},
) -> float:
    """log p(t; x) + <retval_grad, r> without derivatives.

    Args:
        theta: Coordinates that replace the present ones.
        args: Arguments that replace arguments of the trace, by place.
        choices: Values that replace values of the trace.
    """
    answer = held(trace, at_run=True)

    def read(parameter: Parameter) -> Any:
        if parameter in theta:
            return parameter.constraint.natural(theta[parameter])
        return parameter.value

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address in choices:
            return choices[address]
        return answer(address, distribution, operands, size)

    given = tuple([args.get(i, a) for i, a in enumerate(trace.args)])
    run, retval = replay_aside(trace, read, given, choose)
    paired = pairs(retval, retval_grad, "the return value", "retval_grad")
    log_prob = float(sum(map(raw, run.log_probs.values())))
    return log_prob + sum(float(np.sum(np.asarray(r) * g)) for _, r, g in paired)


def confirm_by_difference(
    trace: Trace, retval_grad: Any, done: TracedReplay, grads: Sequence[Any]
) -> None:
    """Compare a gradient with a central difference along one direction.

    Raises:
        ReplayDiffers: they disagree.
    """
    at = [raw(leaf) for leaf in done.leaves]
    rng = np.random.default_rng(0)
    along = [rng.choice([-1.0, 1.0], shape_of(x)) * (1.0 + np.abs(x)) for x in at]

    def moved(step: float) -> float:
        inputs = done.inputs.with_leaves([x + step * d for x, d in zip(at, along, strict=True)])
        args = {i: a for i, a in enumerate(inputs.args) if a is not None}
        return objective(trace, retval_grad, inputs.theta, args, inputs.choices)

    ahead, behind = moved(STEP), moved(-STEP)
    difference = (ahead - behind) / (2.0 * STEP)
    terms = [float(np.sum(g * d)) for g, d in zip(grads, along, strict=True)]
    off = 1e-3 * (1.0 + sum(map(abs, terms))) + 1e-9 * abs(ahead) / STEP
    if not abs(sum(terms) - difference) <= off:
        then, now = f"of slope {difference:.6g}", f"of slope {sum(terms):.6g}"
        raise ReplayDiffers(trace.gen_fn.__name__, None, then, now, CAUGHT)
