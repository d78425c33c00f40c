"""The profile of an entry beside its Wald approximation."""

from typing import Any

import numpy as np

from genparams.learning.fitting.errors import coordinate
from genparams.learning.fitting.intervals import normal_quantile
from genparams.learning.fitting.profile import REACH, Profile
from genparams.learning.fitting.result import FitResult
from genparams.mistakes import explained
from genparams.numeric import quiet
from genparams.plotting.canvas import (
    DASHED,
    GUIDE,
    LINE,
    axes_for,
    check_axes,
    legend,
    name_axes,
    percent,
)
from genparams.types import Array, Constraint

BETWEEN = 10
"""How many pieces the curve has between two points of the profile."""
ROOM = 0.25
"""The height above the curves, where the legend is, as a part of theirs."""


@explained
def plot_profile(result: FitResult, entry: str, ax: Any = None, level: float = 0.95) -> Any:
    """Draw the profile of an entry as a log likelihood ratio: how much lower the largest log
    likelihood is at each value than at the estimate.

    The interval of a level holds the values above the level line, which is at -z^2 / 2 for the
    normal quantile z. The dashed curve is what `conf_int()` assumes: a parabola in the coordinate
    of the entry, such as the logarithm of a positive parameter. It is left out where the entry has
    no standard error. The farther the curves are apart, the less a standard error says.

    Args:
        entry: As in `result.entries`.
        ax: The axes to draw on; None for a new figure.
        level: Of the interval.

    Returns:
        The axes.

    Raises:
        UnknownParameter: there is no such entry.
        InvalidValue: the entry is frozen or constant, or the level is not between 0 and 1.
        NoProfile: the profile cannot be computed.
        MissingExtra: matplotlib is not installed.
    """
    check_axes("plot_profile", ax)
    z = normal_quantile(level)
    profile = result.profile(entry)
    scale = result.facts.scales[result.place_of(entry)]
    assert scale is not None  # an entry that is constant has no profile
    low, high = profile.conf_int(level)
    values, ratio, computed = _curve(profile, scale, (low, high), z)

    axes = axes_for(ax)
    axes.plot(values, ratio, marker=".", markevery=computed, label="profile", **LINE)
    wald = _wald(result, entry, scale, values)
    if np.all(np.isfinite(wald)):
        axes.plot(values, wald, label="Wald", zorder=3, **DASHED)
    line, bottom = -0.5 * z**2, -0.5 * max(REACH, 1.05 * z) ** 2
    axes.axhline(line, label=f"{percent(level)} interval\n{low:.4g} to {high:.4g}", **GUIDE)
    ends = [end for end in (low, high) if min(values) <= end <= max(values)]
    axes.vlines(ends, bottom, line, **GUIDE)
    axes.set_ylim(bottom, 0.0)
    axes.set_yticks([tick for tick in axes.get_yticks() if tick <= 0.0])
    axes.set_ylim(bottom, -ROOM * bottom)
    name_axes(axes, entry, f"profile log {'posterior' if result.priors else 'likelihood'} ratio")
    legend(axes, "upper center", columns=2)
    return axes


@quiet
def _curve(
    profile: Profile, scale: Constraint, ends: tuple[float, float], z: float
) -> tuple[Array, Array, list[int]]:
    """The values, the log likelihood ratios, and the places of those that were computed.

    Between them the signed root zeta, almost a straight line, is interpolated in the coordinate.
    """
    from scipy.interpolate import PchipInterpolator  # heavy: only when needed

    found = list(zip(profile.values, profile.zeta, strict=True))
    found += [(end, s * z) for s, end in zip((-1.0, 1.0), ends, strict=True) if _on(profile, end)]
    values, roots = np.array(found).T
    at = np.array([coordinate(scale, v) for v in values])
    known = np.flatnonzero(np.isfinite(at))
    known = known[np.unique(at[known], return_index=True)[1]]
    pieces = BETWEEN * np.arange(len(known))
    fine = np.interp(np.arange(pieces[-1] + 1), pieces, at[known])
    natural = np.array([float(scale.natural(float(a))) for a in fine])
    natural[pieces] = values[known]
    zeta = PchipInterpolator(at[known], roots[known])(fine)
    zeta[pieces] = roots[known]
    return natural, -0.5 * zeta**2, pieces.tolist()


def _on(profile: Profile, end: float) -> bool:
    """Whether the curve passes an end of an interval: it does not where the interval is open."""
    if profile.values[0] <= end <= profile.values[-1]:
        return True
    return bool(abs(profile.zeta[0 if end < profile.estimate else -1]) > REACH)


@quiet
def _wald(result: FitResult, entry: str, scale: Constraint, values: Array) -> Array:
    """-(s(v) - s(estimate))^2 / (2 error^2) in the coordinate s; NaN without an error."""
    row = result.place_of(entry)
    at = np.array([coordinate(scale, v) for v in values])
    return -0.5 * ((at - result.facts.at[row]) / result.errors().spread[row]) ** 2
