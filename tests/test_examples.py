"""Every example reaches its reference, and says so if it does not.

Where the data have a reference fit in `genparams.datasets`, estimates agree with it to a relative
error of 1e-5.
"""

import dataclasses
import math
import subprocess
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from genparams import datasets, fit, gen, normal, param, positive

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
sys.path.append(str(EXAMPLES))  # they share checking.py and pictures.py


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
    found, known = load("line_mtcars").main(), datasets.mtcars().fits["line"]
    assert found["log_likelihood"] == pytest.approx(known.log_likelihood, abs=1e-4)
    agree(
        {
            "intercept": found["intercept"],
            "slope": found["slope"],
            "sigma": found["noise"],
        },
        known.estimates,
    )


def test_the_study_of_the_o_rings_agrees_with_the_reference(capsys):
    study = load("oring_study").main()
    known = datasets.oring().fits["logit"]
    assert study["profile interval"] == pytest.approx(known.profile_intervals["slope"], rel=1e-6)
    assert study["likelihood ratio"] == pytest.approx(7.951960, abs=1e-6)
    low, high = forecast(31.0, known.estimates)
    assert study["risk"] == pytest.approx(0.99960878, abs=1e-8)
    assert (study["low"], study["high"]) == pytest.approx((low, high), abs=1e-6)
    assert "slope       -0.2322      0.1082" in capsys.readouterr().out


def forecast(temp, estimates):
    """The interval of the risk at a temperature, from the weights of logistic regression."""
    X = np.column_stack([np.ones(23), datasets.oring()["temp"]])
    a, b = estimates["intercept"], estimates["slope"]
    risk = 1.0 / (1.0 + np.exp(-X @ [a, b]))
    cov = np.linalg.inv(X.T * (risk * (1.0 - risk)) @ X)
    at = np.array([1.0, temp])
    reach = 1.959963985 * np.sqrt(at @ cov @ at)
    return 1.0 / (1.0 + np.exp(-(a + b * temp) + np.array([reach, -reach])))


def test_the_failures_of_the_air_conditioning_do_not_speak_against_an_exponential():
    found = load("air_conditioning").main()
    assert found["likelihood ratio"] == pytest.approx(1.09881172, abs=1e-7)
    assert found["p-value"] == pytest.approx(0.294527, abs=1e-6)
    fits = datasets.aircondit().fits
    aics = [2 - 2 * fits["exponential"].log_likelihood, 4 - 2 * fits["gamma"].log_likelihood]
    assert found["aic"] == pytest.approx(aics, abs=1e-5)


def test_the_curve_of_puromycin_agrees_with_a_fit_of_other_parameters():
    found = load("puromycin_curve").main()
    slope, error = found["slope"]
    known = datasets.puromycin().fits["treated"]
    assert slope == pytest.approx(known.estimates["Vm"] / known.estimates["K"], rel=1e-5)
    assert error == pytest.approx(337.813335, rel=1e-5)


def test_the_level_of_the_nile_agrees_with_the_reference():
    found, known = load("nile_level").main(draws=5), datasets.nile().fits["local_level"]
    assert found.pop("signal to noise") == pytest.approx(0.0973057, abs=1e-6)
    assert found.pop("forecast") == pytest.approx(798.368, abs=0.01)
    agree(found, known.estimates)


def test_the_mixture_is_the_same_by_steps_and_by_fit(capsys):
    found, result = load("old_faithful").main()
    known = datasets.faithful().fits["mixture"]
    assert found.pop("log_likelihood") == pytest.approx(known.log_likelihood, abs=1e-4)
    agree(found, known.estimates)
    assert result.estimates["stds"] == pytest.approx(
        [known.estimates["std1"], known.estimates["std2"]], rel=1e-6
    )
    assert result.evaluations < 60
    assert "ADAM, 600 steps" in capsys.readouterr().out


def fitted_line():
    @gen
    def line(wt):
        mean = param("intercept", 30.0) + param("slope", 0.0) * wt
        return normal(mean, param("sigma", 5.0, constraint=positive)) @ "mpg"

    table = datasets.mtcars()
    return fit(line, (table["wt"],), {"mpg": table["mpg"]})


