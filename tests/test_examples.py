"""Every example reaches its reference, and says so if it does not.

`reference_fits.json` holds three of the fits: estimates by name, log scales and log odds where the
name says so, and log-likelihoods, found by Newton's method to a gradient below 1e-11. Each note
gives the digits that are in print, and where. Estimates agree to a relative error of 1e-5.
"""

import json
import math
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
sys.path.append(str(EXAMPLES))  # they share checking.py
FITS = json.loads((ROOT / "tests" / "reference_fits.json").read_text(encoding="utf-8"))


def load(name):
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agree(found, estimates):
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in estimates.items()}


def test_the_line_is_the_fit_of_least_squares():
    found, fit = load("line_mtcars").main(), FITS["mtcars_mpg_wt_normal"]
    assert found["log_likelihood"] == pytest.approx(fit["loglik"], abs=1e-4)
    agree(
        {
            "intercept": found["intercept"],
            "wt": found["slope"],
            "log_sigma": math.log(found["noise"]),
        },
        fit["est"],
    )


def test_the_logistic_curve_agrees_with_the_reference():
    found, fit = load("oring_logistic").main(), FITS["oring_binary_logit"]
    assert found["log_likelihood"] == pytest.approx(fit["loglik"], abs=1e-4)
    agree({"intercept": found["intercept"], "temp": found["slope"]}, fit["est"])


def test_the_mixture_agrees_with_the_reference():
    found, fit = load("old_faithful").main(), FITS["faithful_mix2"]
    assert found["log_likelihood"] == pytest.approx(fit["loglik"], abs=1e-4)
    agree(
        {
            "logit_lambda1": math.log(found["weights"][0] / found["weights"][1]),
            "mu1": found["means"][0],
            "mu2": found["means"][1],
            "log_sigma1": math.log(found["stds"][0]),
            "log_sigma2": math.log(found["stds"][1]),
        },
        fit["est"],
    )


def test_the_hidden_markov_model_agrees_with_expectation_maximisation():
    found, reference = load("hidden_markov").main()
    assert list(found.values()) == pytest.approx(list(reference.values()), rel=1e-3)
    assert found["log_likelihood"] == pytest.approx(reference["log_likelihood"], abs=1e-4)


def test_the_break_in_the_explosions_agrees_with_the_reference():
    found, exact = load("change_points").main(sweeps=500)
    assert found["after"] == 1891
    assert found["early"] == pytest.approx(127 / 41, rel=1e-5)
    assert found["late"] == pytest.approx(64 / 71, rel=1e-5)
    assert found["log_likelihood"] == pytest.approx(-168.575997, abs=1e-6)
    assert exact["breaks"] == pytest.approx([0.0, 0.30, 0.70], abs=0.01)


def test_the_mean_of_the_family_trees_agrees_with_its_closed_form():
    found, closed_form = load("galton_watson").main(trees=30)
    assert found["mean"] == pytest.approx(closed_form["mean"], abs=1e-5)


def test_the_boltzmann_machine_names_digits_that_it_has_not_seen():
    pytest.importorskip("sklearn")
    assert load("boltzmann").main() > 0.9


def test_without_scikit_learn_the_example_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match="pip install scikit-learn"):
        load("boltzmann").main()


def test_a_boltzmann_machine_that_stops_too_early_says_so():
    pytest.importorskip("sklearn")
    with pytest.raises(SystemExit, match="more epochs"):
        load("boltzmann").main(epochs=1)


def test_eight_rules_reach_the_logistic_curve_of_the_reference():
    example = load("eight_rules")
    a, b = example.MAXIMUM
    agree({"intercept": a - 5.3 * b, "temp": b / 10.0}, FITS["oring_binary_logit"]["est"])
    found = example.main()
    assert len(found) == 8
    assert all(math.dist(end, example.MAXIMUM) < 1e-3 for end in found.values())


def test_the_rate_of_a_range_test_trains_to_least_squares():
    found = load("rate_range_test").main()
    assert found["estimates"][0] == pytest.approx(65.6633, abs=0.04)
    assert found["estimates"][1] == pytest.approx(10.7296, abs=0.03)
    assert 0.1 < found["fastest"] < 10.0 < found["diverged"]


def test_groups_are_frozen_and_thawed_and_end_at_ridge_regression():
    found = load("groups_and_freezing").main()
    assert found["frozen trend"] == pytest.approx([20.090625, -3.020184], rel=1e-6)
    assert list(found["frozen weights"]) == [-1.0, 1.0, 1.0, 1.0]
    assert found["thawed trend"] == pytest.approx([20.090625, -4.034951], abs=1e-6)
    ridge = [-0.791156, 0.946160, 0.364377, 0.454952]
    assert found["thawed weights"] == pytest.approx(ridge, abs=1e-6)


def test_a_run_that_stops_ends_with_the_same_numbers(capfd):
    straight, resumed = load("checkpoints").main(steps=100)
    assert straight == resumed
    assert "goes on from step 50" in capfd.readouterr().out


def test_a_run_without_its_generator_ends_with_other_numbers():
    with pytest.raises(SystemExit, match="differs from the reference"):
        load("checkpoints").main(steps=100, parts=("model", "update"))


EARLY = {
    "line_mtcars": {"steps": 5},
    "oring_logistic": {"steps": 5},
    "old_faithful": {"steps": 5},
    "hidden_markov": {"n": 20, "steps": 5},
    "change_points": {"steps": 5},
    "galton_watson": {"trees": 10, "steps": 5},
    "eight_rules": {"steps": 5},
    "rate_range_test": {"epochs": 1},
    "groups_and_freezing": {"steps": (5, 5)},
}


@pytest.mark.parametrize("name", EARLY)
def test_an_example_that_stops_too_early_says_so(name, capsys):
    with pytest.raises(SystemExit, match=r"not at the reference: .* more (steps|epochs)"):
        load(name).main(**EARLY[name])
    assert "reference" in capsys.readouterr().out


def test_a_walk_that_stops_too_early_says_so():
    with pytest.raises(SystemExit, match="more sweeps"):
        load("change_points").main(sweeps=1)


def test_the_picture_is_saved(tmp_path):
    pytest.importorskip("matplotlib")
    load("old_faithful").main(plot=tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_example_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    load("old_faithful").main(plot=tmp_path / "picture.png")
    assert "pip install genparams[examples]" in capsys.readouterr().out
    assert not (tmp_path / "picture.png").exists()


def test_the_first_steps_print_what_their_comments_say():
    file = EXAMPLES / "first_steps.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said = [line.split("  # ")[1] for line in file.read_text().splitlines() if "  # " in line]
    assert done.stdout.split() == said


def test_every_example_has_a_test_here():
    here = Path(__file__).read_text(encoding="utf-8")
    assert [file.stem for file in EXAMPLES.glob("*.py") if file.stem not in here] == []
