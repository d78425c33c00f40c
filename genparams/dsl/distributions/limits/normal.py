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
    """The nodes and weights of Gauss-Legendre quadrature on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return list(zip(nodes.tolist(), weights.tolist(), strict=True))


_NODES, _MANY_NODES = _gauss(8), _gauss(32)


class _Interval:
    """A standard normal restricted to [a, b], with b = a + width.

    `mass` is divided by exp(-peak^2 / 2), for the peak, the point of [a, b] nearest to 0. It is

        a difference of erf      if 0 is between a and b,
        a difference of erfcx    on one side of 0: erfcx does not underflow,
        by quadrature            if the interval is short, where a difference would cancel.

    Quadrature runs over the distance u from one end, `start`. It is also used for means far from 0.
    """

    def __init__(self, m, a, b, width):
        self.m, self.a, self.b, self.width = m, a, b, width
        upper, self.lower = a > 0.0, b < 0.0
        lower = self.lower
        one_sided = upper | lower
        near = m.where(upper, a, m.where(lower, -b, 0.0))
        far = m.where(upper, b, m.where(lower, -a, 1.0))
        short = width * (near + 1.0) < 1.0
        self.peak_at_low = upper | (short & m.negate(lower))
        self.peak = m.where(self.peak_at_low, a, m.where(lower, b, 0.0))
        self.sign = m.where(lower, -1.0, 1.0)
        self.small = small = short | (near > 8.0)
        self.start = m.where(small, m.where(lower, -b, a), 0.0)
        reach = 38.0 / (near + 1.0)  # the density beyond it is negligible
        self.length = m.where(small, m.where(width < reach, width, reach), 0.0)
        self._moments = None
        self.mass = m.choose(
            short,
            self._by_quadrature,
            lambda: m.choose(
                one_sided,
                lambda: self._by_erfcx(one_sided, near, far),
                lambda: self._by_erf(one_sided | short),
            ),
        )

    def _by_erf(self, elsewhere):
        left, right = self.m.where(elsewhere, -1.0, self.a), self.m.where(elsewhere, 1.0, self.b)
        return 0.5 * (self.m.erf(right / _ROOT_TWO) - self.m.erf(left / _ROOT_TWO))

    def _by_erfcx(self, here, near, far):
        fall = self.m.exp(-0.5 * self.m.where(here, self.width, 1.0) * (near + far))
        return 0.5 * (self.m.erfcx(near / _ROOT_TWO) - self.m.erfcx(far / _ROOT_TWO) * fall)

    def _by_quadrature(self):
        return 0.5 * self.length / _ROOT_TWO_PI * sum(e for _, e in self._steps(_NODES))

    def _steps(self, nodes):
        """Distances u from the start, and weights times the density there over the one at start."""
        half = 0.5 * self.length
        us = [(half * (1.0 + t), w) for t, w in nodes]
        return [(u, w * self.m.exp(-(self.start + 0.5 * u) * u)) for u, w in us]

    def mean(self, f):
        """The mean of f(u), for u the distance from the start, where `small` holds."""
        if self._moments is None:
            self._moments = self._steps(_MANY_NODES)
        return sum(e * f(u) for u, e in self._moments) / sum(e for _, e in self._moments)

    def density_at_low(self):
        """The density at a, given that the normal is in the interval."""
        away = self.m.where(self.lower, -self.width, self.a)
        return self._density(self.a, self.m.where(self.peak_at_low, 0.0, away))

    def density_at_high(self):
        """The density at b, given that the normal is in the interval."""
        away = self.m.where(self.peak_at_low, self.width, self.b)
        return self._density(self.b, self.m.where(self.lower, 0.0, away))

    def _density(self, limit, from_peak):
        return self.m.exp(-0.5 * from_peak * (limit + self.peak)) / (_ROOT_TWO_PI * self.mass)


def _clipped(m, z):
    return m.where(z > _DISTANT, _DISTANT, m.where(z < -_DISTANT, -_DISTANT, z))


def normal_between(m, x, mu, std, low, high):
    """normal(mu, std) given that it is between `low` and `high`, either of which may be infinite.

    With z, a, b = (x - mu) / std, (low - mu) / std, (high - mu) / std,

    log p(x) = -z^2 / 2 - log std - log(2 pi) / 2 - log(Phi(b) - Phi(a))

    It is the distribution of `truncated(normal(mu, std), low, high)`.
    """
    has_low, has_high = low > -math.inf, high < math.inf
    start, end = m.where(has_low, low, x), m.where(has_high, high, x)
    z = _clipped(m, (x - mu) / std)
    a = _clipped(m, m.where(has_low, (start - mu) / std, -_DISTANT))
    b = _clipped(m, m.where(has_high, (end - mu) / std, _DISTANT))
    width = m.where(has_low & has_high, (end - start) / std, _DISTANT)
    inside = _Interval(m, a, b, width)
    from_end = m.where(inside.lower, x - end, x - mu)
    from_peak = m.where(inside.peak_at_low, x - start, from_end) / std
    return (
        -0.5 * from_peak * (z + inside.peak) - m.log(std) - HALF_LOG_TWO_PI - m.log(inside.mass),
        (
            lambda: -z / std,
            lambda: _less_mean(inside, z, from_peak) / std,
            lambda: _square_less_mean(inside, z, from_peak) / std,
            lambda: inside.density_at_low() / std,
            lambda: -inside.density_at_high() / std,
        ),
    )


def _less_mean(inside, z, from_peak):
    """z - E[z]."""
    step = inside.m.where(inside.small, inside.sign * from_peak, 0.0)
    return inside.m.choose(
        inside.small,
        lambda: inside.sign * inside.mean(lambda u: step - u),
        lambda: z + inside.density_at_high() - inside.density_at_low(),
    )


def _square_less_mean(inside, z, from_peak):
    """z^2 - E[z^2]."""
    step = inside.m.where(inside.small, inside.sign * from_peak, 0.0)

    def by_densities():
        at_low, at_high = inside.density_at_low(), inside.density_at_high()
        return z * z + at_high * inside.b - at_low * inside.a - 1.0

    return inside.m.choose(
        inside.small,
        lambda: inside.mean(lambda u: (step - u) * (2.0 * inside.start + step + u)),
        by_densities,
    )
