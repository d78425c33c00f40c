"""Rules that divide each number by the size of its past gradients.

Running means are kept without the factor 1 - beta, which is part of the constants of a step: this
saves one pass over the memory for each mean. The docstrings give the means themselves, and say what
the state holds instead.

t = 1, 2, ... counts the steps that a parameter took part in: a parameter that joins late starts as
it would have started alone. `dtype` is the type in which the state is kept and the direction
computed; None is the type of each parameter. Types shorter than float32 are refused: the square of
a gradient overflows there.

A number outside its range is an `InvalidValue`, as in `settings.REQUIREMENTS`.

`epsilon` may be 0. A direction of 0 / 0, as for gradients that were all 0, is then 0, which is the
limit for a small epsilon; torch and optax give NaN.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genparams.mistakes import explained
from genparams.update.formula import elementwise
from genparams.update.rule import NOT_NEGATIVE, Rule, rule_maker
from genparams.update.settings import ABOVE_0, SHARE, FloatType

# --- Adam and rules like it


@rule_maker()
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

    The state holds m / (1 - beta1) and v / (1 - beta2). This is the form of Gen, torch and optax;
    Axon's epsilon_root is 1e-15, GoMLX's epsilon 1e-7, and Flux 0.6 has its epsilon in the root.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 1.
    """

    def formula(g, theta, rate, floor, inside, m, v):
        m = beta1 * m + g
        v = beta2 * v + g * g
        root = np.sqrt(v + inside if epsilon_root else v)
        return _over(m, root + floor, epsilon) * rate, m, v

    constants = _corrections(beta1, beta2, epsilon, epsilon_root)
    return _adaptive(formula, {"m": 0.0, "v": 0.0}, dtype, constants)


@rule_maker()
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

    Reference: Reddi, Kale and Kumar, 2018, https://arxiv.org/abs/1904.09237, algorithm 2.
    """

    def formula(g, theta, rate, floor, inside, m, v, top):
        m = beta1 * m + g
        v = beta2 * v + g * g
        top = np.maximum(top, v)
        return _over(m, np.sqrt(top) + floor, epsilon) * rate, m, v, top

    constants = _corrections(beta1, beta2, epsilon)
    return _adaptive(formula, {"m": 0.0, "v": 0.0, "top": 0.0}, dtype, constants)


@rule_maker()
def scale_by_belief(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-16,
    *,
    epsilon_root: float = 1e-16,
    dtype: FloatType = None,
) -> Rule:
    """Adam with the running square of g - m, which the mean of gradients did not predict.

        m <- beta1 m + (1 - beta1) g
        s <- beta2 s + (1 - beta2) (g - m)^2 + epsilon_root,    with the new m
        direction = (m / (1 - beta1^t)) / (sqrt(s / (1 - beta2^t)) + epsilon)

    The state holds m / (1 - beta1) and s / (1 - beta2). It is the paper's algorithm, whose two
    epsilons are one, with optax's numbers. The rule of this name in Axon
    and Polaris is Adam with other epsilons: it takes the square of g.

    Reference: Zhuang et al., 2020, https://arxiv.org/abs/2010.07468, algorithm 2.
    """

    def formula(g, theta, rate, floor, inside, m, s):
        m = beta1 * m + g
        surprise = g - (1.0 - beta1) * m
        s = beta2 * s + (surprise * surprise + epsilon_root / (1.0 - beta2))
        return _over(m, np.sqrt(s) + floor, epsilon) * rate, m, s

    constants = _corrections(beta1, beta2, epsilon)
    return _adaptive(formula, {"m": 0.0, "s": 0.0}, dtype, constants)


@rule_maker()
def scale_by_radam(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    *,
    epsilon_root: float = 0.0,
    threshold: float = 5.0,
    dtype: FloatType = None,
) -> Rule:
    """Adam that divides by its running square only after enough steps, with a factor r.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        rho = last - 2 t beta2^t / (1 - beta2^t),    last = 2 / (1 - beta2) - 1
        direction = m / (1 - beta1^t)                while rho <= threshold, and then
            r (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t) + epsilon_root) + epsilon),
            r^2 = (rho - 4) (rho - 2) last / ((last - 4) (last - 2) rho)

    With the default numbers the first five steps do not divide. The state holds m / (1 - beta1) and
    v / (1 - beta2). It is the paper's algorithm, whose threshold is 4 in the text and 5 in its
    authors' code, with optax's epsilons; torch adds epsilon before it corrects the bias of v. Axon
    and Polaris compute last from beta1, and do not divide for 6889 steps.

    Reference: Liu et al., 2019, https://arxiv.org/abs/1908.03265, algorithm 2.
    """
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

    return _adaptive(formula, {"m": 0.0, "v": 0.0}, dtype, constants)


@rule_maker()
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

    The state holds m / (1 - beta1) and v / (1 - beta2). The paper and torch warm up the
    momentum in this way; in optax and Flux it is constant, `momentum_decay=None`.

    Reference: Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, algorithm 2.
    """
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

    return _adaptive(formula, {"m": 0.0, "v": 0.0}, dtype, constants)


