"""A normal distribution between two limits, in closed form.

The mass is divided by the density at the *peak*, the point between the limits that is nearest to
the mean. So no digits are lost far from the mean, where both underflow. Between close limits, where
a difference of error functions would cancel, the mass is summed by quadrature.
"""

import math

from genparams.autodiff import np
from genparams.numeric import HALF_LOG_TWO_PI

_ROOT_TWO, _ROOT_TWO_PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)
_DISTANT = 1e150
"""A limit in place of infinity: its square is a float, and there is no mass beyond it."""


def _gauss(count):
    """Gauss and Legendre's rule on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return list(zip(nodes.tolist(), weights.tolist(), strict=True))


_NODES, _MANY_NODES = _gauss(8), _gauss(32)


class _Mass:
    """The mass of a standard normal from a to b = a + width, over exp(-peak^2 / 2), where the peak
    is the point between a and b that is nearest to 0.

    Far from zero, by the scaled complement erfcx of the error function, which does not underflow;
    over a short stretch, where that would cancel, by quadrature from one of its ends, the origin.
    """

    def __init__(self, m, a, b, width):
        self.m = m
        upper, lower = a > 0.0, b < 0.0
        aside = upper | lower
        near = m.where(upper, a, m.where(lower, -b, 0.0))
        far = m.where(upper, b, m.where(lower, -a, 1.0))
        self.short = short = width * (near + 1.0) < 1.0
        self.sign = m.where(lower, -1.0, 1.0)
        self.small = small = short | (near > 8.0)
        self.start = m.where(small, m.where(lower, -b, a), 0.0)
        reach = 38.0 / (near + 1.0)  # beyond it is nothing that counts
        self.length = m.where(small, m.where(width < reach, width, reach), 0.0)
        self.moments = None

        def across():
            beside = aside | short
            left, right = m.where(beside, -1.0, a), m.where(beside, 1.0, b)
            return 0.5 * (m.erf(right / _ROOT_TWO) - m.erf(left / _ROOT_TWO))

        def tail():
            fall = m.exp(-0.5 * m.where(aside, width, 1.0) * (near + far))
            return 0.5 * (m.erfcx(near / _ROOT_TWO) - m.erfcx(far / _ROOT_TWO) * fall)

        def stretch():
            return 0.5 * self.length / _ROOT_TWO_PI * sum(e for _, e in self.steps(_NODES))

        self.mass = m.choose(short, stretch, lambda: m.choose(aside, tail, across))
        self.peak = m.where(upper | (short & m.negate(lower)), a, m.where(lower, b, 0.0))

    def steps(self, nodes):
        """Distances u from the origin, and the density there over the density at the origin."""
        half = 0.5 * self.length
        us = [(half * (1.0 + t), w) for t, w in nodes]
        return [(u, w * self.m.exp(-(self.start + 0.5 * u) * u)) for u, w in us]

    def mean(self, f):
        """The mean of f(u), for u the distance from the origin; of a short stretch or a far one."""
        if self.moments is None:
            self.moments = self.steps(_MANY_NODES)
        return sum(e * f(u) for u, e in self.moments) / sum(e for _, e in self.moments)


def _near(m, z):
    return m.where(z > _DISTANT, _DISTANT, m.where(z < -_DISTANT, -_DISTANT, z))


def normal_between(m, x, mu, std, low, high):
    """The log density of `truncated_normal`, and its derivatives.

    With z, a, b = (x - mu) / std, (low - mu) / std, (high - mu) / std,

    log p(x) = -z^2 / 2 - log std - log(2 pi) / 2 - log(Phi(b) - Phi(a))
    """
    from_low, to_high = low > -math.inf, high < math.inf
    start, end = m.where(from_low, low, x), m.where(to_high, high, x)
    z = _near(m, (x - mu) / std)
    a = _near(m, m.where(from_low, (start - mu) / std, -_DISTANT))
    b = _near(m, m.where(to_high, (end - mu) / std, _DISTANT))
    width = m.where(from_low & to_high, (end - start) / std, _DISTANT)
    whole = _Mass(m, a, b, width)
    mass, peak, short = whole.mass, whole.peak, whole.short
    lower = b < 0.0
    first = (a > 0.0) | (short & m.negate(lower))  # the peak is at the lower limit
    off = m.where(first, x - start, m.where(lower, x - end, x - mu)) / std  # z - peak
    small = whole.small
    step = m.where(small, whole.sign * off, 0.0)

    def by_mu():
        """z - E[z] over std."""
        return m.choose(
            small,
            lambda: whole.sign * whole.mean(lambda u: step - u) / std,
            lambda: (z + at(b) - at(a)) / std,
        )

    def by_std():
        """z^2 - E[z^2] over std."""
        return m.choose(
            small,
            lambda: whole.mean(lambda u: (step - u) * (2.0 * whole.start + step + u)) / std,
            lambda: (z * z + at(b) * b - at(a) * a - 1.0) / std,
        )

    def at(bound):
        """The density at a bound over the mass inside."""
        away = m.where(first, width, b) if bound is b else m.where(lower, -width, a)
        away = m.where(lower if bound is b else first, 0.0, away)  # bound - peak
        return m.exp(-0.5 * away * (bound + peak)) / (_ROOT_TWO_PI * mass)

    return (
        -0.5 * off * (z + peak) - m.log(std) - HALF_LOG_TWO_PI - m.log(mass),
        (
            lambda: -z / std,
            by_mu,
            by_std,
            lambda: at(a) / std,
            lambda: -at(b) / std,
        ),
    )
