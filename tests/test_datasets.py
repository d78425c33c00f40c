"""The tables that come with genparams: their shapes, sums and fits; each call makes a new one."""

import doctest
import inspect
import pickle
from importlib.resources import files

import numpy as np
import pytest
import scipy.optimize

from genparams import bernoulli, datasets, gen, init_param, normal, param
from genparams.datasets import nist, nist_names
from genparams.errors import InvalidValue

# The sums of the columns. R gives the means of mtcars and faithful: mpg 20.09062, hp 146.6875,
# wt 3.21725, eruptions 3.487783, waiting 70.89706; and of Nile: 919.35.
SUMS = {
    "mtcars": {
        "mpg": 642.9,
        "cyl": 198,
        "disp": 7383.1,
        "hp": 4694,
        "drat": 115.09,
        "wt": 102.952,
        "qsec": 571.16,
        "vs": 14,
        "am": 13,
        "gear": 118,
        "carb": 90,
    },
    "oring": {"temp": 1600, "distress": 7, "n_fail": 9},
    "oring_damage": {"temp": 1600, "damaged": 11},
    "beetles": {"dose": 14.3474, "n": 481, "killed": 291},
    "puromycin": {"conc": 7.18, "rate": 2917},
    "dobson": {"count": 150, "outcome": 18, "treatment": 18},
    "eight_schools": {"y": 70, "se": 100},
    "horsekicks": {"deaths": 10, "corps_years": 200},
    "aircondit": {"hours": 1297},
    "faithful": {"eruptions": 948.677, "waiting": 19284},
    "linkage": {"count": 197},
    "nile": {"year": 192050, "flow": 91935},
    "coal": {"date": 360806.15537303215},
}
ROWS = {
    "mtcars": 32,
    "oring": 23,
    "oring_damage": 23,
    "beetles": 8,
    "puromycin": 23,
    "dobson": 9,
    "eight_schools": 8,
    "horsekicks": 5,
    "aircondit": 12,
    "faithful": 272,
    "linkage": 4,
    "nile": 100,
    "coal": 191,
}
FILES = [
    path
    for folder in ("", "nist_sets")
    for path in files("genparams.datasets").joinpath(folder).iterdir()
    if path.name.endswith(".csv")
]
each_table = pytest.mark.parametrize("name", SUMS)
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
each_set = pytest.mark.parametrize("name", nist_names())


def load(name):
    return getattr(datasets, name)()


# --- Tables


def test_every_table_is_tested_here():
    others = ["NISTSet", "ReferenceFit", "Table", "nist", "nist_names"]
    assert sorted([*SUMS, *others]) == sorted(datasets.__all__)


@each_table
def test_every_column_is_an_array_as_long_as_the_table(name):
    table = load(name)
    assert {column.shape for column in table.values()} == {(ROWS[name],)}
    assert {n for n, column in table.items() if column.dtype == np.float64} == SUMS[name].keys()


@each_table
def test_the_columns_have_the_known_sums(name):
    table = load(name)
    sums = {column: float(table[column].sum()) for column in SUMS[name]}
    assert sums == pytest.approx(SUMS[name], rel=1e-12)


def test_a_column_of_words_is_an_array_of_strings():
    assert list(datasets.eight_schools()["school"]) == list("ABCDEFGH")
    state = datasets.puromycin()["state"]
    assert [str(word) for word in np.unique(state)] == ["treated", "untreated"]
    assert int((state == "treated").sum()) == 12


@each_table
def test_a_change_to_a_table_does_not_change_the_next_one(name):
    first = load(name)
    column = next(iter(first))
    before = load(name)
    first[column][:] = first[column][::-1].copy()
    for fit in first.fits.values():
        fit.estimates.clear()
    first.fits.clear()
    del first[column]
    again = load(name)
    assert np.array_equal(again[column], before[column])
    assert again.fits == before.fits


@each_table
def test_a_table_is_pickled_with_its_fits(name):
    table = load(name)
    again = pickle.loads(pickle.dumps(table))
    assert again.fits == table.fits
    assert all(np.array_equal(again[column], table[column]) for column in table)


def test_a_flight_is_in_distress_where_an_o_ring_failed():
    table = datasets.oring()
    assert np.array_equal(table["distress"] == 1.0, table["n_fail"] > 0.0)


def test_both_tables_of_o_rings_are_of_the_same_flights():
    flights, damage = datasets.oring(), datasets.oring_damage()
    assert np.array_equal(np.sort(flights["temp"]), damage["temp"])


def test_the_explosions_are_in_order_and_127_of_them_are_before_1892():
    date = datasets.coal()["date"]
    assert np.all(np.diff(date) >= 0.0)
    assert (date < 1892.0).sum() == 127


# --- Sources


@each_table
def test_every_table_names_its_source_and_its_fits(name):
    text = getattr(datasets, name).__doc__
    assert "Source: " in text
    assert all(f"`{fit}`" in text for fit in load(name).fits)


@each_file
def test_every_file_names_its_source_in_its_header(file):
    header = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert any(line.startswith("# Source: ") for line in header)


@each_file
def test_no_file_has_10_kilobytes(file):
    assert len(file.read_bytes()) < 10_000


