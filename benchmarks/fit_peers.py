# pyright: reportMissingImports=false
"""The fits of `fit.py` in statsmodels, scikit-learn, lmfit and scipy; whichever is installed.

A function imports its package when it is called, and gives a function that fits once and returns
the log likelihood, or None for least squares, which has none.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from genparams import datasets

Fit = Callable[[], float | None]


def logit(x: np.ndarray, y: np.ndarray) -> Fit:
    """Newton's method of statsmodels, with its standard errors."""
    import statsmodels.api as sm

    def once() -> float:
        found = sm.Logit(y, x).fit(disp=0)
        _ = found.bse
        return found.llf

    return once


def sklearn_logistic(x: np.ndarray, y: np.ndarray, tol: float) -> Fit:
    """L-BFGS of scikit-learn, which gives no standard errors."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=tol, max_iter=1000)

    def once() -> float:
        w = model.fit(x, y).coef_[0]
        return float(y @ (x @ w) - np.logaddexp(0.0, x @ w).sum())

    return once


def sklearn_mixture(points: np.ndarray, start: dict[str, Any], tol: float) -> Fit:
    """The EM algorithm of scikit-learn, which gives no standard errors."""
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(
        2,
        tol=tol,
        reg_covar=0.0,
        max_iter=1000,
        weights_init=start["weights"],
        means_init=start["means"][:, None],
        precisions_init=start["stds"][:, None, None] ** -2.0,
    )
    column = points[:, None]
    return lambda: float(model.fit(column).score(column) * len(column))


def likelihood_model(data: datasets.NISTSet) -> Fit:
    """statsmodels' `GenericLikelihoodModel`, by BFGS with numerical derivatives."""
    from statsmodels.base.model import GenericLikelihoodModel

    class Curve(GenericLikelihoodModel):
        def loglike(self, params: np.ndarray) -> float:
            z = (self.endog - data.model(data.x, params[:-1])) / np.exp(params[-1])
            return float(-0.5 * z @ z - len(z) * (params[-1] + 0.5 * np.log(2.0 * np.pi)))

    start = np.append(data.starts[1], 0.0)

    def once() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Curve(data.y, data.x).fit(start, method="bfgs", disp=0, maxiter=1000)
            _ = found.bse
        return found.llf

    return once


def lmfit_curve(data: datasets.NISTSet) -> Fit:
    """Least squares of lmfit, with standard errors."""
    import lmfit

    params = lmfit.Parameters()
    for i, b in enumerate(data.starts[1]):
        params.add(f"b{i}", value=b)

    def residual(p: Any) -> np.ndarray:
        return data.y - data.model(data.x, np.array([*p.valuesdict().values()]))

    def once() -> None:
        lmfit.minimize(residual, params)

    return once


def curve_fit(data: datasets.NISTSet) -> Fit:
    """Least squares of scipy, with the covariance."""
    from scipy.optimize import curve_fit

    def once() -> None:
        curve_fit(lambda x, *b: data.model(x, np.array(b)), data.x, data.y, data.starts[1])

    return once
