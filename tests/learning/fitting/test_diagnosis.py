"""What a fit says where there is no maximum, or where the data do not determine every parameter."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris

from genparams import (
    bernoulli,
    categorical,
    datasets,
    fit,
    gen,
    init_param,
    laplace,
    mixture,
    mvnormal,
    neg_binomial,
    normal,
    param,
    poisson,
    positive,
    simplex,
    student_t,
    uniform,
    unit_interval,
)
from genparams.errors import (
    AtBoundary,
    Collapse,
    FitWarning,
    FlatDirection,
    NotConverged,
    Separation,
)

Y = np.array([3.1, 4.7, 2.2, 5.9, 4.4, 3.8])
X = np.arange(6.0)


def fitted(function, args, constraints, **options):
    """A fit, and the warnings that it gave."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = fit(function, args, constraints, **options)
    found = [w.message for w in said if issubclass(w.category, FitWarning)]
    assert [f"{type(w).__name__}: {w}" for w in found] == list(result.warnings)
    return result, found


def said(found, kind):
    """The text of the one warning of a kind."""
    (text,) = [str(w) for w in found if type(w) is kind]
    return text


def test_degrees_of_freedom_that_grow_are_not_at_a_bound():
    @gen
    def tails(n):
        return student_t(param("nu", 5.0, positive), 0.0, 1.0, size=n) @ "x"

    result, found = fitted(tails, (20,), {"x": np.linspace(-1.5, 1.5, 20)})
    assert "without end as nu grows" in said(found, Separation)
    assert result.status == {"nu": "without maximum"}
    assert result.bootstrap(3, rng=0).failed > 0


def test_a_variance_at_0_is_at_its_bound_and_the_others_have_their_errors():
    table = datasets.eight_schools()

    @gen
    def schools(se):
        mu, tau = param("mu", 0.0), param("tau", 5.0, positive)
        return normal(mu, np.sqrt(se**2 + tau**2)) @ "effect"

    result, found = fitted(schools, (table["se"],), {"effect": table["y"]})
    assert "tau goes to the bound 0 of positive" in said(found, AtBoundary)
    assert not result.converged
    assert result.status == {"mu": "ok", "tau": "at its bound"}
    assert result.estimates["tau"] == pytest.approx(0.0, abs=1e-5)
    assert result.estimates["mu"] == pytest.approx(7.68561672, rel=1e-8)
    assert result.std_errors["mu"] == pytest.approx(4.07191916, rel=1e-7)
    assert result.log_likelihood == pytest.approx(-29.6742437, abs=1e-6)
    assert np.isnan(result.std_errors["tau"])
    assert "bound" in result.missing["tau"]


def test_separated_iris_has_no_maximum():
    iris: Any = load_iris()
    setosa = (iris.target == 0).astype(float)
    design = np.column_stack([np.ones(150), iris.data[:, 2:]])

    @gen
    def species(design):
        return bernoulli(logits=design @ param("w", np.zeros(3))) @ "setosa"

    result, found = fitted(species, (design,), {"setosa": setosa})
    assert "rises without end" in said(found, Separation)
    assert "w[" in said(found, Separation)
    assert not result.converged
    assert result.status == {"w": "without maximum"}
    assert np.all(np.isnan(result.std_errors["w"]))


def test_a_predictor_that_separates_alone_is_named_and_the_others_keep_their_errors():
    rng = np.random.default_rng(0)
    flag = (np.arange(40) < 8).astype(float)
    other = rng.normal(size=40)
    y = np.where(flag == 1.0, 1.0, (rng.random(40) < 0.5).astype(float))

    @gen
    def partly(flag, other):
        a, b, c = param("a", 0.0), param("b", 0.0), param("c", 0.0)
        return bernoulli(logits=a + b * flag + c * other) @ "y"

    @gen
    def rest(other):
        return bernoulli(logits=param("a", 0.0) + param("c", 0.0) * other) @ "y"

    result, found = fitted(partly, (flag, other), {"y": y})
    assert "as b grows" in said(found, Separation)
    assert result.status == {"a": "ok", "b": "without maximum", "c": "ok"}
    without = fit(rest, (other[8:],), {"y": y[8:]})
    for name in ("a", "c"):
        assert result.estimates[name] == pytest.approx(without.estimates[name], rel=1e-6)
        assert result.std_errors[name] == pytest.approx(without.std_errors[name], rel=1e-6)


