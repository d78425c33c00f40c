"""The tables that come with genparams: their shapes and sums; each call makes a new one."""

import numpy as np
import pytest

from genparams import datasets

# The sums of the columns. R gives the means of mtcars and faithful: mpg 20.09062, hp 146.6875,
# wt 3.21725, eruptions 3.487783, waiting 70.89706.
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
    "coal": {"date": 360806.15537303215},
    "faithful": {"eruptions": 948.677, "waiting": 19284},
}
ROWS = {"mtcars": 32, "oring": 23, "coal": 191, "faithful": 272}


def test_every_table_is_tested_here():
    assert sorted(SUMS) == datasets.__all__


@pytest.mark.parametrize("name", SUMS)
def test_every_column_is_an_array_of_floats_as_long_as_the_table(name):
    table = getattr(datasets, name)()
    assert all(isinstance(column, np.ndarray) for column in table.values())
    assert {column.dtype for column in table.values()} == {np.dtype(np.float64)}
    assert {column.shape for column in table.values()} == {(ROWS[name],)}


@pytest.mark.parametrize("name", SUMS)
def test_the_columns_have_the_known_sums(name):
    sums = {column: float(v.sum()) for column, v in getattr(datasets, name)().items()}
    assert sums == pytest.approx(SUMS[name], rel=1e-12)


@pytest.mark.parametrize("name", SUMS)
def test_a_change_to_a_table_does_not_change_the_next_one(name):
    first = getattr(datasets, name)()
    column = next(iter(first))
    first[column][:] = 0.0
    del first[column]
    again = getattr(datasets, name)()
    assert float(again[column].sum()) == pytest.approx(SUMS[name][column])


def test_a_flight_is_in_distress_where_an_o_ring_failed():
    table = datasets.oring()
    assert np.array_equal(table["distress"] == 1.0, table["n_fail"] > 0.0)


def test_the_explosions_are_in_order_and_127_of_them_are_before_1892():
    date = datasets.coal()["date"]
    assert np.all(np.diff(date) >= 0.0)
    assert (date < 1892.0).sum() == 127


@pytest.mark.parametrize("name", SUMS)
def test_every_table_names_its_source(name):
    assert "Source: " in getattr(datasets, name).__doc__
