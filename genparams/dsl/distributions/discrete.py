"""Distributions over whole numbers and truth values."""

from genparams.autodiff import np, special
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.domains import (
    Domain,
    above_zero,
    at_least_zero,
    boolean,
    check_order,
    count,
    finite,
    probability,
    whole,
    whole_number,
)
from genparams.dsl.distributions.elementwise import elementwise, per
from genparams.dsl.distributions.signatures import called_as
from genparams.numeric import (
    FEW,
    binomial_excess,
    deviance,
    exact_product,
    log1p_ratio,
    log_beta,
    log_binomial,
    log_near,
    log_ratio,
    psi_less_log,
    stirling,
)

FROM_ZERO, UP_TO_N = "the whole numbers from 0 on", "the whole numbers from 0 to n"


def _is_bit(x, p):
    return (x == 0) | (x == 1)


@elementwise(
    name="bernoulli",
    logits=finite,
    kind=boolean,
    inside=_is_bit,
    draw=lambda rng, logits, size: rng.random(size) < special.expit(logits),
)
def _bernoulli_logits(m, x, logits):
    """`bernoulli` by log odds: log p(x) = log expit(logits) if x, else log expit(-logits)."""
    side = 2.0 * x - 1.0
    toward = side * logits
    return m.log_expit(toward), (None, lambda: side * m.expit(-side * logits))


@called_as(signatures.bernoulli)
@elementwise(
    probs=probability,
    kind=boolean,
    inside=_is_bit,
    forms={"logits": _bernoulli_logits},
    draw=lambda rng, probs, size: rng.random(size) < probs,
)
def bernoulli(m, x, probs):
    """True with probability `probs`, or with log odds `logits=`.

    log p(x) = x log probs + (1 - x) log(1 - probs)

    As `scipy.stats.bernoulli(probs)`.
    """
    return (
        m.xlogy(1.0 * x, probs) + m.xlog1py(1.0 - x, -probs),
        (None, lambda: per(m, 1.0 * x, probs) - per(m, 1.0 - x, 1.0 - probs)),
    )


def is_whole(x):
    return type(x) is int or (np.floor(x) == x) & (x < np.inf)


def _within(x, n, p):
    return (x >= 0) & (x <= n) & is_whole(x)


def _log_choose(m, n, x):
    return m.gammaln(n + 1.0) - m.gammaln(x + 1.0) - m.gammaln(n - x + 1.0)


def _many_by_logits(m, x, n, logits):
    """The formula of `binomial` by log odds, for large n."""
    within = m.abs(logits) < 700.0

    def saddle():
        t = m.where(within, logits, 0.0)
        up = t > 0.0  # count the rarer outcome, whose probability has all its digits
        a = m.where(up, n - x, x)
        return log_binomial(m, a, n - a, m.expit(m.where(up, -t, t)))

    def beyond():
        t = m.where(within, 700.0, logits)
        log_choose = -log_beta(m, x + 1.0, n - x + 1.0) - m.log1p(n)
        log_choose = m.where((x > 0.0) & (x < n), log_choose, 0.0)
        return log_choose + x * m.log_expit(t) + (n - x) * m.log_expit(-t)

    return m.choose(within, saddle, beyond)


@elementwise(
    name="binomial",
    n=count,
    logits=finite,
    kind=whole,
    inside=_within,
    support=UP_TO_N,
    draw=lambda rng, n, logits, size: rng.binomial(
        np.asarray(n, dtype=np.int64), special.expit(logits), size
    ),
)
def _binomial_logits(m, x, n, logits):
    """`binomial` by log odds.

    log p(x) = log C(n, x) + x log expit(logits) + (n - x) log expit(-logits)
    """
    return (
        m.prefer(
            n < FEW,
            lambda: _log_choose(m, n, x) + x * m.log_expit(logits) + (n - x) * m.log_expit(-logits),
            lambda: _many_by_logits(m, 1.0 * x, 1.0 * n, logits),
        ),
        (None, None, lambda: x * m.expit(-logits) - (n - x) * m.expit(logits)),
    )


