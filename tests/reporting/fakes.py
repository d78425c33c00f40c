"""Results of fits and tests as plain values."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.types import Constraint, real


@dataclass(frozen=True)
class FakeFit:
    """O-ring distress by temperature: the logistic regression of Dalal and others, 1989."""

    function: str = "oring"
    method: str = "newton"
    kind: str = "observed"
    estimates: dict[str, Any] = field(
        default_factory=lambda: {"intercept": 15.042902, "slope": -0.232163}
    )
    std_errors: dict[str, Any] = field(
        default_factory=lambda: {"intercept": 7.378640, "slope": 0.108237}
    )
    entries: tuple[str, ...] = ("intercept", "slope")
    changed_constraints: dict[str, Constraint] = field(default_factory=dict)
    changed_status: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    priors: tuple[str, ...] = ()
    log_likelihood: float = -10.157596
    log_posterior: float = -11.5
    aic: float = 24.315192
    aicc: float = 24.915192
    bic: float = 26.586180
    num_params: int = 2
    num_obs: int = 23
    data_id: str = "oring"
    df_residual: int = 21
    converged: bool = True
    message: str = "the gradient is 0"
    iterations: int = 6
    evaluations: int = 7
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def constraints(self) -> dict[str, Constraint]:
        return dict.fromkeys(self.estimates, real) | self.changed_constraints

    @property
    def status(self) -> dict[str, str]:
        return dict.fromkeys(self.estimates, "ok") | self.changed_status

    def conf_int(self, level: float) -> Any:
        """Wald intervals, two ends for each entry; not those of the coordinates."""
        wide = {0.95: 1.959964, 0.5: 0.674490}[level]
        center = np.concatenate([np.ravel(v) for v in self.estimates.values()])
        half = wide * np.concatenate([np.ravel(v) for v in self.std_errors.values()])
        return np.stack([center - half, center + half], axis=1)


def one(estimate: float, std_error: float, **changes: Any) -> FakeFit:
    """A fit of one parameter."""
    return FakeFit(
        estimates={"theta": estimate},
        std_errors={"theta": std_error},
        entries=("theta",),
        **changes,
    )


@dataclass(frozen=True)
class FakeTest:
    """A likelihood-ratio test."""

    __test__ = False
    statistic: float = 7.952
    df: int = 1
    p_value: float = 0.0048
    message: str = ""