@rule_maker()
def scale_by_adamax(
    beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, *, dtype: FloatType = None
) -> Rule:
    """Divide a running mean of gradients by a decaying maximum of their sizes.

        m <- beta1 m + (1 - beta1) g          u <- max(beta2 u, |g| + epsilon)
        direction = (m / (1 - beta1^t)) / u

    The state holds m / (1 - beta1) and u. This is the form of torch and optax; the paper has no
    epsilon, and GoMLX and Flux add it to u in the direction.

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 2.
    """

    def constants(t: int) -> tuple[float]:
        return ((1.0 - beta1) / (1.0 - beta1**t),)

    def formula(g, theta, rate, m, u):
        m = beta1 * m + g
        u = np.maximum(beta2 * u, np.absolute(g) + epsilon)
        return _over(m, u, epsilon) * rate, m, u

    return _adaptive(formula, {"m": 0.0, "u": 0.0}, dtype, constants)


@rule_maker()
def scale_by_yogi(
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-3,
    *,
    epsilon_root: float = 0.0,
    initial_accumulator_value: float = 1e-6,
    dtype: FloatType = None,
) -> Rule:
    """Adam whose running square moves by (1 - beta2) g^2, however far it is from g^2.

        m <- beta1 m + (1 - beta1) g          v <- v - (1 - beta2) sign(v - g^2) g^2
        direction = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t) + epsilon_root) + epsilon)

    v starts at `initial_accumulator_value`. The state holds m / (1 - beta1) and v. This is the form
    of Axon and optax, except that their m also starts at that value, so that they move without a
    gradient. The paper corrects no bias.

    Reference: Zaheer et al., 2018, https://papers.nips.cc/paper/8186, algorithm 2.
    """

    def formula(g, theta, rate, floor, inside, m, v):
        m = beta1 * m + g
        square = g * g
        v = v - np.sign(v - square) * square * (1.0 - beta2)
        root = np.sqrt(v + inside if epsilon_root else v)
        return _over(m, root + floor, epsilon) * rate, m, v

    constants = _corrections(beta1, beta2, epsilon, epsilon_root, weight=1.0)
    return _adaptive(formula, {"m": 0.0, "v": initial_accumulator_value}, dtype, constants)


# --- Rules with a square alone


