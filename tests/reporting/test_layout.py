"""Tables as plain text."""

import doctest
import math
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genparams.errors import InvalidValue, ShapeError
from genparams.reporting import Missing, PValue, Rounded, Table
from genparams.reporting import table as table_module

MIXED = Table(
    title="A table",
    facts=[
        ("log likelihood", Rounded(-10.1576, 3)),
        ("AIC", Rounded(4.0, 3)),
        ("observations", 23),
    ],
    headers=("estimate", "P", "status"),
    rows=[
        ("intercept", (15.0429, PValue(0.0415), "ok")),
        ("slope", (-0.0, PValue(1e-9), "")),
        ("noise", (1.5e12, "", "at its bound")),
        ("frozen", (Missing("it is frozen"), "", "frozen")),
    ],
    notes=["Standard errors: none.", "Warning: a table of a test"],
)
SHOWN = """\
A table

log likelihood  -10.158    observations  23
AIC               4.000

              estimate        P  status
---------------------------------------------
intercept  15.043        0.0415  ok
slope       0           <0.0001
noise       1.5000e+12           at its bound
frozen      -                    frozen

- : it is frozen
Standard errors: none.
Warning: a table of a test"""


def columns(text):
    """The columns of a terminal that a text takes."""
    spacing = [c for c in text if unicodedata.category(c) not in ("Mn", "Me")]
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in spacing)


def body(text):
    """The lines from the first rule to the next empty line."""
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if re.fullmatch("-+", line))
    end = next((k for k in range(start, len(lines)) if not lines[k]), len(lines))
    return lines[start - 1 : end]


def test_a_table_has_a_title_facts_rows_and_notes():
    assert [line.rstrip() for line in str(MIXED).splitlines()] == [
        line.rstrip() for line in SHOWN.splitlines()
    ]


def test_the_example_of_a_table_is_what_it_prints():
    assert doctest.testmod(table_module) == (0, 1)


def test_several_reasons_have_numbers():
    reasons = ["it is frozen", "flat", "it is frozen"]
    table = Table(headers=("x",), rows=[(r, (Missing(r),)) for r in reasons])
    assert str(table).endswith("-[1] : it is frozen\n-[2] : flat")
    assert [line.split()[-1] for line in body(str(table))[2:]] == ["-[1]", "-[2]", "-[1]"]


def test_a_missing_fact_has_its_reason_too():
    assert str(Table(facts=[("AICc", Missing("too few"))])) == "AICc  -\n\n- : too few"


@pytest.mark.parametrize("text", [" " * 200, "\u65e5" * 200, "\u65e5" + "e\u0301" * 200, "-" * 200])
def test_long_texts_without_a_place_to_break_fit(text):
    made = str(Table(text, [(text, text)] * 3, (text, "x"), [(text, (text, 1.5))], [text]))
    assert max(map(columns, made.splitlines())) <= 100
    assert made.count("1.5000") == 1


def test_an_ascii_table_is_ascii():
    assert str(MIXED).isascii()


def test_a_table_without_rows_has_its_headers():
    table = Table("nothing", headers=("estimate", "z"))
    assert str(table) == "nothing\n\n  estimate  z\n-------------"


def test_a_table_of_nothing_is_empty():
    assert str(Table()) == ""


def test_rows_without_columns_are_their_names():
    assert str(Table(rows=[("a", ()), ("b", ())])) == "a\nb"


def test_a_long_name_continues_on_the_next_line_and_nothing_is_lost():
    name = "a_parameter_" * 12
    lines = body(str(Table(headers=("estimate",), rows=[(name, (0.5,)), ("b", (12.5,))])))[2:]
    assert [len(line) for line in lines] == [100, 54, 98]
    assert lines[0].endswith("0.50000")
    assert "".join(line[:90].strip() for line in lines[:-1]) == name


def test_columns_that_do_not_fit_follow_below_with_the_names():
    headers = [f"column {k}" for k in range(30)]
    text = str(Table(headers=headers, rows=[("a", range(30)), ("b", range(30))]))
    blocks = [block.splitlines() for block in text.split("\n\n")]
    assert len(blocks) > 2
    assert re.findall(r"column \d+", text) == headers
    assert [x for block in blocks for x in block[2].split()[1:]] == [str(k) for k in range(30)]
    for header, rule, one, other in blocks:
        assert one.startswith("a")
        assert other.startswith("b")
        assert len({len(header), len(rule), len(one), len(other)}) == 1
        assert len(header) <= 100


