"""The update rules that have names of their own.

Each is a chain of the rules in the other files of this folder; its docstring says which. All of
them climb; an update of a loss says `minimize=True`, which changes the sign of the gradients.

Arguments that several of them take:

- `learning_rate` is a number, which `ParamUpdate.learning_rate` reads and sets while training, or a
  schedule: a function of the number of earlier calls, 0 at the first, such as in `schedules`.
- `decay` is Flux's: a factor 1 / (1 + decay n), where n = 0, 1, ... counts the calls. In SGD and in
  rules with momentum it multiplies the gradient; in the others, the step.
- `weight_decay` pulls towards zero the parameters that `mask` chooses (`"*kernel"`, for instance,
  or a predicate; None for all), coupled or decoupled as the rule's docstring says.
- `backoff_steps=k` is GoMLX's: the first k calls move nothing, while the running means fill.
- `clip_step=c` bounds every number of the step itself by -c and c, rate and weight decay included.
- `dtype` is the type in which the running means are kept and computed, "float32" or "float64".

A number outside its range is an `InvalidValue`, as in `settings.REQUIREMENTS`.
"""

from genparams.update.adaptive import (
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_nadam,
    scale_by_radam,
    scale_by_rms,
    scale_by_rss,
    scale_by_yogi,
)
from genparams.update.clipping import clip, scale_by_trust_ratio
from genparams.update.grouping import Where
from genparams.update.momentum import momentum_trace, scale_by_lion
from genparams.update.regularizing import add_decayed_weights
from genparams.update.rule import Rule, chain, rule_maker
from genparams.update.scaling import (
    scale_by_inverse_time,
    scale_by_schedule,
    scale_by_state,
    scheduled,
)
from genparams.update.schedules import (
    Schedule,
    constant_schedule,
    inverse_time_decay,
    join_schedules,
    one_over_sqrt,
)
from genparams.update.settings import ABOVE_0, RATE, FloatType

Rate = float | Schedule
"""A learning rate, or a schedule of them."""


# --- Plain gradients


@rule_maker()
def FixedStepGradientDescent(step_size: float) -> Rule:
    """Move along the gradient by a fixed step: theta <- theta + step_size g.

    The name is Gen's. Like every rule here it climbs, unless the update says `minimize=True`.
    """
    return chain(scale_by_state(step_size))


@rule_maker()
def GradientDescent(step_size_init: float, step_size_beta: float) -> Rule:
    """Move along the gradient by a falling step.

        theta <- theta + step_size_init (step_size_beta + 1) / (step_size_beta + t) g

    t = 1, 2, ... counts calls of `apply`; the first step is `step_size_init`, half of it is reached
    at t = step_size_beta + 2. The rule is Gen's.
    """
    return chain(scale_by_inverse_time(step_size_init, step_size_beta))


@rule_maker()
def SGD(
    learning_rate: Rate = 0.1,
    *,
    decay: float = 0.0,
    decay_by_root: bool = False,
    weight_decay: float = 0.0,
    mask: Where | None = None,
    clip_step: float | None = None,
) -> Rule:
    """Stochastic gradient descent.

        theta <- theta + learning_rate f (g - weight_decay theta),    f = 1 / (1 + decay n)

    The rate is Flux's; torch's is 0.001.

    Args:
        decay_by_root: Whether f is divided by sqrt(n + 1): GoMLX's, which has it on by default.
            A schedule `one_over_sqrt(learning_rate)` is the same, with a rate that cannot be set.
    """
    return chain(
        *_weight_decay(weight_decay, mask),
        *_inverse_decay(decay),
        *([scale_by_schedule(one_over_sqrt(1.0))] if decay_by_root else []),
        *_rate(learning_rate),
        *_clipped(clip_step),
    )