OUTCOMES = {
    "one group is all 1": (np.repeat([0.0, 1.0], 5), [1, 1, 1, 1, 1, 0, 1, 0, 1, 0], {"a", "b"}),
    "far from 0": (np.arange(1990.0, 2000.0), [1] * 10, {"a", "b"}),
    "ties": (5.0 + np.repeat([-1.0, 0, 1], 2), [0, 0, 0, 1, 1, 1], {"a", "b"}),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_separation_is_seen_however_the_predictors_are_coded(case):
    x, y, suspects = OUTCOMES[case]

    @gen
    def logit(x):
        return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * x) @ "y"

    for _ in range(3):  # from where the last search stopped
        result, found = fitted(logit, (x,), {"y": np.array(y, float)})
        assert {type(w) for w in found} == {Separation}
        assert not result.converged
        assert {n for n, s in result.status.items() if s == "without maximum"} == suspects
        assert np.isnan(result.std_errors["a"])


def test_counts_of_0_in_the_base_group_have_no_maximum():
    x = np.repeat([0.0, 1.0], 5)

    @gen
    def counts(x):
        return poisson(np.exp(param("a", 0.0) + param("b", 0.0) * x)) @ "y"

    result, found = fitted(counts, (x,), {"y": np.array([0, 0, 0, 0, 0, 2, 3, 1, 4, 2])})
    assert "a and b grow" in said(found, Separation)
    assert not result.converged


def test_counts_without_overdispersion_are_at_the_bound_of_poisson():
    y = np.array([3, 2, 3, 4, 2, 3, 3, 2, 4, 3])

    @gen
    def counts(n):
        mu, alpha = param("mu", 1.0, positive), param("alpha", 1.0, positive)
        return neg_binomial(1.0 / alpha, 1.0 / (1.0 + alpha * mu), size=n) @ "y"

    result, found = fitted(counts, (10,), {"y": y})
    assert not result.converged  # 1 - probs has hardly a digit left near the bound
    assert {type(w) for w in found} <= {AtBoundary, NotConverged}
    if result.status["mu"] == "ok":
        assert result.std_errors["mu"] == pytest.approx(np.sqrt(np.mean(y) / 10), rel=1e-4)


def test_counts_without_overdispersion_are_at_the_bound_where_digits_are_kept():
    y = np.array([3, 2, 3, 4, 2, 3, 3, 2, 4, 3])

    @gen
    def counts(n):
        mu, size = param("mu", 1.0, positive), param("size", 1.0, positive)
        return neg_binomial(size, size / (size + mu), size=n) @ "y"

    result, _ = fitted(counts, (10,), {"y": y})
    assert not result.converged
    assert result.status["size"] != "ok"
    if result.status["mu"] == "ok":
        assert result.std_errors["mu"] == pytest.approx(np.sqrt(np.mean(y) / 10), rel=1e-4)


def test_a_kink_has_no_standard_errors():
    rng = np.random.default_rng(0)
    design = rng.normal(size=(40, 3))
    y = design[:, 0] + rng.normal(size=40)

    @gen
    def regression(X):
        return normal(X @ param("beta", np.zeros(3)), 1.0) @ "y"

    priors = {"beta": laplace(0.0, 0.05)}
    result, found = fitted(regression, (design,), {"y": y}, priors=priors)
    assert [type(w) for w in found] == [NotConverged]
    assert result.status == {"beta": "not converged"}
    assert np.all(np.isnan(result.std_errors["beta"]))


FLAT_HERE = {
    "a step": lambda m, x: np.where(x > m, 3.0, 1.0),
    "a clip": lambda m, x: np.clip(m, 0.0, 5.0) + 0.0 * x,
    "a branch": lambda m, x: (m if m < 5.0 else 0.0 * m) + 0.0 * x,
}


@pytest.mark.parametrize("case", FLAT_HERE)
def test_a_place_without_slope_is_no_maximum(case):
    @gen
    def model(x):
        return normal(FLAT_HERE[case](param("m", 7.7), x), 1.0) @ "y"

    x = np.arange(10.0)
    result, found = fitted(model, (x,), {"y": np.where(x > 4.0, 3.0, 1.0)})
    assert "changes further away" in said(found, NotConverged)
    assert not result.converged
    assert result.status == {"m": "flat here"}


