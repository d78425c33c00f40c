"""Pictures of fits and of training by matplotlib: each takes `ax=` and returns the axes."""

from genparams.plotting.curve import plot_curve
from genparams.plotting.fitted import plot_fit
from genparams.plotting.history import plot_history
from genparams.plotting.mixture import plot_mixture
from genparams.plotting.profile import plot_profile
from genparams.plotting.residuals import plot_qq, plot_residuals

__all__ = [
    "plot_curve",
    "plot_fit",
    "plot_history",
    "plot_mixture",
    "plot_profile",
    "plot_qq",
    "plot_residuals",
]