@called_as(signatures.binomial)
@elementwise(
    n=count,
    probs=probability,
    kind=whole,
    inside=_within,
    forms={"logits": _binomial_logits},
    support=UP_TO_N,
    draw=lambda rng, n, probs, size: rng.binomial(np.asarray(n, dtype=np.int64), probs, size),
)
def binomial(m, x, n, probs):
    """The number of successes in `n` trials, each with probability `probs` or log odds `logits=`.

    log p(x) = log C(n, x) + x log probs + (n - x) log(1 - probs)

    As `scipy.stats.binom(n, probs)`.
    """
    return (
        m.prefer(
            n < FEW,
            lambda: (
                _log_choose(m, n, x) + m.xlogy(1.0 * x, probs) + m.xlog1py(1.0 * (n - x), -probs)
            ),
            lambda: log_binomial(m, 1.0 * x, 1.0 * (n - x), probs),
        ),
        (None, None, lambda: per(m, x, probs) - per(m, n - x, 1.0 - probs)),
    )


@called_as(signatures.rated)
@elementwise(
    rate=at_least_zero,
    kind=whole,
    inside=lambda x, rate: (x >= 0) & is_whole(x),
    support=FROM_ZERO,
    draw=lambda rng, rate, size: rng.poisson(rate, size),
)
def poisson(m, x, rate):
    """The Poisson distribution with mean `rate`.

    log p(x) = x log rate - rate - log x!

    As `scipy.stats.poisson(rate)`.
    """
    return (
        m.prefer(
            x < FEW,
            lambda: m.xlogy(1.0 * x, rate) - rate - m.gammaln(x + 1.0),
            lambda: -(stirling(m, 1.0 * x) + deviance(m, 1.0 * x, rate, x - rate)),
        ),
        (None, lambda: m.where(x == 0, -1.0, m.ratio(x - rate, m.where(x == 0, 1.0, rate)))),
    )


_chance = Domain("above 0 and at most 1", lambda v: (v > 0.0) & (v <= 1.0))


def _draw_geometric(rng, probs, size):
    x = rng.geometric(probs, size) - 1
    if np.any(x >= 2**62):  # numpy's sampler goes no further
        raise ValueError("a draw is larger than a whole number of 64 bits")
    return x


@called_as(signatures.geometric)
@elementwise(
    probs=_chance,
    kind=whole,
    inside=lambda x, probs: (x >= 0) & is_whole(x),
    support=FROM_ZERO,
    draw=_draw_geometric,
)
def geometric(m, x, probs):
    """The number of failures before the first success, each trial's of probability `probs`.

    log p(x) = log probs + x log(1 - probs)

    As `scipy.stats.geom(probs, loc=-1)`.
    """
    return (
        m.log(probs) + m.xlog1py(1.0 * x, -probs),
        (None, lambda: 1.0 / probs - per(m, x, 1.0 - probs)),
    )


@called_as(signatures.neg_binomial)
@elementwise(
    r=above_zero,
    probs=_chance,
    kind=whole,
    inside=lambda x, r, probs: (x >= 0) & is_whole(x),
    support=FROM_ZERO,
    draw=lambda rng, r, probs, size: rng.negative_binomial(r, probs, size),
)
def neg_binomial(m, x, r, probs):
    """The number of failures before the r-th success, where r need not be whole.

    log p(x) = log Gamma(x + r) - log Gamma(r) - log x! + r log probs + x log(1 - probs)

    As `scipy.stats.nbinom(r, probs)`.
    """
    x = 1.0 * x
    return (
        m.prefer(
            x + r < FEW,
            lambda: (
                m.gammaln(x + r)
                - m.gammaln(r)
                - m.gammaln(x + 1.0)
                + r * m.log(probs)
                + m.xlog1py(x, -probs)
            ),
            lambda: log_binomial(m, r, x, probs) - log1p_ratio(m, x, r),
        ),
        (
            None,
            lambda: (
                psi_less_log(m, x + r)
                - psi_less_log(m, r)
                + log_near(
                    m,
                    -binomial_excess(m, r, x, probs),
                    r,
                    lambda: m.log(probs) + log1p_ratio(m, x, r),
                )
            ),
            lambda: r / probs - per(m, x, 1.0 - probs),
        ),
    )


