"""Rules that adapt to the size of past gradients, number by number.

Running means are kept without the factor 1 - beta, which a step multiplies into its constants: one
pass over the memory less for each. The docstrings give the means themselves and say what the state
holds in their place.

t = 1, 2, ... counts the steps that a parameter took part in, so that one which joins late starts as
it would have alone. `dtype` is the type in which the state is kept and the direction computed; None
is the type of each parameter. Types shorter than float32 are refused: the square of a gradient
overflows there.

`epsilon` may be 0. A direction of 0 / 0, as for gradients that were all 0, is then 0, which is the
limit for a small epsilon; torch and optax give NaN.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from genparams.mistakes import explained
from genparams.update.formula import elementwise
from genparams.update.norm import norm
from genparams.update.rule import AT_LEAST_0 as NOT_NEGATIVE
from genparams.update.rule import Rule, Tree, named, stateless
from genparams.update.settings import (
    ABOVE_0,
    AT_LEAST_0,
    SHARE,
    FloatType,
    Kind,
    checked,
)

_THRESHOLD = Kind("at least 4", lambda v: 4 <= v < math.inf, "5.0")


@named
def scale_by_adam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    epsilon_root: float = 0.0,
    dtype: FloatType = None,
) -> Rule:
    """Divide a running mean of gradients by the root of their running square.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        direction = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t) + epsilon_root) + epsilon)

    The state holds m / (1 - beta1) and v / (1 - beta2). It is the form of Gen, torch and optax;
    Axon's epsilon_root is 1e-15, GoMLX's epsilon 1e-7, and Flux 0.6 has its epsilon in the root.

    Raises:
        InvalidValue: a beta is not in [0, 1), `epsilon` or `epsilon_root` is below 0.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 1.
    """
    beta1, beta2 = checked("scale_by_adam", SHARE, beta1=beta1, beta2=beta2)
    (epsilon,) = checked("scale_by_adam", AT_LEAST_0, epsilon=epsilon)
    (epsilon_root,) = checked("scale_by_adam", AT_LEAST_0, epsilon_root=epsilon_root)

    def formula(g, theta, rate, floor, inside, m, v):
        m = beta1 * m + g
        v = beta2 * v + g * g
        root = np.sqrt(v + inside if epsilon_root else v)
        return _over(m, root + floor, epsilon) * rate, m, v

    return elementwise(
        formula,
        {"m": 0.0, "v": 0.0},
        _corrections(beta1, beta2, epsilon, epsilon_root),
        dtype=dtype,
        ranges={"v": NOT_NEGATIVE},
    )


def _over(a: Any, b: Any, epsilon: float) -> Any:
    """a / b; if epsilon is 0, the limit 0 where both are 0."""
    if epsilon > 0.0:
        return a / b
    return a / np.where((a == 0.0) & (b == 0.0), 1.0, b)


def _corrections(
    beta1: float, beta2: float, epsilon: float, epsilon_root: float = 0.0
) -> Callable[[int], tuple[float, float, float]]:
    """What turns sums into means without bias.

    With M = m / (1 - beta1) and V = v / (1 - beta2), Adam's direction is

        M / (sqrt(V + inside) + floor) * rate
    """

    def constants(t: int) -> tuple[float, float, float]:
        total = (1.0 - beta2**t) / (1.0 - beta2)
        root = math.sqrt(total)
        return (1.0 - beta1) / (1.0 - beta1**t) * root, epsilon * root, epsilon_root * total

    return constants


@named
def scale_by_amsgrad(
    beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, *, dtype: FloatType = None
) -> Rule:
    """Adam with the greatest running square so far, so that no rate ever rises again.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        top <- max(top, v)
        direction = (m / (1 - beta1^t)) / (sqrt(top / (1 - beta2^t)) + epsilon)

    The state holds m / (1 - beta1), v / (1 - beta2) and top / (1 - beta2). It is torch's form.
    optax takes the maximum of v / (1 - beta2^t), whose first values weigh more; the paper and Flux
    correct no bias.

    Raises:
        InvalidValue: a beta is not in [0, 1), or `epsilon` is below 0.

    Reference: Reddi, Kale and Kumar, 2018, https://arxiv.org/abs/1904.09237, algorithm 2.
    """
    beta1, beta2 = checked("scale_by_amsgrad", SHARE, beta1=beta1, beta2=beta2)
    (epsilon,) = checked("scale_by_amsgrad", AT_LEAST_0, epsilon=epsilon)

    def formula(g, theta, rate, floor, inside, m, v, top):
        m = beta1 * m + g
        v = beta2 * v + g * g
        top = np.maximum(top, v)
        return _over(m, np.sqrt(top) + floor, epsilon) * rate, m, v, top

    return elementwise(
        formula,
        {"m": 0.0, "v": 0.0, "top": 0.0},
        _corrections(beta1, beta2, epsilon),
        dtype=dtype,
        ranges={"v": NOT_NEGATIVE, "top": NOT_NEGATIVE},
    )


@named
def scale_by_belief(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-16,
    *,
    epsilon_root: float = 1e-16,
    dtype: FloatType = None,
) -> Rule:
    """Adam with the running square of what its mean did not foresee.

        m <- beta1 m + (1 - beta1) g
        s <- beta2 s + (1 - beta2) (g - m)^2 + epsilon_root,    with the new m
        direction = (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon)

    The state holds m / (1 - beta1) and s / (1 - beta2). It is the paper's algorithm, whose two
    epsilons are one, with optax's numbers. What Axon and Polaris call so is Adam with other
    epsilons: its square is the square of g.

    Raises:
        InvalidValue: a beta is not in [0, 1), `epsilon` or `epsilon_root` is below 0.

    Reference: Zhuang et al., 2020, https://arxiv.org/abs/2010.07468, algorithm 2.
    """
    beta1, beta2 = checked("scale_by_belief", SHARE, beta1=beta1, beta2=beta2)
    (epsilon,) = checked("scale_by_belief", AT_LEAST_0, epsilon=epsilon)
    (epsilon_root,) = checked("scale_by_belief", AT_LEAST_0, epsilon_root=epsilon_root)

    def formula(g, theta, rate, floor, inside, m, s):
        m = beta1 * m + g
        surprise = g - (1.0 - beta1) * m
        s = beta2 * s + (surprise * surprise + epsilon_root / (1.0 - beta2))
        return _over(m, np.sqrt(s) + floor, epsilon) * rate, m, s

    return elementwise(
        formula,
        {"m": 0.0, "s": 0.0},
        _corrections(beta1, beta2, epsilon),
        dtype=dtype,
        ranges={"s": NOT_NEGATIVE},
    )


@named
def scale_by_radam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    epsilon_root: float = 0.0,
    threshold: float = 5.0,
    dtype: FloatType = None,
) -> Rule:
    """Adam that waits until its running square can be trusted, and then trusts it by degrees.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        rho = last - 2 t beta2^t / (1 - beta2^t),    last = 2 / (1 - beta2) - 1
        direction = m / (1 - beta1^t)                while rho <= threshold, and then
            r (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t) + epsilon_root) + epsilon),
            r^2 = (rho - 4) (rho - 2) last / ((last - 4) (last - 2) rho)

    With the default numbers it waits for five steps. The state holds m / (1 - beta1) and
    v / (1 - beta2). It is the paper's algorithm, whose threshold is 4 in the text and 5 in its
    authors' code, with optax's epsilons; torch adds epsilon before it corrects the bias of v. Axon
    and Polaris take last from beta1 and wait for 6889 steps.

    Raises:
        InvalidValue: a beta is not in [0, 1), `epsilon` or `epsilon_root` is below 0, or
            `threshold` is below 4.

    Reference: Liu et al., 2019, https://arxiv.org/abs/1908.03265, algorithm 2.
    """
    beta1, beta2 = checked("scale_by_radam", SHARE, beta1=beta1, beta2=beta2)
    (epsilon,) = checked("scale_by_radam", AT_LEAST_0, epsilon=epsilon)
    (epsilon_root,) = checked("scale_by_radam", AT_LEAST_0, epsilon_root=epsilon_root)
    (threshold,) = checked("scale_by_radam", _THRESHOLD, threshold=threshold)
    corrections = _corrections(beta1, beta2, epsilon, epsilon_root)
    last = 2.0 / (1.0 - beta2) - 1.0

    def constants(t: int) -> tuple[float, float, float, float]:
        rho = last - 2.0 * t * beta2**t / (1.0 - beta2**t)
        if rho <= threshold:  # divide by 0 sqrt(v) + 1
            return (1.0 - beta1) / (1.0 - beta1**t), 1.0, 0.0, 0.0
        rate, floor, inside = corrections(t)
        r2 = (rho - 4.0) * (rho - 2.0) * last / ((last - 4.0) * (last - 2.0) * rho)
        return rate * math.sqrt(r2), floor, inside, 1.0

    def formula(g, theta, rate, floor, inside, trusted, m, v):
        m = beta1 * m + g
        v = beta2 * v + g * g
        root = np.sqrt(v + inside if epsilon_root else v)
        return _over(m, root * trusted + floor, epsilon) * rate, m, v

    ranges = {"v": NOT_NEGATIVE}
    return elementwise(formula, {"m": 0.0, "v": 0.0}, constants, dtype=dtype, ranges=ranges)


@named
def scale_by_nadam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    momentum_decay: float | None = 0.004,
    *,
    dtype: FloatType = None,
) -> Rule:
    """Adam with Nesterov's momentum: the mean as it will be after one more step.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        mu_t = beta1 (1 - 0.5 * 0.96^(momentum_decay t)),    or beta1 if momentum_decay is None
        c_t = mu_1 mu_2 ... mu_t
        direction = ((1 - mu_t) g / (1 - c_t) + mu_(t+1) m / (1 - c_(t+1)))
                    / (sqrt(v / (1 - beta2^t)) + epsilon)

    The state holds m / (1 - beta1) and v / (1 - beta2). The momentum that warms up is the paper's
    and torch's; that of optax and Flux is constant, `momentum_decay=None`.

    Raises:
        InvalidValue: a beta is not in [0, 1), `epsilon` or `momentum_decay` is below 0.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, algorithm 2.
    """
    beta1, beta2 = checked("scale_by_nadam", SHARE, beta1=beta1, beta2=beta2)
    (epsilon,) = checked("scale_by_nadam", AT_LEAST_0, epsilon=epsilon)
    if momentum_decay is not None:
        (momentum_decay,) = checked("scale_by_nadam", AT_LEAST_0, momentum_decay=momentum_decay)
    corrections = _corrections(beta1, beta2, epsilon)

    def mu(t: Any) -> Any:
        return beta1 if momentum_decay is None else beta1 * (1 - 0.5 * 0.96 ** (momentum_decay * t))

    def product(t: int) -> float:
        if momentum_decay is None or beta1**t < 1e-20:  # 1 - product is 1 long before
            return beta1**t
        return float(np.prod(mu(np.arange(1, t + 1))))

    def constants(t: int) -> tuple[float, float, float]:
        _, floor, _ = corrections(t)
        root, before = math.sqrt((1.0 - beta2**t) / (1.0 - beta2)), product(t)
        now = (1.0 - mu(t)) / (1.0 - before)
        then = (1.0 - beta1) * mu(t + 1) / (1.0 - before * mu(t + 1))
        return now * root, then * root, floor

    def formula(g, theta, now, then, floor, m, v):
        m = beta1 * m + g
        v = beta2 * v + g * g
        return _over(g * now + m * then, np.sqrt(v) + floor, epsilon), m, v

    ranges = {"v": NOT_NEGATIVE}
    return elementwise(formula, {"m": 0.0, "v": 0.0}, constants, dtype=dtype, ranges=ranges)


@named
def scale_by_adamax(
    beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, *, dtype: FloatType = None
) -> Rule:
    """Divide a running mean of gradients by the greatest size of them, which fades.

        m <- beta1 m + (1 - beta1) g          u <- max(beta2 u, |g| + epsilon)
        direction = (m / (1 - beta1^t)) / u

    The state holds m / (1 - beta1) and u. It is the form of torch and optax; the paper has no
    epsilon, and GoMLX and Flux add it to u in the direction.

    Raises:
        InvalidValue: a beta is not in [0, 1), or `epsilon` is below 0.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 2.
    """
    beta1, beta2 = checked("scale_by_adamax", SHARE, beta1=beta1, beta2=beta2)
    (epsilon,) = checked("scale_by_adamax", AT_LEAST_0, epsilon=epsilon)

    def constants(t: int) -> tuple[float]:
        return ((1.0 - beta1) / (1.0 - beta1**t),)

    def formula(g, theta, rate, m, u):
        m = beta1 * m + g
        u = np.maximum(beta2 * u, np.absolute(g) + epsilon)
        return _over(m, u, epsilon) * rate, m, u

    ranges = {"u": NOT_NEGATIVE}
    return elementwise(formula, {"m": 0.0, "u": 0.0}, constants, dtype=dtype, ranges=ranges)


@named
def scale_by_yogi(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-3,
    *,
    epsilon_root: float = 0.0,
    initial_accumulator_value: float = 1e-6,
    dtype: FloatType = None,
) -> Rule:
    """Adam whose running square moves by a part of g^2, however far it is from it.

        m <- beta1 m + (1 - beta1) g          v <- v - (1 - beta2) sign(v - g^2) g^2
        direction = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t) + epsilon_root) + epsilon)

    v starts at `initial_accumulator_value`. The state holds m / (1 - beta1) and v. It is the form
    of Axon and optax, but that they start m at that value too, and so move without a gradient. The
    paper corrects no bias.

    Raises:
        InvalidValue: a beta is not in [0, 1), or another number is below 0.

    Reference: Zaheer et al., 2018, https://papers.nips.cc/paper/8186, algorithm 2.
    """
    beta1, beta2 = checked("scale_by_yogi", SHARE, beta1=beta1, beta2=beta2)
    (epsilon,) = checked("scale_by_yogi", AT_LEAST_0, epsilon=epsilon)
    epsilon_root, start = checked(
        "scale_by_yogi",
        AT_LEAST_0,
        epsilon_root=epsilon_root,
        initial_accumulator_value=initial_accumulator_value,
    )

    def constants(t: int) -> tuple[float, float, float]:
        total = 1.0 - beta2**t
        root = math.sqrt(total)
        return (1.0 - beta1) / (1.0 - beta1**t) * root, epsilon * root, epsilon_root * total

    def formula(g, theta, rate, floor, inside, m, v):
        m = beta1 * m + g
        square = g * g
        v = v - np.sign(v - square) * square * (1.0 - beta2)
        root = np.sqrt(v + inside if epsilon_root else v)
        return _over(m, root + floor, epsilon) * rate, m, v

    ranges = {"v": NOT_NEGATIVE}
    return elementwise(formula, {"m": 0.0, "v": start}, constants, dtype=dtype, ranges=ranges)


@named
def scale_by_lion(beta1: float = 0.9, beta2: float = 0.99, *, dtype: FloatType = None) -> Rule:
    """The sign of a mean of the gradient and a running mean of those before.

        direction = sign(beta1 m + (1 - beta1) g)
        m <- beta2 m + (1 - beta2) g

    sign(0) = 0. The state holds m / (1 - beta2).

    Raises:
        InvalidValue: a beta is not in [0, 1).

    Reference: Chen et al., 2023, https://arxiv.org/abs/2302.06675, algorithm 2.
    """
    beta1, beta2 = checked("scale_by_lion", SHARE, beta1=beta1, beta2=beta2)
    past = beta1 * (1.0 - beta2) / (1.0 - beta1)

    def formula(g, theta, m):
        return np.sign(m * past + g), beta2 * m + g

    return elementwise(formula, {"m": 0.0}, dtype=dtype)


@named
def scale_by_rms(
    decay: float = 0.9,
    epsilon: float = 1e-8,
    *,
    epsilon_in_root: bool = True,
    centered: bool = False,
    bias_correction: bool = False,
    initial_scale: float = 0.0,
    dtype: FloatType = None,
) -> Rule:
    """Divide by the root of the running square of gradients.

        v <- decay v + (1 - decay) g^2          direction = g / sqrt(v + epsilon)

    v starts at `initial_scale`. The state holds v / (1 - decay). By default it is the form of Axon,
    optax and Flux 0.6. That of torch is `epsilon_in_root=False` with decay 0.99; that of GoMLX is
    `scale_by_rms(0.999, 1e-7, epsilon_in_root=False, bias_correction=True)`.

    Args:
        epsilon_in_root: If False, the direction is g / (sqrt(v) + epsilon).
        centered: Whether m^2 is subtracted from v, with m <- decay m + (1 - decay) g; then the
            state also holds m / (1 - decay).
        bias_correction: Whether v and m are divided by 1 - decay^t.

    Raises:
        InvalidValue: `decay` is not in [0, 1), `epsilon` or `initial_scale` is below 0.

    Reference: Tieleman and Hinton, 2012, Neural Networks for Machine Learning, lecture 6.5; the
    centred form is from Graves, 2013, https://arxiv.org/abs/1308.0850, section 4.2.
    """
    decay, epsilon, start = (
        *checked("scale_by_rms", SHARE, decay=decay),
        *checked("scale_by_rms", AT_LEAST_0, epsilon=epsilon),
        *checked("scale_by_rms", AT_LEAST_0, initial_scale=initial_scale),
    )
    fields = {"v": start / (1.0 - decay), **({"m": 0.0} if centered else {})}

    def constants(t: float) -> tuple[float, float, float]:
        share = (1.0 - decay) / (1.0 - decay**t)
        rate = 1.0 / math.sqrt(share)
        return share, rate, epsilon / share if epsilon_in_root else epsilon * rate

    def formula(g, theta, share, rate, floor, v, m=None):
        v, kept = decay * v + g * g, ()
        spread = v
        if m is not None:
            m = decay * m + g
            spread, kept = np.maximum(v - share * m * m, 0.0), (m,)
        root = np.sqrt(spread + floor) if epsilon_in_root else np.sqrt(spread) + floor
        return _over(g, root, epsilon) * rate, v, *kept

    def uncorrected(g, theta, *fields):
        return formula(g, theta, *constants(math.inf), *fields)

    return elementwise(
        formula if bias_correction else uncorrected,
        fields,
        constants if bias_correction else None,
        dtype=dtype,
        ranges={"v": NOT_NEGATIVE},
    )


@explained
def scale_by_stddev(
    decay: float = 0.9,
    epsilon: float = 1e-8,
    *,
    epsilon_in_root: bool = True,
    bias_correction: bool = False,
    initial_scale: float = 0.0,
    dtype: FloatType = None,
) -> Rule:
    """Divide by the running standard deviation of gradients, `scale_by_rms(centered=True)`.

        m <- decay m + (1 - decay) g          v <- decay v + (1 - decay) g^2
        direction = g / sqrt(max(v - m^2, 0) + epsilon)

    The state holds m and v divided by 1 - decay. It is the form of Axon and optax, where v - m^2 is
    not kept from falling below 0 by rounding, which makes NaN of gradients that stay the same.

    Args:
        epsilon_in_root: If False, the direction is g / (sqrt(max(v - m^2, 0)) + epsilon), as in
            torch's centred RMSprop.

    Raises:
        InvalidValue: `decay` is not in [0, 1), `epsilon` or `initial_scale` is below 0.

    Reference: Graves, 2013, https://arxiv.org/abs/1308.0850, section 4.2.
    """
    return scale_by_rms(
        decay,
        epsilon,
        epsilon_in_root=epsilon_in_root,
        centered=True,
        bias_correction=bias_correction,
        initial_scale=initial_scale,
        dtype=dtype,
    )


@named
def scale_by_rss(
    initial_accumulator_value: float = 0.1, epsilon: float = 1e-7, *, dtype: FloatType = None
) -> Rule:
    """Divide by the root of the sum of squares of all gradients so far.

        S <- S + g^2          direction = g / sqrt(S + epsilon)

    S starts at `initial_accumulator_value`; where it is 0, so is the direction. It is the form of
    Axon and optax. The paper and torch have sqrt(S) + epsilon, and S starts at 0.

    Raises:
        InvalidValue: `epsilon` or `initial_accumulator_value` is below 0.

    Reference: Duchi, Hazan and Singer, 2011, https://jmlr.org/papers/v12/duchi11a.html, figure 1
    with the diagonal alone.
    """
    (start,) = checked(
        "scale_by_rss", AT_LEAST_0, initial_accumulator_value=initial_accumulator_value
    )
    (epsilon,) = checked("scale_by_rss", AT_LEAST_0, epsilon=epsilon)

    def formula(g, theta, S):
        S = S + g * g
        return _over(g, np.sqrt(S + epsilon), epsilon), S

    return elementwise(formula, {"S": start}, dtype=dtype, ranges={"S": NOT_NEGATIVE})


@named
def scale_by_adadelta(rho: float = 0.9, epsilon: float = 1e-6, *, dtype: FloatType = None) -> Rule:
    """Give directions the size of those before them, so that there is no rate to choose.

        v <- rho v + (1 - rho) g^2
        direction = g sqrt(u + epsilon) / sqrt(v + epsilon)
        u <- rho u + (1 - rho) direction^2

    The state holds v / (1 - rho) and u / (1 - rho). It is the form of the paper, torch, optax and
    Flux. `epsilon` cannot be 0: u starts at 0, and no direction would ever be another.

    Raises:
        InvalidValue: `rho` is not in [0, 1), or `epsilon` not above 0.

    Reference: Zeiler, 2012, https://arxiv.org/abs/1212.5701, algorithm 1.
    """
    (rho,) = checked("scale_by_adadelta", SHARE, rho=rho)
    (epsilon,) = checked("scale_by_adadelta", ABOVE_0, epsilon=epsilon)
    floor = epsilon / (1.0 - rho)

    def formula(g, theta, v, u):
        v = rho * v + g * g
        direction = np.sqrt(u + floor) / np.sqrt(v + floor) * g
        return direction, v, rho * u + direction * direction

    ranges = {"v": NOT_NEGATIVE, "u": NOT_NEGATIVE}
    return elementwise(formula, {"v": 0.0, "u": 0.0}, dtype=dtype, ranges=ranges)


@named
def scale_by_trust_ratio(
    min_norm: float = 0.0, trust_coefficient: float = 1.0, epsilon: float = 0.0
) -> Rule:
    """Give each parameter's direction a length in proportion to the parameter's own.

        norm(x) = max(|x|, min_norm),    |x|^2 = sum of x_i^2
        direction = g trust_coefficient norm(theta) / (norm(g) + epsilon),    or g if a norm is 0

    The sum is over all numbers of one parameter, whatever its shape; theta are unconstrained
    coordinates. It is the form of Axon, which takes vectors and matrices only, and optax.

    Raises:
        InvalidValue: `trust_coefficient` is not above 0, or another number below 0.

    Reference: You, Gitman and Ginsburg, 2017, https://arxiv.org/abs/1708.03888, equation 6.
    """
    min_norm, epsilon = checked(
        "scale_by_trust_ratio", AT_LEAST_0, min_norm=min_norm, epsilon=epsilon
    )
    (trust,) = checked("scale_by_trust_ratio", ABOVE_0, trust_coefficient=trust_coefficient)

    def scaled(g: Any, theta: Any) -> Any:
        length, own = max(norm(g), min_norm), max(norm(theta), min_norm)
        if length == 0.0 or own == 0.0:
            return g
        return g / (length + epsilon) * (trust * own)

    def apply(g: Tree, theta: Tree) -> dict[Any, Any]:
        return {k: scaled(d, theta[k]) for k, d in g.items()}

    return stateless(apply)
