"""Every argument of every distribution, with what it may not be: refused, or right.

The table of distributions is walked over, so that a new row is tried by itself.
"""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from test_table import ROWS, Row

from genparams import (
    affine,
    bernoulli,
    binomial,
    categorical,
    censored,
    exponential,
    gamma,
    laplace,
    mixture,
    mvnormal,
    normal,
    poisson,
    positive,
    product,
    transformed,
    truncated,
    uniform,
    zero_inflated,
)
from genparams.errors import DistributionError, InvalidValue

LABELS = ["a", "b", "c"]

# name: how to make the call, its arguments, and a value.
COMPOSED: dict[str, tuple[Any, list[Any], Any]] = {
    "truncated laplace": (
        lambda loc, scale, low, high: truncated(laplace(loc, scale), low, high),
        [0.3, 1.2, -1.0, 2.0],
        0.5,
    ),
    "truncated gamma": (
        lambda shape, scale, low, high: truncated(gamma(shape, scale=scale), low, high),
        [2.0, 1.2, 0.5, 2.0],
        0.75,
    ),
    "truncated poisson": (
        lambda rate, low, high: truncated(poisson(rate), low, high),
        [2.0, 1.0, 5.0],
        2,
    ),
    "truncated categorical": (
        lambda logits, low, high: truncated(categorical(logits=logits), low, high),
        [np.array([0.2, 0.5, 1.0]), 0.0, 1.0],
        1,
    ),
    "censored normal": (
        lambda mu, std, low, high: censored(normal(mu, std), low, high),
        [0.3, 1.2, -1.0, 2.0],
        -1.0,
    ),
    "censored exponential": (
        lambda rate, high: censored(exponential(rate), high=high),
        [0.7, 2.0],
        2.0,
    ),
    "zero_inflated poisson": (
        lambda prob_zero, rate: zero_inflated(prob_zero, poisson(rate)),
        [0.3, 2.0],
        0,
    ),
    "zero_inflated bernoulli": (
        lambda prob_zero, logits: zero_inflated(prob_zero, bernoulli(logits=logits)),
        [0.3, 2.0],
        False,
    ),
    "mixture of two": (
        lambda w, mu, loc: mixture(w, [normal(mu, 1.0), laplace(loc, 1.0)]),
        [np.array([0.4, 0.6]), 0.3, 1.0],
        0.5,
    ),
    "mixture of many": (
        lambda w, mu, std: mixture(w, normal(mu, std)),
        [np.array([0.4, 0.6]), np.array([0.0, 1.0]), np.array([1.0, 2.0])],
        0.5,
    ),
    "mixture of products": (
        lambda w, mu, rate: mixture(
            w,
            [product([normal(mu, 1.0), poisson(rate)]), product([normal(0.0, 1.0), poisson(2.0)])],
        ),
        [np.array([0.4, 0.6]), 0.3, 1.0],
        (0.5, 2),
    ),
    "product": (
        lambda mu, rate: product([normal(mu, 1.0), poisson(rate)]),
        [0.3, 2.0],
        (0.5, 2),
    ),
    "transformed": (
        lambda mu, std: transformed(normal(mu, std), positive),
        [0.3, 1.2],
        0.5,
    ),
    "affine": (
        lambda mu, loc, scale: transformed(normal(mu, 1.0), affine(loc, scale)),
        [0.3, 0.1, 1.2],
        0.5,
    ),
    "affine uniform": (
        lambda low, loc: transformed(uniform(low, 5.0), affine(loc, 1.0)),
        [-3.0, 0.1],
        0.5,
    ),
    "categorical with labels": (
        lambda probs: categorical(probs, labels=LABELS),
        [np.array([0.2, 0.3, 0.5])],
        "b",
    ),
    "categorical with labels by logits": (
        lambda logits: categorical(logits=logits, labels=LABELS),
        [np.array([0.2, 0.3, 0.5])],
        "b",
    ),
}


def of_row(row: Row) -> tuple[Any, list[Any], Any]:
    args = row.settings(3)
    x = row.values(3, args)
    return row.call, [np.asarray(a) if np.ndim(a) else float(a) for a in args], x


ALL = {row.name: of_row(row) for row in ROWS} | COMPOSED
BAD = {
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "huge": 1e300,
    "-huge": -1e300,
    "tiny": 5e-324,
    "below": -1e-9,
    "fraction": 0.5,
    "zero": 0.0,
    "masked": np.ma.masked,
}


def spoiled(a: Any, bad: Any) -> Any:
    """An argument with one entry replaced."""
    if bad is np.ma.masked:
        return np.ma.masked_array(np.asarray(a), mask=np.asarray(a) == np.ravel(a)[-1])
    if not np.ndim(a):
        return bad
    a = np.array(a, dtype=float)
    a.flat[-1] = bad
    return a


def stacked(a: Any, bad: Any, count: int = 3) -> Any:
    """A batch of an argument, of which the entry 1 is spoiled."""
    other = spoiled(a, bad)
    batch = [a, np.ma.getdata(other), *[a] * (count - 2)]
    if bad is np.ma.masked:
        mask = np.zeros((count, *np.shape(a)), dtype=bool)
        mask[1] = np.ma.getmaskarray(other)
        return np.ma.masked_array(np.stack(batch), mask)
    return np.stack(batch)