def test_a_fit_that_is_not_the_reference_is_refused():
    checking = load("checking")
    result = fitted_line()
    known = datasets.mtcars().fits["line"]
    with pytest.raises(SystemExit, match=r"line is not at the reference: error of sigma"):
        checking.check_fit(result, dataclasses.replace(known, std_errors={"sigma": 0.37}))
    with pytest.raises(SystemExit, match=r"line is not at the reference: log likelihood$"):
        checking.check_fit(result, dataclasses.replace(known, log_likelihood=-80.02))


def test_the_hidden_markov_model_agrees_with_expectation_maximisation():
    found, reference = load("hidden_markov").main()
    assert list(found.values()) == pytest.approx(list(reference.values()), rel=1e-3)
    assert found["log_likelihood"] == pytest.approx(reference["log_likelihood"], abs=1e-4)


def test_the_poisson_hidden_markov_model_agrees_with_the_book():
    found = load("poisson_hidden_markov").main()
    # to more digits by BFGS on a likelihood written in numpy
    assert found["log_likelihood"] == pytest.approx(-342.318267, abs=2e-4)
    assert found["quiet"] == pytest.approx(15.472268, rel=1e-3)
    assert found["restless"] == pytest.approx(26.125441, rel=1e-3)
    assert found["restless to quiet"] == pytest.approx(0.128509, rel=5e-3)


def test_training_that_is_killed_goes_on_to_the_bit(capfd):
    straight, resumed = load("interrupted").main(epochs=8)
    assert straight.log_prob.tolist() == resumed.log_prob.tolist()
    assert straight.params["slope"].tolist() == resumed.params["slope"].tolist()
    out = capfd.readouterr().out
    assert "the first process was killed in step 100" in out
    assert "this process goes on with step 91, in epoch 6" in out


def test_the_break_in_the_explosions_agrees_with_the_reference():
    found, exact = load("change_points").main(sweeps=500)
    assert found["after"] == 1891
    known = datasets.coal().fits["step"]
    agree({name: found[name] for name in known.estimates}, known.estimates)
    assert found["log_likelihood"] == pytest.approx(known.log_likelihood, abs=1e-6)
    assert exact["breaks"] == pytest.approx([0.0, 0.30, 0.70], abs=0.01)


def test_the_mean_of_the_family_trees_agrees_with_its_closed_form():
    found, closed_form = load("galton_watson").main(trees=30)
    assert found["mean"] == pytest.approx(closed_form["mean"], abs=1e-5)


def test_the_boltzmann_machine_names_digits_that_it_has_not_seen():
    pytest.importorskip("sklearn")
    assert load("boltzmann").main() > 0.9


def test_the_autoencoder_explains_images_that_were_held_out(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    found = load("variational_autoencoder").main(epochs=30, plot=tmp_path / "picture.png")
    assert found["autoencoder"] > found["mixture"] + 0.5
    assert found["mixture"] > found["pixels"] + 4.0
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_an_autoencoder_that_stops_too_early_says_so():
    pytest.importorskip("sklearn")
    with pytest.raises(SystemExit, match="needs more epochs"):
        load("variational_autoencoder").main(epochs=1)


@pytest.mark.parametrize("name", ["boltzmann", "variational_autoencoder"])
def test_without_scikit_learn_the_example_says_how_to_get_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit, match="pip install scikit-learn"):
        load(name).main()


def test_a_boltzmann_machine_that_stops_too_early_says_so():
    pytest.importorskip("sklearn")
    with pytest.raises(SystemExit, match="more epochs"):
        load("boltzmann").main(epochs=1)


def test_eight_rules_reach_the_logistic_curve_of_the_reference():
    example = load("eight_rules")
    a, b = example.MAXIMUM
    agree({"intercept": a - 5.3 * b, "slope": b / 10.0}, datasets.oring().fits["logit"].estimates)
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


