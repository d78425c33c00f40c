"""Results as dictionaries, JSON and pickles."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fits import cloud_fit, constant_fit, faithful_fit, gamma_fit, line, line_fit, oring_fit, start
from maxima import fitted

from genparams import gen, normal, param
from genparams.errors import InvalidValue, NoModel
from genparams.learning.fitting.result import FitResult

FITS = [line_fit, oring_fit, faithful_fit, gamma_fit, cloud_fit]


@pytest.mark.parametrize("make", FITS)
def test_a_result_comes_back_from_json(make):
    result = make()
    again = FitResult.from_json(result.to_json())
    assert again == result
    assert repr(again) == repr(result)
    assert again.entries == result.entries
    assert again.missing == result.missing
    np.testing.assert_array_equal(again.conf_int().table, result.conf_int().table)
    np.testing.assert_array_equal(again.cov(), result.cov())
    for name in ("aic", "aicc", "bic", "df_residual", "condition", "status", "converged"):
        assert getattr(again, name) == getattr(result, name)


def test_a_dictionary_has_the_types_of_json():
    record = cloud_fit().to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["errors"]["observed"]["spread"][3] is None
    assert record["errors"]["observed"]["missing"] == {"3": "always 0"}


def test_what_needs_no_model_works_on_a_saved_result():
    result = oring_fit()
    again = FitResult.from_dict(result.to_dict())
    assert again.wald_test("temp") == result.wald_test("temp")
    ratio = again.derive(lambda b: b["intercept"] / b["temp"])
    assert ratio.std_errors == result.derive(lambda b: b["intercept"] / b["temp"]).std_errors
    one, other = line_fit(), constant_fit()
    saved = FitResult.from_dict(other.to_dict())
    assert one.lr_test(saved) == one.lr_test(other)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda r: r.profile("slope"), "which a profile needs"),
        (lambda r: r.conf_int(kind="profile"), "which a profile needs"),
        (lambda r: r.bootstrap(5), "which bootstrap needs"),
        (lambda r: r.predict((np.zeros(2),)), "which predict needs"),
        (lambda r: r.simulate(1), "which simulate needs"),
        (lambda r: r.residuals(), "which residuals needs"),
        (lambda r: r.fitted(), "which fitted needs"),
        (lambda r: r.cov("opg"), "kind 'opg' needs; it has those of kind observed"),
    ],
)
def test_what_needs_the_model_says_so(act, message):
    saved = FitResult.from_dict(line_fit().to_dict())
    with pytest.raises(NoModel, match=message):
        act(saved)


def test_kinds_that_were_computed_are_saved():
    result = line_fit()
    expected = result.cov("sandwich")
    np.testing.assert_array_equal(FitResult.from_dict(result.to_dict()).cov("sandwich"), expected)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (3, "that FitResult.to_dict"),
        ({}, "that FitResult.to_dict"),
        ({"format": "genparams fit 1"}, "damaged"),
    ],
)
def test_another_dictionary_is_refused(record, message):
    with pytest.raises(InvalidValue, match=message):
        FitResult.from_dict(record)


def test_another_text_is_refused():
    with pytest.raises(InvalidValue, match="no text of JSON"):
        FitResult.from_json("{")


def test_a_fit_without_errors_is_saved_with_its_reasons():
    @gen
    def sum_of_two(n):
        return normal(param("a", 0.0) + param("b", 0.0), 1.0, size=n) @ "x"

    result = fitted(sum_of_two, (5,), {"x": np.arange(5.0)})
    again = FitResult.from_json(result.to_json())
    assert again.missing == result.missing
    assert again.condition == np.inf
    assert np.isnan(again.std_errors["a"])


class AboveOne:
    name = "above one"

    def natural(self, theta):
        return 1.0 + np.exp(theta)

    def coordinates(self, value):
        return np.log(value - 1.0)


above_one = AboveOne()


def test_an_interval_under_a_constraint_of_a_user_needs_the_model():
    @gen
    def above(n):
        return normal(param("m", 2.0, above_one), 1.0, size=n) @ "x"

    result = fitted(above, (3,), {"x": np.array([1.5, 2.0, 2.5])})
    again = FitResult.from_dict(result.to_dict())
    assert again.std_errors == result.std_errors
    with pytest.raises(NoModel, match="needs the constraint"):
        again.conf_int()


# --- Pickles


def test_a_pickled_result_has_its_model():
    result = line_fit()
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    start(line, slope=9.0, intercept=9.0, sigma=9.0)
    assert again.profile("slope").conf_int() == result.profile("slope").conf_int()
    np.testing.assert_array_equal(again.fitted()["ys"], result.fitted()["ys"])
    assert again.cov("opg").tolist() == result.cov("opg").tolist()


def test_a_result_of_a_local_function_is_pickled_without_its_model():
    @gen
    def local(n):
        return normal(param("m", 0.0), 1.0, size=n) @ "x"

    result = fitted(local, (3,), {"x": np.arange(3.0)})
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    assert again.model is None
    with pytest.raises(NoModel):
        again.profile("m")


def test_a_result_is_read_in_another_process(tmp_path):
    result, path = oring_fit(), tmp_path / "fit.pickle"
    path.write_bytes(pickle.dumps(result))
    code = (
        "import pickle, sys; sys.path.insert(0, sys.argv[2])\n"
        "import fits\n"
        "result = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "print(result.std_errors['temp'])\n"
        "fits.oring_fit()\n"
        "result = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "print(result.profile('temp').conf_int()[0])"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), here], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    error, low = map(float, done.stdout.split())
    assert error == result.std_errors["temp"]
    assert low == pytest.approx(-0.51543254, rel=2e-7)


def test_profiles_and_intervals_are_pickled():
    result = line_fit()
    ends = pickle.loads(pickle.dumps(result.conf_int()))
    np.testing.assert_array_equal(ends.table, result.conf_int().table)