def test_loadings_that_start_at_0_are_at_a_saddle():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(100, 1)) @ np.array([[1.0, 0.8, 0.6]]) + rng.normal(size=(100, 3))

    @gen
    def factor(n):
        loads, unique = param("loads", np.zeros(3)), param("unique", np.ones(3), positive)
        cov = np.reshape(loads, (3, 1)) * loads + np.diag(unique)
        return mvnormal(param("mu", np.zeros(3)), cov, size=n) @ "y"

    result, found = fitted(factor, (100,), {"y": data})
    assert not any(isinstance(w, FlatDirection) for w in found)
    assert result.converged or "no maximum" in said(found, NotConverged)


def test_a_mixture_that_starts_on_one_point_collapses():
    waiting = datasets.faithful()["waiting"]

    @gen
    def eruptions(n):
        share = param("share", 0.5, unit_interval)
        wide = normal(param("mean", 70.0), param("std", 10.0, positive))
        narrow = normal(param("spike", waiting[3]), param("width", 1e-3, positive))
        return mixture([share, 1.0 - share], [narrow, wide], size=n) @ "waiting"

    result, found = fitted(eruptions, (len(waiting),), {"waiting": waiting})
    assert "still rises as width goes to its limit" in said(found, Collapse)
    assert not result.converged
    assert result.status["width"] == "without bound"
    assert np.isnan(result.std_errors["width"])


def test_a_model_that_fits_the_data_exactly_collapses():
    @gen
    def line(x):
        return normal(param("a", 0.0) + param("b", 0.0) * x, param("sigma", 1.0, positive)) @ "y"

    result, found = fitted(line, (X,), {"y": 2.0 * X + 1.0})
    assert "sigma" in said(found, Collapse)
    assert not result.converged
    assert result.status["sigma"] == "without bound"


@pytest.mark.parametrize("empty", [0, 3])
def test_an_empty_category_is_named(empty):
    @gen
    def votes(n):
        return categorical(param("p", np.full(4, 0.25), simplex), size=n) @ "vote"

    seen = [k for k in range(4) if k != empty]
    result, found = fitted(votes, (9,), {"vote": np.repeat(seen, 3)})
    assert f"where p[{empty}] goes to the bound 0 of simplex" in said(found, AtBoundary)
    assert result.estimates["p"] == pytest.approx(
        np.where(np.arange(4) == empty, 0, 1 / 3), abs=1e-5
    )


def test_a_support_that_moves_with_a_parameter_ends_at_a_datum():
    @gen
    def arrivals(n):
        return uniform(0.0, param("latest", 10.0, positive), size=n) @ "t"

    result, found = fitted(arrivals, (3,), {"t": np.array([1.0, 2.0, 2.5])})
    assert "at the edge of the support" in said(found, AtBoundary)
    assert result.estimates["latest"] == pytest.approx(2.5, rel=1e-9)
    assert result.status == {"latest": "at the edge of a support"}
    assert np.isnan(result.std_errors["latest"])
    assert not result.converged


@pytest.mark.parametrize("start", [(50.0, 90.0), (40.0, 100.0), (60.0, 61.0)])
def test_old_faithful_is_found_from_far_starts(start):
    waiting = datasets.faithful()["waiting"]

    @gen
    def eruptions(n):
        share, means = param("share", 0.5, unit_interval), param("means", np.array(start))
        stds = param("stds", np.array([10.0, 10.0]), positive)
        parts = [normal(means[0], stds[0]), normal(means[1], stds[1])]
        return mixture([share, 1.0 - share], parts, size=n) @ "waiting"

    result, found = fitted(eruptions, (272,), {"waiting": waiting})
    assert found == []
    assert result.log_likelihood == pytest.approx(-1034.00174983, abs=1e-7)


def test_two_estimates_of_exactly_0_are_no_alarm():
    table = datasets.dobson()

    @gen
    def counts(outcome, treatment):
        b = param("b", np.zeros(5))
        effects = b[1] * (outcome == 2) + b[2] * (outcome == 3)
        effects = effects + b[3] * (treatment == 2) + b[4] * (treatment == 3)
        return poisson(np.exp(b[0] + effects)) @ "n"

    columns = table["outcome"], table["treatment"]
    result, found = fitted(counts, columns, {"n": table["count"]})
    assert found == []
    assert result.converged
    assert result.estimates["b"][3:] == pytest.approx([0.0, 0.0], abs=1e-12)
    assert result.std_errors["b"][3:] == pytest.approx([0.2, 0.2], rel=1e-10)