@pytest.mark.parametrize("name", datasets.__all__)
def test_the_examples_run(name):
    thing = getattr(datasets, name)
    found = doctest.DocTestFinder(recurse=False).find(thing, name, globs=vars(datasets).copy())
    assert [example for test in found for example in test.examples] or name == "NISTSet"
    failed = sum(doctest.DocTestRunner().run(test).failed for test in found)
    assert failed == 0


# --- Reference fits


@each_table
def test_every_table_has_a_fit(name):
    assert load(name).fits


@each_table
def test_every_estimate_has_a_standard_error_or_is_at_its_bound(name):
    for fit in load(name).fits.values():
        missing = fit.estimates.keys() - fit.std_errors.keys()
        assert not fit.std_errors.keys() - fit.estimates.keys()
        assert missing == ({"tau"} if name == "eight_schools" else set())


@each_table
def test_the_model_of_a_fit_names_its_estimates(name):
    for fit in load(name).fits.values():
        share_of = {"mean1", "mean2", "std1", "std2"} if name == "faithful" else set()
        assert all(estimate in fit.model for estimate in fit.estimates.keys() - share_of)


def test_the_log_likelihood_at_the_ends_of_a_profile_interval_is_1_92_below_the_maximum():
    table = datasets.oring()
    fit = table.fits["logit"]
    for slope in fit.profile_intervals["slope"]:
        best = scipy.optimize.minimize_scalar(
            lambda intercept, slope=slope: (
                -bernoulli.log_prob(table["distress"], logits=intercept + slope * table["temp"])
            ),
            bracket=(-slope * 60.0, -slope * 70.0),
        )
        assert fit.log_likelihood + best.fun == pytest.approx(3.841458821 / 2.0, abs=1e-6)


def test_the_likelihood_ratio_of_the_failures_is_the_known_one():
    fits = datasets.aircondit().fits
    statistic = 2.0 * (fits["gamma"].log_likelihood - fits["exponential"].log_likelihood)
    assert statistic == pytest.approx(1.09881172, abs=1e-8)


# --- The sets of NIST


@each_set
def test_the_certified_parameters_have_the_certified_sum_of_squares(name):
    data = nist(name)
    squares = float(((data.y - data.model(data.x, data.certified)) ** 2).sum())
    assert squares == pytest.approx(data.sum_of_squares, rel=1e-9)


@each_set
def test_the_residual_standard_deviation_divides_by_the_degrees_of_freedom(name):
    data = nist(name)
    assert data.residual_std == pytest.approx(
        (data.sum_of_squares / data.degrees_of_freedom) ** 0.5, rel=1e-9
    )


def slopes(data, b):
    """The derivatives of the mean by each parameter, by central differences; a row for each."""
    steps = 1e-6 * np.diag(b)
    return np.array(
        [(data.model(data.x, b + h) - data.model(data.x, b - h)) / (2.0 * h.sum()) for h in steps]
    )


@each_set
def test_the_standard_deviations_are_of_the_expected_information(name):
    data = nist(name)
    J = slopes(data, data.certified)
    found = data.residual_std * np.sqrt(np.diag(np.linalg.inv(J @ J.T)))
    assert found == pytest.approx(data.std_devs, rel=1e-5)


@each_set
def test_the_starts_are_two_vectors_of_parameters_away_from_the_answer(name):
    data = nist(name)
    for start in data.starts:
        assert start.shape == data.certified.shape
        squares = float(((data.y - data.model(data.x, start)) ** 2).sum())
        assert squares > 1.1 * data.sum_of_squares
    assert len(data.starts) == 2


@each_set
def test_the_model_of_a_set_has_gradients_inside_a_generative_function(name):
    data = nist(name)

    @gen
    def curve(x):
        return normal(data.model(x, param("b")), param("sigma")) @ "y"

    b = data.starts[1]
    init_param(curve, "b", b)
    init_param(curve, "sigma", 2.0)
    trace, _ = curve.generate((data.x,), {"y": data.y})
    by_hand = slopes(data, b) @ (data.y - data.model(data.x, b)) / 4.0
    assert trace.param_gradients()["curve"]["b"] == pytest.approx(by_hand, rel=1e-6)


def test_a_set_has_columns_by_the_names_of_the_source():
    data = nist("Misra1a")
    assert list(data.columns) == ["pressure", "volume"]
    assert data.columns["volume"] is data.y


def test_each_call_reads_a_set_again():
    first = nist("Rat43")
    first.y[:] = 0.0
    first.certified[:] = 0.0
    first.starts[0][:] = 0.0
    again = nist("Rat43")
    assert again.y.min() > 0.0
    assert again.certified.min() > 0.0
    assert again.starts[0].min() > 0.0


def test_a_misspelt_set_is_an_error_with_the_nearest_name():
    with pytest.raises(InvalidValue, match=r"no set 'misra1b'; did you mean Misra1b\?"):
        nist("misra1b")


def test_a_set_that_is_not_there_is_an_error_with_the_names():
    with pytest.raises(InvalidValue, match=r"no set 7; known: Chwirut2, .* and 5 more"):
        nist(7)  # pyright: ignore[reportArgumentType]


def test_the_names_of_the_sets_can_be_changed_without_harm():
    nist_names().clear()
    assert len(nist_names()) == 10


def test_what_a_loader_returns_is_said_in_its_signature():
    for name in SUMS:
        assert inspect.signature(getattr(datasets, name)).return_annotation is datasets.Table