@rule_maker()
def Momentum(
    learning_rate: Rate = 0.01,
    rho: float = 0.9,
    *,
    decay: float = 0.0,
    weight_decay: float = 0.0,
    mask: Where | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Gradient descent with a velocity.

        v <- rho v + learning_rate f (g - weight_decay theta),    f = 1 / (1 + decay n)
        theta <- theta + v

    The rate is inside the velocity, as in Flux: setting it does not change the velocity. In torch's
    SGD the rate is outside, `chain(momentum_trace(rho), scale_by_state(learning_rate))`, which is
    the same while the rate does not change. The numbers are Flux's.

    Reference: Polyak, 1964, https://doi.org/10.1016/0041-5553(64)90137-5.
    """
    return chain(
        *_weight_decay(weight_decay, mask),
        *_inverse_decay(decay),
        *_rate(learning_rate),
        *_momentum(rho, False, dtype),
    )


@rule_maker()
def Nesterov(
    learning_rate: Rate = 0.01,
    rho: float = 0.9,
    *,
    decay: float = 0.0,
    weight_decay: float = 0.0,
    mask: Where | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Gradient descent with a velocity, evaluated one step ahead.

        d = learning_rate f (g - weight_decay theta),    f = 1 / (1 + decay n)
        v <- rho v + d
        theta <- theta + rho v + d,    with the new v

    The rate is inside the velocity, as in Flux. The numbers are Flux 0.6's; 0.7 has a rate of
    0.001. torch's SGD with `nesterov=True` is the same while the rate does not change.

    Reference: Nesterov, 1983, in the variables of Bengio et al., 2012,
    https://arxiv.org/abs/1212.0901, equation 7.
    """
    return chain(
        *_weight_decay(weight_decay, mask),
        *_inverse_decay(decay),
        *_rate(learning_rate),
        *_momentum(rho, True, dtype),
    )


# --- Adam and rules like it


@rule_maker()
def ADAM(
    learning_rate: Rate = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adaptive moment estimation, `chain(scale_by_adam(...), scale_by_state(learning_rate))`.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        theta <- theta + learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    t = 1, 2, ... counts the steps of a parameter. The form and the numbers are from the paper,
    torch and optax.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 1.
    """
    direction = scale_by_adam(beta1, beta2, epsilon, dtype=dtype)
    return chain(direction, *_steps(learning_rate, decay, backoff_steps, clip_step))


@rule_maker()
def AdamW(
    learning_rate: Rate = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
    *,
    mask: Where | None = None,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam with decoupled weight decay.

        theta <- theta + learning_rate (d - weight_decay theta),    d from `scale_by_adam`

    The pull is scaled by the learning rate, but not by the running square. The form and the numbers
    are torch's; optax has the form with weight_decay 0.0001, Flux does not scale by the rate.

    Reference: Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101, algorithm 2.
    """
    return chain(
        scale_by_adam(beta1, beta2, epsilon, dtype=dtype),
        *_weight_decay(weight_decay, mask),
        *_steps(learning_rate, decay, backoff_steps, clip_step),
    )


@rule_maker()
def Adamax(
    learning_rate: Rate = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam with the greatest gradient in place of the mean square: `scale_by_adamax`.

    The form is from torch and optax, the numbers from the paper and torch.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 2.
    """
    direction = scale_by_adamax(beta1, beta2, epsilon, dtype=dtype)
    return chain(direction, *_steps(learning_rate, decay, backoff_steps, clip_step))


@rule_maker()
def AMSGrad(
    learning_rate: Rate = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam with the greatest mean square so far: `scale_by_amsgrad`.

    The form and the numbers are from torch's Adam with `amsgrad=True`; optax corrects the bias
    before it takes the maximum.

    Reference: Reddi, Kale and Kumar, 2018, https://arxiv.org/abs/1904.09237, algorithm 2.
    """
    direction = scale_by_amsgrad(beta1, beta2, epsilon, dtype=dtype)
    return chain(direction, *_steps(learning_rate, decay, backoff_steps, clip_step))


@rule_maker()
def NAdam(
    learning_rate: Rate = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float | None = 0.004,
    *,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam with Nesterov's momentum: `scale_by_nadam`.

    The form and the numbers are torch's; `momentum_decay=None` is the form of optax and Flux.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, algorithm 2.
    """
    direction = scale_by_nadam(beta1, beta2, epsilon, momentum_decay, dtype=dtype)
    return chain(direction, *_steps(learning_rate, decay, backoff_steps, clip_step))


@rule_maker()
def RAdam(
    learning_rate: Rate = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    threshold: float = 5.0,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam that divides by its running square only after enough steps: `scale_by_radam`.

    The form and the numbers are optax's; torch differs in where it adds epsilon.

    Reference: Liu et al., 2019, https://arxiv.org/abs/1908.03265, algorithm 2.
    """
    direction = scale_by_radam(beta1, beta2, epsilon, threshold=threshold, dtype=dtype)
    return chain(direction, *_steps(learning_rate, decay, backoff_steps, clip_step))


@rule_maker()
def AdaBelief(
    learning_rate: Rate = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-16,
    *,
    epsilon_root: float = 1e-16,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam with the running square of g - m: `scale_by_belief`.

    The form is from the paper and optax, the numbers are optax's. Axon's rule of this name differs.

    Reference: Zhuang et al., 2020, https://arxiv.org/abs/2010.07468, algorithm 2.
    """
    direction = scale_by_belief(beta1, beta2, epsilon, epsilon_root=epsilon_root, dtype=dtype)
    return chain(direction, *_steps(learning_rate, decay, backoff_steps, clip_step))


@rule_maker()
def Yogi(
    learning_rate: Rate = 0.01,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-3,
    *,
    initial_accumulator_value: float = 1e-6,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam whose running square moves by (1 - beta2) g^2: `scale_by_yogi`.

    The numbers are from the paper and optax, the form is optax's except for the first mean.

    Reference: Zaheer et al., 2018, https://papers.nips.cc/paper/8186, algorithm 2.
    """
    direction = scale_by_yogi(
        beta1, beta2, epsilon, initial_accumulator_value=initial_accumulator_value, dtype=dtype
    )
    return chain(direction, *_steps(learning_rate, decay, backoff_steps, clip_step))


# --- Other rules that divide by the size of gradients


@rule_maker()
def RMSProp(
    learning_rate: Rate = 0.001,
    rho: float = 0.9,
    epsilon: float = 1e-8,
    momentum: float = 0.0,
    *,
    nesterov: bool = False,
    epsilon_in_root: bool = True,
    centered: bool = False,
    bias_correction: bool = False,
    decay: float = 0.0,
    backoff_steps: int = 0,
    clip_step: float | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Divide by the root of the running square: `scale_by_rms(rho, ...)`, then momentum, if any.

        v <- rho v + (1 - rho) g^2
        theta <- theta + learning_rate g / sqrt(v + epsilon)

    The form is from Axon, optax and Flux 0.6, the numbers are Flux's. torch's is
    `RMSProp(0.01, 0.99, epsilon_in_root=False)`, and GoMLX's
    `RMSProp(0.001, 0.999, 1e-7, epsilon_in_root=False, bias_correction=True)`. The rate is outside
    the momentum, as in torch; optax has it inside.

    Reference: Tieleman and Hinton, 2012, Neural Networks for Machine Learning, lecture 6.5.
    """
    direction = scale_by_rms(
        rho,
        epsilon,
        epsilon_in_root=epsilon_in_root,
        centered=centered,
        bias_correction=bias_correction,
        dtype=dtype,
    )
    return chain(
        direction,
        *_momentum(momentum, nesterov, dtype),
        *_steps(learning_rate, decay, backoff_steps, clip_step),
    )


@rule_maker()
def AdaGrad(
    learning_rate: Rate = 0.01,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
    *,
    decay: float = 0.0,
    dtype: FloatType = None,
) -> Rule:
    """Divide by the root of the sum of squares of all gradients so far: `scale_by_rss`.

    The form and the other numbers are from Axon and optax, the rate is torch's and Flux's.
    torch's AdaGrad differs in the place of epsilon, and starts the sum at 0.

    Reference: Duchi, Hazan and Singer, 2011, https://jmlr.org/papers/v12/duchi11a.html.
    """
    direction = scale_by_rss(initial_accumulator_value, epsilon, dtype=dtype)
    return chain(direction, *_steps(learning_rate, decay))


@rule_maker(epsilon=ABOVE_0)
def AdaDelta(
    learning_rate: Rate = 1.0,
    rho: float = 0.9,
    epsilon: float = 1e-6,
    *,
    decay: float = 0.0,
    dtype: FloatType = None,
) -> Rule:
    """Steps of the size of the steps before them: `scale_by_adadelta`.

    The form and the numbers are torch's; the paper, optax and Flux have the same form.

    Reference: Zeiler, 2012, https://arxiv.org/abs/1212.5701, algorithm 1.
    """
    return chain(scale_by_adadelta(rho, epsilon, dtype=dtype), *_steps(learning_rate, decay))


@rule_maker()
def Lion(
    learning_rate: Rate = 0.0001,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    *,
    mask: Where | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Steps of the same size for every number: `scale_by_lion`, with decoupled weight decay.

        theta <- theta + learning_rate (sign(...) - weight_decay theta)

    The form is from the paper and optax, the numbers are from the authors' code; optax's
    weight_decay is 0.001.

    Reference: Chen et al., 2023, https://arxiv.org/abs/2302.06675, algorithm 2.
    """
    return chain(
        scale_by_lion(beta1, beta2, dtype=dtype),
        *_weight_decay(weight_decay, mask),
        *_rate(learning_rate),
    )


# --- Steps in proportion to the parameter


@rule_maker()
def LAMB(
    learning_rate: Rate = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-6,
    weight_decay: float = 0.0,
    *,
    mask: Where | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Adam with steps in proportion to the length of each parameter.

        d = (from `scale_by_adam`) - weight_decay theta
        theta <- theta + learning_rate d |theta| / |d|

    The ratio is 1 where a length is 0. The form and the numbers are optax's; optax has no default
    rate. The rule is for the large arrays of networks: a parameter near 0, such as a single number
    that starts there, hardly moves.

    Reference: You et al., 2019, https://arxiv.org/abs/1904.00962, algorithm 2.
    """
    return chain(
        scale_by_adam(beta1, beta2, epsilon, dtype=dtype),
        *_weight_decay(weight_decay, mask),
        scale_by_trust_ratio(),
        *_rate(learning_rate),
    )


@rule_maker()
def LARS(
    learning_rate: Rate = 1.0,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    trust_coefficient: float = 0.001,
    epsilon: float = 0.0,
    *,
    nesterov: bool = False,
    mask: Where | None = None,
    dtype: FloatType = None,
) -> Rule:
    """Momentum with steps in proportion to the length of each parameter.

        d = g - weight_decay theta
        v <- momentum v + learning_rate trust_coefficient d |theta| / (|d| + epsilon)
        theta <- theta + v,    or, if nesterov, as in `momentum_trace`

    The trust coefficient is left out where a length is 0. The form and the numbers are optax's,
    which has no default rate; the paper divides by |g| + weight_decay |theta|. The rule is for the
    large arrays of networks: a parameter near 0 hardly moves.

    Reference: You, Gitman and Ginsburg, 2017, https://arxiv.org/abs/1708.03888, algorithm 1.
    """
    return chain(
        *_weight_decay(weight_decay, mask),
        scale_by_trust_ratio(trust_coefficient=trust_coefficient, epsilon=epsilon),
        *_rate(learning_rate),
        *_momentum(momentum, nesterov, dtype),
    )


# --- The rules of each option; none for an option that is off


def _steps(
    learning_rate: Rate, decay: float = 0.0, backoff_steps: int = 0, clip_step: float | None = None
) -> list[Rule]:
    """The rules that make a step of a direction."""
    return [
        *_rate(learning_rate),
        *_backoff(backoff_steps),
        *_inverse_decay(decay),
        *_clipped(clip_step),
    ]


def _rate(learning_rate: Rate) -> list[Rule]:
    if callable(learning_rate):
        return [scheduled(learning_rate, RATE)]
    return [scale_by_state(learning_rate)]


def _backoff(backoff_steps: int) -> list[Rule]:
    if not backoff_steps:
        return []
    zero_then_one = [constant_schedule(0.0), constant_schedule(1.0)]
    return [scale_by_schedule(join_schedules(zero_then_one, [backoff_steps]))]


def _inverse_decay(decay: float) -> list[Rule]:
    return [scale_by_schedule(inverse_time_decay(1.0, decay))] if decay else []


def _weight_decay(weight_decay: float, mask: Where | None) -> list[Rule]:
    return [add_decayed_weights(weight_decay, mask)] if weight_decay else []


def _momentum(rho: float, nesterov: bool, dtype: FloatType) -> list[Rule]:
    return [momentum_trace(rho, nesterov, dtype=dtype)] if rho else []


def _clipped(clip_step: float | None) -> list[Rule]:
    return [] if clip_step is None else [clip(clip_step)]