def test_a_parameter_that_no_choice_depends_on_is_flat_and_stays():
    @gen
    def idle(n):
        mean, nothing = param("mean", 0.0), param("nothing", 7.0)
        return normal(mean + 0.0 * nothing, param("sigma", 1.0, positive), size=n) @ "y"

    result, found = fitted(idle, (6,), {"y": Y})
    assert "does not depend on nothing" in said(found, FlatDirection)
    assert result.converged
    assert result.status == {"mean": "ok", "nothing": "flat", "sigma": "ok"}
    assert result.estimates["nothing"] == 7.0
    assert result.std_errors["mean"] == pytest.approx(np.std(Y) / np.sqrt(6), rel=1e-10)


def test_a_parameter_that_is_read_and_not_used_is_flat():
    @gen
    def unused(n):
        param("unused", 1.0)
        return normal(param("mean", 0.0), 1.0, size=n) @ "y"

    result, found = fitted(unused, (6,), {"y": Y})
    assert "does not depend on unused" in said(found, FlatDirection)
    assert result.status == {"unused": "flat", "mean": "ok"}


def test_two_parameters_that_appear_only_as_a_sum_are_named_with_their_combination():
    @gen
    def summed(n):
        mean = param("a", 0.0) + param("b", 0.0)
        return normal(mean, param("sigma", 1.0, positive), size=n) @ "y"

    result, found = fitted(summed, (6,), {"y": Y})
    assert "do not determine a and b apart: moving a by " in said(found, FlatDirection)
    assert result.converged
    assert result.status == {"a": "flat combination", "b": "flat combination", "sigma": "ok"}
    assert result.estimates["a"] + result.estimates["b"] == pytest.approx(np.mean(Y), rel=1e-12)
    assert np.isnan(result.std_errors["a"])
    assert result.std_errors["sigma"] == pytest.approx(np.std(Y) / np.sqrt(12), rel=1e-10)


def test_two_parameters_that_appear_only_as_a_product_are_named():
    @gen
    def product(n):
        mean = param("a", 1.0) * param("b", 2.0)
        return normal(mean, param("sigma", 1.0, positive), size=n) @ "y"

    result, found = fitted(product, (6,), {"y": Y})
    assert "do not determine a and b apart" in said(found, FlatDirection)
    assert result.converged
    assert result.estimates["a"] * result.estimates["b"] == pytest.approx(np.mean(Y), rel=1e-10)


def test_several_flat_directions_are_counted():
    @gen
    def total(n):
        mean = param("a", 0.0) + param("b", 0.0) + param("c", 0.0)
        return normal(mean, 1.0, size=n) @ "y"

    _, found = fitted(total, (len(Y),), {"y": Y})
    assert "a, b and c apart" in said(found, FlatDirection)
    assert "2 directions are free" in said(found, FlatDirection)


def test_fewer_observations_than_parameters_are_told():
    @gen
    def bent(x):
        mean = param("a", 1.0) + param("b", 1.0) * x + param("c", 1.0) * x**2
        return normal(mean, 1.0) @ "y"

    result, found = fitted(bent, (X[1:3],), {"y": Y[1:3]})
    texts = [str(w) for w in found]
    assert "2 numbers of data cannot determine 3 parameters" in texts
    assert result.status == dict.fromkeys("abc", "flat combination")
    assert np.isnan(result.aicc)
    assert "aicc" in result.missing


def test_one_observation_is_counted_in_the_singular():
    @gen
    def one(n):
        return normal(param("a", 1.0) + param("b", 1.0), 1.0, size=n) @ "y"

    _, found = fitted(one, (1,), {"y": Y[:1]})
    assert "1 number of data cannot determine 2 parameters" in [str(w) for w in found]


def test_a_search_that_ends_at_a_saddle_is_no_maximum():
    @gen
    def two(n):
        same = [normal(param("mean", 4.0), 1.0), normal(param("other", 4.0), 1.0)]
        return mixture([0.5, 0.5], same, size=n) @ "y"

    y = np.array([-3.0, -2.9, -3.1, 3.0, 3.1, 2.9])
    init_param(two, "mean", 0.0)
    init_param(two, "other", 0.0)
    result, found = fitted(two, (6,), {"y": y}, max_iterations=0)
    assert "that point is no maximum" in said(found, NotConverged)
    assert result.status == {
        "mean": "Hessian not negative definite",
        "other": "Hessian not negative definite",
    }
    result, found = fitted(two, (6,), {"y": y})
    assert found == []
    assert sorted(result.estimates.values()) == pytest.approx([-3.0, 3.0], abs=1e-6)
