"""The update rules that have names of their own: Gen's configurations."""

from genparams.errors import InvalidValue
from genparams.update.adaptive import scale_by_adam
from genparams.update.rule import Rule, chain
from genparams.update.scaling import scale_by_inverse_time, scale_by_state


def FixedStepGradientDescent(step_size: float) -> Rule:
    """Move along the gradient by a fixed step: theta <- theta + step_size g.

    The name is Gen's; like every rule here it climbs, unless the update says `minimize=True`.
    """
    _positive("step_size", step_size)
    return chain(scale_by_state(step_size), name="FixedStepGradientDescent", step_size=step_size)


def GradientDescent(step_size_init: float, step_size_beta: float) -> Rule:
    """Move along the gradient by a falling step.

        theta <- theta + step_size_init (step_size_beta + 1) / (step_size_beta + t) g

    t = 1, 2, ... counts calls of `apply`; the first step is `step_size_init`, half of it is reached
    at t = step_size_beta + 2.
    """
    _positive("step_size_init", step_size_init)
    if not step_size_beta >= 0.0:
        raise InvalidValue(f"step_size_beta must be at least 0, got {step_size_beta!r}")
    return chain(
        scale_by_inverse_time(step_size_init, step_size_beta),
        name="GradientDescent",
        step_size_init=step_size_init,
        step_size_beta=step_size_beta,
    )


def ADAM(
    learning_rate: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> Rule:
    """Adaptive moment estimation, `chain(scale_by_adam(...), scale_by_state(learning_rate))`.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        theta <- theta + learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    t = 1, 2, ... counts calls of `apply`.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 1.
    """
    _positive("learning_rate", learning_rate)
    _positive("epsilon", epsilon)
    for name, value in (("beta1", beta1), ("beta2", beta2)):
        if not 0.0 <= value < 1.0:
            raise InvalidValue(f"{name} must be at least 0 and below 1, got {value!r}")
    return chain(
        scale_by_adam(beta1, beta2, epsilon),
        scale_by_state(learning_rate),
        name="ADAM",
        learning_rate=learning_rate,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
    )


def _positive(name: str, value: float) -> None:
    if not value > 0.0:
        raise InvalidValue(f"{name} must be above 0, got {value!r}")
