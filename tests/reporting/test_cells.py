"""Numbers as text: rounded to the digits that are shown, and no more than that."""

import math
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from genparams.errors import InvalidValue
from genparams.reporting import Missing, PValue, Rounded, Table
from genparams.reporting.cells import places, text_of

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.0000"),
        (-0.232163, "-0.23216"),
        (15.042902, "15.043"),
        (99999.6, "100000"),
        (123456.7, "123457"),
        (1234567.0, "1.2346e+06"),
        (1e300, "1.0000e+300"),
        (0.000123456, "0.00012346"),
        (0.0000123456, "1.2346e-05"),
        (5e-324, "4.9407e-324"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (23, "23"),
        (-100000000, "-100000000"),
        (10**12, "1.0000e+12"),
        (10**400, "1.0000e+400"),
    ],
)
def test_a_plain_number_has_five_digits_and_an_integer_all_of_them(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "shown", "text"),
    [
        (15.042902, 3, "15.043"),
        (-0.00001, 3, "0.000"),
        (-0.0, 2, "0.00"),
        (-0.0, -2, "0"),
        (0.0, 300, "0.0000000"),
        (12345.678, -1, "12346"),
        (1234567.8, -2, "1.2346e+06"),
        (-12345678.9012, 3, "-12345678.901"),
        (9876543210.12, 1, "9876543210.1"),
        (98765432101.2, 1, "9.87654321012e+10"),
        (1.0, 20, "1.00000000000000e+00"),
        (1.234e-12, 15, "1.234e-12"),
        (1.234e-20, 9, "1.2e-20"),
        (math.inf, 3, "inf"),
    ],
)
def test_a_rounded_number_has_its_decimal_places(value, shown, text):
    assert text_of(Rounded(value, shown)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0320, "0.0320"), (1.0, "1.0000"), (0.0, "<0.0001"), (9.9e-5, "<0.0001"), (1e-4, "0.0001")],
)
def test_a_p_value_has_four_decimals(value, text):
    assert text_of(PValue(value)) == text


def last_place(text: str) -> Decimal:
    """The value of one unit in the last digit of a text."""
    exponent = Decimal(text).as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(exponent)


@given(finite)
def test_the_text_of_a_number_is_the_number_to_the_digits_shown(value):
    text = text_of(value)
    assert abs(Decimal(text) - Decimal(value)) <= last_place(text) / 2


@given(finite, st.integers(-20, 400))
def test_the_text_of_a_rounded_number_is_the_number_to_the_digits_shown(value, shown):
    text = text_of(Rounded(value, shown))
    assert abs(Decimal(text) - Decimal(value)) <= last_place(text) / 2


@given(finite, st.integers(-1, 12))
def test_a_rounded_number_is_within_half_a_unit_of_its_place(value, shown):
    assume(abs(value) < 100)
    text = text_of(Rounded(value, shown))
    assert abs(Decimal(text) - Decimal(value)) <= Decimal(1).scaleb(-shown) / 2


@given(finite)
def test_the_text_of_a_number_is_short_and_zero_has_no_sign(value):
    text = text_of(value)
    assert len(text) <= len("-1.2346e+300")
    assert not re.fullmatch(r"-[0.]+", text)
    assert len(re.findall(r"\d", text.split("e")[0].lstrip("-0."))) in (0, 5, 6)


@given(finite.filter(bool), st.integers(1, 10))
def test_places_give_as_many_significant_digits(value, digits):
    first = Decimal(value).adjusted()
    assert first + places(value, digits) == digits - 1


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (np.float64(0.5), "0.50000"),
        (np.float32(0.1), "0.10000"),
        (np.int64(7), "7"),
        (Rounded(np.float64(2.0), 1), "2.0"),
    ],
)
def test_numbers_of_numpy_are_numbers(number, text):
    assert str(Table(headers=("x",), rows=[("", (number,))])).split()[-1] == text


@pytest.mark.parametrize("cell", [math.nan, np.nan, np.float32("nan"), Rounded(math.nan, 3)])
def test_nan_is_refused_with_its_place(cell):
    with pytest.raises(InvalidValue, match=r"row 'slope', column 'z' .* NaN; write Missing"):
        Table(headers=("z",), rows=[("slope", (cell,))])
    with pytest.raises(InvalidValue, match=r"the fact 'AIC' .* NaN; write Missing\(reason\)"):
        Table(facts=[("AIC", cell)])


@pytest.mark.parametrize("cell", [None, True, np.True_, 1j, [1.0], np.zeros(1), b"x"])
def test_what_is_no_cell_is_refused(cell):
    with pytest.raises(InvalidValue, match="write a number, a text or Missing"):
        Table(headers=("z",), rows=[("slope", (cell,))])


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_missing_number_needs_a_reason(reason):
    with pytest.raises(InvalidValue, match="needs a reason"):
        Missing(reason)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_p_value_is_a_probability(value):
    with pytest.raises(InvalidValue, match="between 0 and 1"):
        PValue(value)