@pytest.mark.parametrize(("more", "count"), [(0, 1), (1, 2)])
def test_facts_are_in_one_column_if_two_are_too_wide(more, count):
    text = str(Table(facts=[("a", "x" * 45), ("b", "y" * (45 + more))]))
    assert len(text.splitlines()) == count
    assert max(map(len, text.splitlines())) == (100 if count == 1 else 49)


def test_long_notes_are_wrapped_with_an_indent():
    lines = str(Table(notes=["word " * 50, "next"])).splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.startswith("  ") for line in lines] == [False, True, True, False]
    assert " ".join(lines).split() == ["word"] * 50 + ["next"]


def test_wide_and_combining_characters_are_counted_as_a_terminal_shows_them():
    names = ["beta", "\u03b2", "\u65e5\u672c", "e\u0301te\u0301"]
    lines = body(str(Table(headers=("x",), rows=[(name, (1.5,)) for name in names])))
    assert {columns(line) for line in lines} == {columns(lines[0])}


@pytest.mark.parametrize(
    ("name", "shown"),
    [("two\nlines", "two lines"), ("red\x1b[31m", r"red\x1b[31m"), ("\ud800", r"\ud800")],
)
def test_characters_that_cannot_be_printed_are_escaped(name, shown):
    table = Table(name, [(name, name)], (name,), [(name, (name,))], [name])
    assert str(table).count(shown) == 7
    assert str(table).encode()


def test_infinities_are_shown():
    lines = body(str(Table(headers=("low", "high"), rows=[("a", (-math.inf, math.inf))])))
    assert lines[-1].split() == ["a", "-inf", "inf"]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_row_has_a_cell_for_each_header(count):
    with pytest.raises(ShapeError, match=f"row 'a' of the table has {count} cells for 2 headers"):
        Table(headers=("x", "y"), rows=[("a", [1.0] * count)])


def test_a_name_is_a_text():
    with pytest.raises(InvalidValue, match="is a text, got 3"):
        Table(headers=("x",), rows=[(3, (1.0,))])  # type: ignore[list-item]


def test_a_table_is_a_value():
    cells = [1.0]
    table = Table(headers=["x"], rows=[("a", cells)])
    cells[0] = 2.0
    assert table == Table(headers=("x",), rows=(("a", (1.0,)),))
    assert hash(table) == hash(Table(headers=("x",), rows=(("a", (1.0,)),)))


# --- Laws

numbers = st.floats(-1e300, 1e300) | st.sampled_from([-math.inf, math.inf]) | st.integers()
cells = st.one_of(
    numbers,
    st.text(max_size=60),
    st.builds(Missing, st.sampled_from(["frozen", "flat", "at its bound"])),
    st.builds(Rounded, st.floats(allow_nan=False), st.integers(-5, 20)),
    st.builds(PValue, st.floats(0.0, 1.0)),
)
names = st.text(max_size=150)


@st.composite
def tables(draw, cells=cells, names=names):
    headers = draw(st.lists(names, max_size=12))
    row = st.tuples(names, st.lists(cells, min_size=len(headers), max_size=len(headers)))
    facts = draw(st.lists(st.tuples(names, cells), max_size=5))
    rows = draw(st.lists(row, max_size=5))
    return Table(draw(names), facts, headers, rows, draw(st.lists(names, max_size=3)))


@given(tables())
def test_no_line_is_wider_than_100_columns(table):
    assert max(map(columns, str(table).splitlines()), default=0) <= 100


@given(tables(names=st.text("abc ", max_size=150)))
def test_no_line_of_a_body_is_wider_than_its_rule_or_ends_in_spaces(table):
    blocks = str(Table("", (), table.headers, table.rows)).split("\n\n")
    for block in blocks if table.headers else []:
        lines = [line for line in block.splitlines() if not line.startswith(("- : ", "-["))]
        rule = next((line for line in lines if re.fullmatch("-+", line)), None)
        if rule:
            assert max(map(columns, lines)) == columns(rule)
        assert lines == [line.rstrip() for line in lines]


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6))
def test_the_points_of_a_column_are_below_each_other(values):
    lines = body(str(Table(headers=("x",), rows=[("a", (Rounded(v, 2),)) for v in values])))[2:]
    assert len({line.index(".") for line in lines}) == 1


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_numbers_read_from_the_text_are_the_numbers_of_the_cells(pairs):
    rows = [(f"row{k}", pair) for k, pair in enumerate(pairs)]
    lines = body(str(Table(headers=("one", "other"), rows=rows)))[2:]
    for line, (name, pair) in zip(lines, rows, strict=True):
        shown_name, *shown = line.split()
        assert shown_name == name
        assert list(map(float, shown)) == pytest.approx(list(map(float, pair)), rel=5.1e-5)