def repeated(x: Any, count: int = 3) -> Any:
    return tuple(np.stack([v] * count) for v in x) if type(x) is tuple else np.stack([x] * count)


EVERY_ARGUMENT = [
    pytest.param(name, i, bad, id=f"{name}-{i}-{label}")
    for name, (_, args, _) in ALL.items()
    for i in range(len(args))
    for label, bad in BAD.items()
]


def asked(use: Any) -> Any:
    """What is found, or the refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return use()
    except InvalidValue as error:
        return error


@pytest.mark.parametrize(("name", "i", "bad"), EVERY_ARGUMENT)
def test_an_argument_that_is_not_in_its_domain_is_refused_or_right(name, i, bad):
    make, args, x = ALL[name]
    here = [*args[:i], spoiled(args[i], bad), *args[i + 1 :]]
    one = asked(lambda: make(*here).log_prob(x))
    drawn = asked(lambda: make(*here).sample(rng=0))
    batch = [*args[:i], stacked(args[i], bad), *args[i + 1 :]]
    each = asked(lambda: make(*batch).log_probs(repeated(x)))
    whole = asked(lambda: make(*batch).log_prob(repeated(x)))
    many = asked(lambda: make(*batch).sample(rng=0))
    if bad is np.ma.masked or (type(bad) is float and math.isnan(bad)):
        for found in (one, drawn, each, whole, many):
            assert isinstance(found, InvalidValue), found
    if isinstance(one, InvalidValue):  # then all are, and each says the argument
        drawn_too = () if "too little mass" in str(one) else (drawn, many)
        for found in (one, each, whole, *drawn_too):
            assert isinstance(found, InvalidValue), found
    else:
        assert one == one
        np.testing.assert_allclose(each[0], make(*args).log_prob(x), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(each[1], one, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(whole, np.sum(each), rtol=1e-12, atol=1e-14)
        for d in (drawn, many):
            if isinstance(d, InvalidValue):
                assert any(s in str(d) for s in ("cannot be drawn", "a draw of")), d


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("bad", [math.nan, np.ma.masked], ids=["nan", "masked"])
def test_a_refusal_names_the_argument_and_where_it_is(name, bad):
    make, args, x = ALL[name]
    for i, a in enumerate(args):
        here = [*args[:i], stacked(a, bad), *args[i + 1 :]]
        if name.startswith("mixture") and i:
            continue  # the components' names say which one, not their order in the call
        known = list(make(*args).fn.arguments)
        argument = known[i] if len(known) == len(args) else ""
        with pytest.raises(DistributionError) as caught:
            make(*here).log_probs(repeated(x))
        said = str(caught.value)
        assert argument.split(" of ")[0] in said
        assert bad is np.ma.masked or " at [1" in said, said


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("far", [math.inf, -math.inf, 1e300, -1e300, 0.5, -1.0, 2.0**60])
def test_a_value_outside_has_log_probability_minus_infinity_and_never_nan(name, far):
    make, args, x = ALL[name]
    if type(x) is tuple or type(x) is str:
        pytest.skip("its entries are tried alone")
    value = np.array(x, dtype=float)
    value.flat[-1] = far
    one = make(*args).log_prob(value if value.ndim else float(value))
    each = make(*args).log_probs(np.stack([np.asarray(x, dtype=float), value]))
    assert one < math.inf
    np.testing.assert_allclose(each, [make(*args).log_prob(x), one], rtol=1e-12, atol=1e-14)
    if math.isinf(far) and not name.startswith("censored"):
        assert one == -math.inf


def test_a_mean_far_from_its_limits_is_refused_where_digits_would_be_lost():
    with pytest.raises(DistributionError, match="too little mass between its limits"):
        truncated(laplace(1e300, 1.2), -1.0, 2.0).log_prob(0.5)


def test_logits_that_are_all_impossible_are_refused():
    for logits in ([-math.inf, -math.inf], [math.inf, 0.0], [math.nan, 0.6]):
        for use in (lambda c: c.sample(rng=0), lambda c: c.log_prob(0), lambda c: c.log_probs(0)):
            with pytest.raises(DistributionError, match="logits of categorical must be below inf"):
                use(categorical(logits=logits))
    assert categorical(logits=[-math.inf, 0.3]).sample(rng=0) == 1
    assert categorical(logits=[-math.inf, 0.3]).log_prob(0) == -math.inf


def test_a_covariance_is_refused_with_its_place():
    cov = np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]])])
    with pytest.raises(DistributionError, match=r"positive definite, got .* at \[1\]"):
        mvnormal.log_prob(np.zeros(2), np.zeros(2), cov)


def test_counts_beyond_what_floats_hold_are_refused():
    with pytest.raises(DistributionError, match=r"n of binomial must be .* at most 2\^53"):
        binomial.log_prob(3, 1e300, 0.5)