@rule_maker(decay=SHARE)
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

    v starts at `initial_scale`. The state holds v / (1 - decay). The default is the form of Axon,
    optax and Flux 0.6. torch's form is `epsilon_in_root=False` with decay 0.99; GoMLX's is
    `scale_by_rms(0.999, 1e-7, epsilon_in_root=False, bias_correction=True)`.

    Args:
        epsilon_in_root: If False, the direction is g / (sqrt(v) + epsilon).
        centered: Whether m^2 is subtracted from v, with m <- decay m + (1 - decay) g; then the
            state also holds m / (1 - decay).
        bias_correction: Whether v and m are divided by 1 - decay^t.

    Reference: Tieleman and Hinton, 2012, Neural Networks for Machine Learning, lecture 6.5; the
    centred form is from Graves, 2013, https://arxiv.org/abs/1308.0850, section 4.2.
    """
    fields = {"v": initial_scale / (1.0 - decay), **({"m": 0.0} if centered else {})}

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

    if bias_correction:
        return _adaptive(formula, fields, dtype, constants)
    return _adaptive(uncorrected, fields, dtype)


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

    The state holds m and v divided by 1 - decay. This is the form of Axon and optax, where
    rounding can make v - m^2 negative, and so gives NaN for gradients that do not change.

    Args:
        epsilon_in_root: If False, the direction is g / (sqrt(max(v - m^2, 0)) + epsilon), as in
            torch's centred RMSprop.

    Raises:
        InvalidValue: as `scale_by_rms`.

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


@rule_maker()
def scale_by_rss(
    initial_accumulator_value: float = 0.1, epsilon: float = 1e-7, *, dtype: FloatType = None
) -> Rule:
    """Divide by the root of the sum of squares of all gradients so far.

        S <- S + g^2          direction = g / sqrt(S + epsilon)

    S starts at `initial_accumulator_value`; where it is 0, so is the direction. This is the form of
    Axon and optax. The paper and torch have sqrt(S) + epsilon, and S starts at 0.

    Reference: Duchi, Hazan and Singer, 2011, https://jmlr.org/papers/v12/duchi11a.html, figure 1
    with the diagonal alone.
    """

    def formula(g, theta, S):
        S = S + g * g
        return _over(g, np.sqrt(S + epsilon), epsilon), S

    return _adaptive(formula, {"S": initial_accumulator_value}, dtype)


@rule_maker(epsilon=ABOVE_0)
def scale_by_adadelta(rho: float = 0.9, epsilon: float = 1e-6, *, dtype: FloatType = None) -> Rule:
    """Give directions the size of the directions before them, so that no rate is needed.

        v <- rho v + (1 - rho) g^2
        direction = g sqrt(u + epsilon) / sqrt(v + epsilon)
        u <- rho u + (1 - rho) direction^2

    The state holds v / (1 - rho) and u / (1 - rho). This is the form of the paper, torch, optax and
    Flux. `epsilon` cannot be 0: u starts at 0, and every direction would be 0.

    Reference: Zeiler, 2012, https://arxiv.org/abs/1212.5701, algorithm 1.
    """
    floor = epsilon / (1.0 - rho)

    def formula(g, theta, v, u):
        v = rho * v + g * g
        direction = np.sqrt(u + floor) / np.sqrt(v + floor) * g
        return direction, v, rho * u + direction * direction

    return _adaptive(formula, {"v": 0.0, "u": 0.0}, dtype)


# --- What they share


def _adaptive(
    formula: Callable[..., Any],
    fields: Mapping[str, float],
    dtype: FloatType,
    constants: Callable[[int], tuple[float, ...]] | None = None,
) -> Rule:
    """An elementwise rule. The field `m` is a mean of gradients, the others are never negative."""
    ranges = {name: NOT_NEGATIVE for name in fields if name != "m"}
    return elementwise(formula, fields, constants, dtype=dtype, ranges=ranges)


def _over(a: Any, b: Any, epsilon: float) -> Any:
    """a / b; if epsilon is 0, the limit 0 where both are 0."""
    if epsilon > 0.0:
        return a / b
    return a / np.where((a == 0.0) & (b == 0.0), 1.0, b)


def _corrections(
    beta1: float,
    beta2: float,
    epsilon: float,
    epsilon_root: float = 0.0,
    weight: float | None = None,
) -> Callable[[int], tuple[float, float, float]]:
    """The constants rate, floor and inside of a step, which correct the bias of the means.

    With M = m / (1 - beta1) and V = v / weight, where weight is 1 - beta2 if not given, Adam's
    direction is

        M / (sqrt(V + inside) + floor) * rate
    """
    weight = 1.0 - beta2 if weight is None else weight

    def constants(t: int) -> tuple[float, float, float]:
        total = (1.0 - beta2**t) / weight
        root = _root(total)
        return (1.0 - beta1) / (1.0 - beta1**t) * root, epsilon * root, epsilon_root * total

    return constants


def _root(x: Any) -> Any:
    """The square root of a float, or of an array."""
    return math.sqrt(x) if type(x) is float else np.sqrt(x)
