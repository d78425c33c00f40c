"""Tables as data frames."""

import math
import sys

import pytest

from genparams.errors import GenParamsError, MissingExtra
from genparams.reporting import Missing, PValue, Rounded, Table

MIXED = Table(
    "Fit",
    [("AIC", Rounded(24.3151922, 3)), ("AICc", Missing("too few"))],
    ("estimate", "z", "P", "count", "status"),
    [
        ("a", (Rounded(0.123456789, 2), Rounded(2.0391, 3), PValue(1e-9), 3, "ok")),
        ("b", (Missing("frozen"), "", "", 4, "")),
    ],
    ["a note"],
)


def test_a_frame_has_the_numbers_in_full():
    pytest.importorskip("pandas")
    frame = MIXED.to_frame()
    assert list(frame.index) == ["a", "b"]
    assert list(frame.columns) == ["estimate", "z", "P", "count", "status"]
    assert list(frame.loc["a"]) == [0.123456789, 2.0391, 1e-9, 3, "ok"]
    assert [dtype.kind for dtype in frame.dtypes[:4]] == ["f", "f", "f", "i"]


def test_missing_and_empty_numbers_are_nan_and_the_notes_have_the_reasons():
    pytest.importorskip("pandas")
    frame = MIXED.to_frame()
    assert list(frame.loc["b"].isna()) == [True, True, True, False, False]
    assert frame.loc["b", "status"] == ""
    assert frame.attrs["title"] == "Fit"
    assert frame.attrs["notes"] == ["-[1] : too few", "-[2] : frozen", "a note"]
    assert frame.attrs["facts"]["AIC"] == 24.3151922
    assert math.isnan(frame.attrs["facts"]["AICc"])


def test_a_frame_becomes_the_same_table_again():
    pytest.importorskip("pandas")
    table = Table("Fit", (), ("x", "n"), [("a", (0.25, 1)), ("b", (-math.inf, 2))])
    frame = table.to_frame()
    rows = [(str(row[0]), row[1:]) for row in frame.itertuples()]
    assert Table(frame.attrs["title"], (), tuple(frame.columns), rows) == table


def test_repeated_names_and_headers_are_kept():
    pytest.importorskip("pandas")
    frame = Table(headers=("x", "x"), rows=[("a", (1, 2.5)), ("a", (3, 4.5))]).to_frame()
    assert frame.to_numpy().tolist() == [[1, 2.5], [3, 4.5]]


def test_a_table_without_rows_is_an_empty_frame():
    pytest.importorskip("pandas")
    assert Table(headers=("x", "y")).to_frame().shape == (0, 2)
    assert Table().to_frame().shape == (0, 0)


def test_without_pandas_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"pip install genparams\[pandas\]") as raised:
        MIXED.to_frame()
    assert isinstance(raised.value, (ImportError, GenParamsError))
    assert (raised.value.package, raised.value.extra) == ("pandas", "pandas")