def test_the_outliers_in_a_line_agree_with_the_exact_posterior():
    found, exact = load("outliers").main(sweeps=60, warmup=20, chains=6)
    assert found["slope"] == pytest.approx(exact["slope"], abs=0.05)
    wrong = [i for i in range(12) if found[f"wrong[{i}]"] > 0.5]
    assert wrong == [i for i in range(12) if exact[f"wrong[{i}]"] > 0.5] == [4, 8, 10]


def test_particles_agree_with_the_filter_of_kalman():
    found = load("kalman_particles").main(years=20, num_particles=40, filters=5)
    assert found["ratio"] == pytest.approx(1.0, abs=0.6)
    assert found["error"] < 0.3
    assert found["off"] < 15.0


def test_particles_that_follow_another_river_are_refused(monkeypatch):
    example = load("kalman_particles")
    exact, levels = example.kalman(datasets.nile()["flow"][:10])
    monkeypatch.setattr(example, "kalman", lambda flows: (exact - 3.0, levels))
    with pytest.raises(SystemExit, match="not at Kalman's answer"):
        example.main(years=10, num_particles=40, filters=4)


EARLY = {
    "line_mtcars": {"steps": 5},
    "old_faithful": {"steps": 5},
    "hidden_markov": {"n": 20, "steps": 5},
    "poisson_hidden_markov": {"steps": 2},
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


def test_wake_sleep_explains_wet_grass_as_enumeration_does():
    found, exact = load("sprinkler").main(days=1000, steps=300, tolerance=0.06)
    assert found["chance of rain"] == pytest.approx(exact["chance of rain"], abs=0.04)


@pytest.mark.parametrize(
    "name", ["oring_study", "air_conditioning", "puromycin_curve", "old_faithful"]
)
def test_the_picture_is_saved(name, tmp_path):
    pytest.importorskip("matplotlib")
    load(name).main(plot=tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_example_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SystemExit, match=r"pip install genparams\[plot\]"):
        load("old_faithful").main(plot=tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()


def test_the_demo_ends_in_a_summary(capsys):
    load("old_faithful").main()
    end = capsys.readouterr().out.partition("Maximum likelihood fit of geyser")[2]
    assert "weights[1]   0.63911     0.03116" in end
    assert end.count("\n\n") == 4


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


def test_eight_schools_have_the_known_posterior_by_three_methods():
    """Means within 0.3 standard deviations: at 150 effective draws, 1 in 10^3 seeds for each."""
    found = load("eight_schools").main(draws=120, vi_steps=150, em_steps=7)
    y, se = (datasets.eight_schools()[name].astype(float) for name in ("y", "se"))

    def moment(of):
        """The integral over tau of p(tau) p(y | tau) times a function of tau."""

        def integrand(tau):
            cov = np.diag(se**2 + tau**2) + 25.0
            weights = 25.0 * np.linalg.solve(cov, np.ones(8))
            z = np.linalg.solve(np.linalg.cholesky(cov), y)
            density = math.exp(-0.5 * z @ z - 0.5 * np.linalg.slogdet(cov)[1])
            return stats.halfcauchy.pdf(tau, scale=5.0) * density * of(tau, weights @ y)

        return integrate.quad(integrand, 0.0, 200.0, limit=200, epsabs=0.0, epsrel=1e-6)[0]

    mass = moment(lambda tau, mu: 1.0)
    assert found["mean"][0] == pytest.approx(moment(lambda tau, mu: mu) / mass, rel=1e-3)
    assert found["mean"][1] == pytest.approx(moment(lambda tau, mu: tau) / mass, rel=1e-3)


def test_two_processes_train_to_the_same_bits_and_to_least_squares():
    found = import_module("two_processes").main(count=16, dask=False)  # workers import it
    assert found["two processes"] == found["this process"]


def test_a_static_filter_trains_to_the_reference_and_is_faster(capsys):
    found, known = load("static_functions").main(), datasets.nile().fits["local_level"]
    agree({name: found[name] for name in known.estimates}, known.estimates)
    assert found["faster"] > 1.0
    assert "def step(var_eps, var_eta, bound):" in capsys.readouterr().out


def test_every_example_has_a_test_here():
    here = Path(__file__).read_text(encoding="utf-8")
    assert [file.stem for file in EXAMPLES.glob("*.py") if file.stem not in here] == []