@called_as(signatures.beta_binomial)
@elementwise(
    n=count,
    alpha=above_zero,
    beta=above_zero,
    kind=whole,
    inside=lambda x, n, alpha, beta: (x >= 0) & (x <= n) & is_whole(x),
    support=UP_TO_N,
    draw=lambda rng, n, alpha, beta, size: rng.binomial(
        np.asarray(n, dtype=np.int64), rng.beta(alpha, beta, size)
    ),
)
def beta_binomial(m, x, n, alpha, beta):
    """The number of successes in `n` trials, all with one probability from beta(alpha, beta).

    log p(x) = log C(n, x) + log B(x + alpha, n - x + beta) - log B(alpha, beta)

    As `scipy.stats.betabinom(n, alpha, beta)`.
    """
    x, y = 1.0 * x, 1.0 * (n - x)
    a, b, before = x + alpha, y + beta, alpha + beta
    after = n + before

    def excess():
        """x less n a / (a + b), without cancellation."""
        left, lost_left = exact_product(m, x, beta)
        right, lost_right = exact_product(m, y, alpha)
        return (left - right + (lost_left - lost_right)) / after

    def saddle():
        p, q, more = a / after, b / after, excess()
        return (
            stirling(m, 1.0 * n)
            - stirling(m, x)
            - stirling(m, y)
            + stirling(m, before)
            - stirling(m, alpha)
            - stirling(m, beta)
            - stirling(m, after)
            + stirling(m, a)
            + stirling(m, b)
            - deviance(m, x, n * p, more)
            - deviance(m, y, n * q, -more)
            - deviance(m, alpha, before * p, -more)
            - deviance(m, beta, before * q, more)
            - log1p_ratio(m, x, alpha)
            - log1p_ratio(m, y, beta)
            + log1p_ratio(m, 1.0 * n, before)
        )

    def by(own, after_own, sign):
        return (
            psi_less_log(m, after_own)
            - psi_less_log(m, own)
            + psi_less_log(m, before)
            - psi_less_log(m, after)
            + log_near(
                m,
                sign * excess(),
                own,
                lambda: log_ratio(m, after_own, own) - log1p_ratio(m, 1.0 * n, before),
            )
        )

    return (
        m.prefer(
            after < FEW,
            lambda: _log_choose(m, n, x) + m.betaln(a, b) - m.betaln(alpha, beta),
            saddle,
        ),
        (None, None, lambda: by(alpha, a, 1.0), lambda: by(beta, b, -1.0)),
    )


@called_as(signatures.between)
@elementwise(
    low=whole_number,
    high=whole_number,
    kind=whole,
    fit=lambda low, high: check_order("uniform_discrete", low, high, low <= high, "at most"),
    support="the whole numbers from low to high",
    inside=lambda x, low, high: (x >= low) & (x <= high) & is_whole(x),
    draw=lambda rng, low, high, size: rng.integers(
        np.asarray(low, dtype=np.int64), np.asarray(high, dtype=np.int64), size, endpoint=True
    ),
)
def uniform_discrete(m, x, low, high):
    """The whole numbers from `low` to `high`, both included, with equal probabilities.

    log p(x) = -log(high - low + 1)

    As `scipy.stats.randint(low, high + 1)`.
    """
    return -m.log(high - low + 1.0) + 0.0 * x, (None, None, None)
