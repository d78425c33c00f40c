"""The result of a fit: estimates, their errors, and the tests and pictures that they allow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.learning.checks import check_count, one_of
from genparams.learning.fitting import saved
from genparams.learning.fitting.bootstrap import Bootstrap, bootstrapped
from genparams.learning.fitting.by_address import ByAddress
from genparams.learning.fitting.derive import Derived, derived
from genparams.learning.fitting.described import Described
from genparams.learning.fitting.errors import Errors, errors_of
from genparams.learning.fitting.facts import facts_of
from genparams.learning.fitting.hypotheses import TestResult, likelihood_ratio, wald
from genparams.learning.fitting.intervals import Intervals, check_level, normal_quantile, on_scale
from genparams.learning.fitting.kinds import check_kind
from genparams.learning.fitting.maximum import Maximum
from genparams.learning.fitting.model import Model, model_of, needed, unchanged
from genparams.learning.fitting.prediction import Predictions
from genparams.learning.fitting.predictions import fitted, predicted
from genparams.learning.fitting.profile import Profile, profile_intervals, profiled
from genparams.learning.fitting.residuals import residuals_of
from genparams.learning.views import frame, view
from genparams.mistakes import answering, closed, explained
from genparams.trace.trace import Trace
from genparams.types import Array, Constraint, real


@explained
@closed()
@answering(
    params="write estimates",
    coef="write estimates",
    bse="write std_errors",
    stderr="write std_errors",
    llf="write log_likelihood",
    loglik="write log_likelihood",
    logLik="write log_likelihood",
    std_error="write std_errors",
    standard_errors="write std_errors",
    se="write std_errors",
    nobs="write num_obs",
    df_resid="write df_residual",
    cov_params="write cov()",
    vcov="write cov()",
    pvalues="write summary(), or wald_test({entry: 0.0})",
    fittedvalues="write fitted()",
    resid="write residuals()",
    x="write estimates",
    success="write converged",
    confint="write conf_int()",
)
@dataclass(frozen=True, eq=False, repr=False)
class FitResult(Described):
    """The maximum of a likelihood, and what it says about the parameters.

    Numbers are on the natural scale of the parameters. Standard errors are computed in
    unconstrained coordinates and carried over by the delta method; intervals are built in these
    coordinates, so that they respect the constraints. A number that cannot be given is NaN, and
    `missing` has the reason.

    A result does not follow the parameters: it is at their values at the time of the fit.
    """

    kind: str
    """The kind of standard error that is shown: observed, expected, opg or sandwich."""
    model: Model | None
    """What other numbers are computed from; None for a result that was loaded from a file."""
    _errors: dict[str, Errors] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        maximum: Maximum,
        labels: Mapping[str, Sequence[Any]] | None = None,
        kind: str = "observed",
    ) -> "FitResult":
        """The result of a search for a maximum.

        Args:
            labels: The names of the entries of array parameters, as `{"beta": ["dose", "age"]}`.
            kind: The kind of standard error to show.

        Raises:
            UnknownParameter, ShapeError: labels do not fit the parameters.
            InvalidValue: there is no such kind.
        """
        model = model_of(maximum, labels or {})
        return cls(facts_of(model), check_kind(kind), model)

    # --- Errors

    @property
    def std_errors(self) -> dict[str, Any]:
        """The standard error of each parameter by name, in the shape of the estimates."""
        return self.shaped(self.errors().std_errors)

    @property
    def missing(self) -> dict[str, str]:
        """Why a number is missing: a standard error, by entry; `"aic"`, `"aicc"` or `"bic"`."""
        entries = self.entries
        found = {entries[i]: reason for i, reason in sorted(self.errors().missing.items())}
        return {**found, **self.missing_criteria}

    def errors(self, kind: str | None = None) -> Errors:
        """The covariance of the entries, computed once for each kind.

        Raises:
            InvalidValue: there is no such kind.
            NoModel: the result was loaded from a file that does not have the kind.
        """
        kind = check_kind(self.kind if kind is None else kind)
        if kind not in self._errors:
            known = " and ".join(self._errors)
            what = f"standard errors of kind {kind!r}"
            if kind == "observed":  # from the Hessian of the fit
                model = needed(self.model, what, known)
            else:
                needed(self.model, what, known)
                model = unchanged(self, what)
            self._errors[kind] = errors_of(model.places, kind)
        return self._errors[kind]

    @explained
    def with_errors(self, kind: str) -> "FitResult":
        """The same result, showing standard errors of another kind."""
        return replace(self, kind=check_kind(kind))

    @explained
    def cov(self, kind: str | None = None) -> Array:
        """The covariance of the estimates on the natural scale, in the order of `entries`."""
        return self.errors(kind).cov.copy()

    @explained
    def corr(self, kind: str | None = None) -> Array:
        """The correlations of the estimates, in the order of `entries`."""
        found = self.errors(kind)
        with np.errstate(all="ignore"):
            return found.cov / np.outer(found.std_errors, found.std_errors)

    @property
    def condition(self) -> float:
        """The square root of the largest over the smallest eigenvalue of the information, in
        unconstrained coordinates and in their units: for a linear regression the condition number
        of its design matrix. Infinite if the information has no inverse.
        """
        return self.errors().condition

    @property
    def notes(self) -> tuple[str, ...]:
        """How the standard errors were computed, where there is more than one way."""
        note = self.errors().note
        return (note,) if note else ()

    @explained
    def conf_int(self, level: float = 0.95, kind: str = "wald") -> Intervals:
        """An interval for each entry.

        Args:
            level: The probability with which such an interval covers the true value.
            kind: "wald", by the standard errors, or "profile", by the likelihood itself.

        Raises:
            InvalidValue: the level is not between 0 and 1, or there is no such kind.
        """
        z = normal_quantile(level)
        if one_of("interval", kind, ("wald", "profile")) == "profile":
            return profile_intervals(self, check_level(level))
        found, entries = self.errors(), self.entries
        low, high = on_scale(self.facts.scales, self.facts.at, found.spread, z)
        missing = {entries[i]: reason for i, reason in sorted(found.missing.items())}
        return Intervals(entries, low, high, level, kind, missing)

    # --- More of the likelihood

    @explained
    def profile(self, entry: str) -> Profile:
        """The largest log likelihood at each value of an entry, over all other parameters.

        Raises:
            UnknownParameter: there is no such entry.
            InvalidValue: the entry is frozen or constant.
        """
        return profiled(self, entry)

    @explained
    def lr_test(self, other: "FitResult") -> TestResult:
        """Twice the difference of the log likelihoods, against chi-square: the smaller of the two
        models is the null hypothesis.

        Raises:
            NotComparable: the data differ, the models have as many parameters, the larger one has
                the smaller likelihood, one did not converge, or one has priors.
        """
        return likelihood_ratio(self, other)

    @explained
    def wald_test(self, hypothesis: Any, value: Any = None) -> TestResult:
        """A test of values of the parameters by the covariance of the estimates.

        Args:
            hypothesis: `{entry: value}`; a name, all of whose entries are tested against `value`; a
                matrix whose rows multiply `entries`; or a function of a mapping like `estimates`.
            value: What the name, the rows or the function equal under the hypothesis; 0 if None.

        Raises:
            InvalidValue: the hypothesis has another form, or a covariance is missing or singular.
            UnknownParameter: there is no such name.
        """
        return wald(self, hypothesis, value)

    @explained
    def derive(
        self, function: Callable[[Mapping[str, Any]], Any], constraint: Constraint = real
    ) -> Derived:
        """A function of the parameters with its standard error, by the delta method.

        Args:
            function: From a mapping like `estimates` to a number, an array, or a dictionary of
                them, in operations that can be differentiated.
            constraint: `positive` for a quantity such as a ratio, `unit_interval` for a
                probability: intervals are built in its logarithm or logit, and stay inside.

        Raises:
            InvalidValue: the function returns something else, a parameter does not exist, or a
                value is not inside the constraint.
        """
        return derived(self, function, constraint)

    @explained
    def bootstrap(self, n: int, rng: Rng = None) -> Bootstrap:
        """Simulate data at the estimates and fit again, n times; no parameter moves."""
        return bootstrapped(self, n, rng)

    # --- Data and predictions

    @explained
    def simulate(self, n: int, rng: Rng = None) -> list[Trace]:
        """n traces at the estimates, with the arguments of the data; of several traces of data, n
        of each in turn.
        """
        model, generator = unchanged(self, "simulate"), seeded(rng)
        return [t for _ in range(check_count("n", n, 0)) for t in model.simulate(generator)]

    @explained
    def predict(
        self,
        args: tuple[Any, ...] | None = None,
        constraints: Mapping[Any, Any] | None = None,
        draws: int = 0,
        rng: Rng = None,
    ) -> Predictions:
        """The mean of each choice at other arguments, with its standard error.

        Args:
            args: The arguments, as a tuple; None for the arguments and choices of the data.
            constraints: Values of choices on which others depend.
            draws: How often new data are drawn, each at parameters drawn from the normal
                distribution of the estimates.

        Raises:
            InvalidValue: a choice depends on another one that is not given, or its distribution has
                no mean.
        """
        return predicted(self, args, constraints, draws, rng)

    @explained
    def fitted(self) -> ByAddress[Array]:
        """The mean of each choice of the data, by address, given the choices before it."""
        return fitted(self)

    @explained
    def residuals(self, kind: str = "response", rng: Rng = 0) -> ByAddress[Array]:
        """The residual of each choice of the data, by address.

        Args:
            kind: "response", value less mean; "pearson", over the standard deviation; "quantile",
                the standard normal quantile of the probability below the value.
            rng: For the quantile residuals of discrete choices, which are randomised.

        Raises:
            InvalidValue: there is no such kind, or a distribution lacks what it needs.
        """
        return residuals_of(self, kind, rng)

    # --- Tables and pictures

    @explained
    def summary(self, level: float = 0.95) -> Any:
        """The table of the fit: print it, or show it in a notebook."""
        return view("reporting", "summary")(self, level)

    @explained
    def to_frame(self, level: float = 0.95) -> Any:
        """A data frame of pandas with a row for each entry."""
        ends, std_errors = self.conf_int(level), self.errors().std_errors
        columns = {"estimate": self.facts.values, "std_error": std_errors}
        return frame({**columns, "low": ends.low, "high": ends.high}, self.entries)

    @explained
    def plot_profile(self, entry: str, ax: Any = None, **options: Any) -> Any:
        """Draw the profile of an entry; returns the axes."""
        return view("plotting", "plot_profile")(self, entry, ax=ax, **options)

    @explained
    def plot_fit(self, ax: Any = None, **options: Any) -> Any:
        """Draw what was observed against what was fitted; returns the axes."""
        return view("plotting", "plot_fit")(self, ax=ax, **options)

    @explained
    def plot_residuals(self, ax: Any = None, **options: Any) -> Any:
        """Draw the residuals against the fitted means; returns the axes."""
        return view("plotting", "plot_residuals")(self, ax=ax, **options)

    @explained
    def plot_qq(self, ax: Any = None, **options: Any) -> Any:
        """Draw the quantile residuals against normal quantiles; returns the axes."""
        return view("plotting", "plot_qq")(self, ax=ax, **options)

    @explained
    def plot_curve(self, x: Any, args: Any = None, ax: Any = None, **options: Any) -> Any:
        """Draw the mean of a choice over x with its band; returns the axes."""
        return view("plotting", "plot_curve")(self, x, args, ax=ax, **options)

    def __str__(self) -> str:
        return str(self.summary())

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def __repr__(self) -> str:
        state = "" if self.converged else ", not converged"
        return (
            f"FitResult({self.function}, log_likelihood={self.log_likelihood:.6g}, "
            f"{self.num_params} parameters, {self.num_obs} observations{state})"
        )

    # --- Saving

    def to_dict(self) -> dict[str, Any]:
        """The numbers as plain types of JSON; NaN and infinities are texts with the numbers."""
        return saved.to_dict(self.facts, self.kind, {**self._errors, self.kind: self.errors()})

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "FitResult":
        """The result that `to_dict` wrote, without its model.

        Raises:
            InvalidValue: it is no such dictionary.
        """
        facts, kind, errors = saved.from_dict(record)
        return cls(facts, kind, None, errors)

    def to_json(self) -> str:
        """`to_dict` as a text of JSON."""
        return saved.to_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "FitResult":
        """The result that `to_json` wrote, without its model.

        Raises:
            InvalidValue: it is no such text.
        """
        return cls.from_dict(saved.from_json(text))

    def __reduce__(self) -> Any:
        """Pickled with its model if the functions are pickled by name, else without."""
        self.errors()  # computed while there is a model
        parts = (self.facts, self.kind, saved.pickled(self.model), dict(self._errors))
        return saved.unpickled, (FitResult, *parts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FitResult):
            return NotImplemented
        return self._shown() == other._shown()

    def _shown(self) -> dict[str, Any]:
        """The numbers with the errors of the kind that is shown."""
        return saved.to_dict(self.facts, self.kind, {self.kind: self.errors()})

    __hash__ = None  # type: ignore[assignment]
