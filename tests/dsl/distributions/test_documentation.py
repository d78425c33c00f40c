"""What `help` says of every public distribution, and that it is true."""

import inspect
import re

import numpy as np
import pytest
import scipy.stats
from test_table import ROWS

import genparams
from genparams import Distribution

PUBLIC = {
    name: value
    for name in genparams.__all__
    if isinstance(value := getattr(genparams, name), Distribution)
}
OF_ITS_OWN = {"beta_uniform", "categorical", "piecewise_uniform", "truncated_normal", "von_mises"}
"""Distributions whose docstrings name no distribution of scipy."""

every = pytest.mark.parametrize("name", PUBLIC)


def doc_of(name):
    return inspect.getdoc(PUBLIC[name]) or ""


def section(doc, title):
    """The lines below a title."""
    (lines,) = re.findall(rf"^{title}:\n((?:    .*\n?)+)", doc, re.MULTILINE)
    return lines


@every
def test_a_docstring_states_the_density_as_an_equation(name):
    assert re.search(r"^log p\(x\) = \S", doc_of(name), re.MULTILINE)


@every
def test_a_docstring_states_the_domain_and_the_shape_of_every_argument(name):
    d = PUBLIC[name]
    lines = section(doc_of(name), f"Args of {name}")
    for argument in inspect.signature(d).parameters:
        if argument != "labels":
            assert re.search(rf"^    {argument}(, in place of \w+)?: \S", lines, re.MULTILINE)
    for argument, domain in d.arguments.items():
        (line,) = re.findall(rf"^    {argument}: (.*)\.$", lines, re.MULTILINE)
        assert line.startswith(domain.rule)
        assert ("vectors along" in line, "matrices along" in line) == (
            domain.rank == 1,
            domain.rank == 2,
        )


@every
def test_a_docstring_states_the_values_the_gradients_and_the_errors(name):
    d = PUBLIC[name]
    doc = doc_of(name)
    assert f"\nSupport: {d.support}.\n" in doc
    assert "\nShape of a value: the shape of the batch" in doc
    (by,) = re.findall(r"^Gradients: (?:none|by (.*))\.$", doc, re.MULTILINE)
    wanted = [("the value" if n == "x" else n) for n, smooth in d.has_gradients.items() if smooth]
    assert by == ", ".join(wanted)
    raises = section(doc, "Raises")
    for error in ("DistributionError", "ShapeError", "ArgumentError"):
        assert f"    {error}: " in raises


@every
def test_the_distribution_of_scipy_that_a_docstring_names_has_the_same_density(name):
    d = PUBLIC[name]
    found = re.search(r"^As `(scipy\.stats\..*)`\.$", doc_of(name), re.MULTILINE)
    assert (found is None) == (name in OF_ITS_OWN)
    if found is None:
        return
    row = next(row for row in ROWS if row.name.split("-")[0] == name)
    rng = np.random.default_rng(7)
    for _ in range(5):
        args = [a.draw(rng, ()) for a in row.arguments]
        call = row.call(*args)
        assert call.fn is d
        x = call.sample(rng=rng)
        named = dict(zip(d.arguments, args, strict=True), scipy=scipy, exp=np.exp)
        other = eval(found.group(1), named)
        log_p = getattr(other, "logpdf", None) or other.logpmf
        np.testing.assert_allclose(call.log_prob(x), log_p(x), rtol=1e-9)


@every
def test_dir_shows_what_a_user_needs(name):
    shown = {n for n in dir(PUBLIC[name]) if not n.startswith("_")}
    assert shown == {
        *("arguments", "assess", "generate", "has_gradients", "log_prob", "log_probs"),
        *("propose", "sample", "simulate", "support"),
    }
