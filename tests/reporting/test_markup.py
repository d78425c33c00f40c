"""Tables as HTML, LaTeX and Markdown."""

import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genparams.reporting import Missing, PValue, Rounded, Table

BAD = "<script>alert('&')</script>"


def table(text="name"):
    """A table with one text everywhere that a text may be."""
    cells = (1.5, PValue(1e-9), Missing(text), text)
    return Table(text, [(text, text)], [text] * 4, [(text, cells)], [text])


class Page(HTMLParser):
    """The tags and texts of a page, each tag of which must be closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.texts, self.sides = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append(tag)
        self.sides += [value for _, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_html_is_tables_without_styles_but_alignment():
    page = Page(table()._repr_html_())
    assert set(page.tags) == {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(page.sides) == {"text-align: left", "text-align: right"}
    assert page.tags.count("tr") == 3
    assert page.texts == [
        *("name", "name", "name", "name", "name", "name", "name", "name"),
        *("1.5000", "<0.0001", "-", "name", "- : name", "name"),
    ]


@given(st.text(min_size=1).filter(str.strip) | st.just(BAD))
def test_html_shows_marks_and_runs_none(text):
    page = Page(table(text)._repr_html_())
    assert page.tags == Page(table()._repr_html_()).tags


def test_a_script_is_a_text_in_html():
    assert Page(table(BAD)._repr_html_()).texts.count(BAD) == 10


def cells_of(line):
    return re.split(r"(?<!\\)&", line.removesuffix(r" \\"))


def test_latex_is_a_table_of_booktabs():
    made = Table(
        "Fit of f",
        [("AIC", Rounded(24.3152, 3))],
        ("estimate", "P", "high", "status"),
        [("a_1", (-1.5e-12, PValue(0.0), math.inf, "ok")), ("b", (0.5, "", -math.inf, ""))],
        ["50% of it"],
    )
    assert made.to_latex().splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Fit of f}",
        r"\begin{tabular}{lr}",
        r"AIC & $24.315$ \\",
        r"\end{tabular}",
        r"\par\medskip",
        r"\begin{tabular}{lrrrl}",
        r"\toprule",
        r" & estimate & P & high & status \\",
        r"\midrule",
        r"a\_1 & $-1.5000 \times 10^{-12}$ & $<0.0001$ & $\infty$ & ok \\",
        r"b & $0.50000$ &  & $-\infty$ &  \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\begin{flushleft}\footnotesize",
        r"50\% of it\par",
        r"\end{flushleft}",
        r"\end{table}",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a & b", r"a \& b"),
        ("100% of #1 for $2", r"100\% of \#1 for \$2"),
        ("beta_1{2}", r"beta\_1\{2\}"),
        (r"\end{table}", r"\textbackslash{}end\{table\}"),
        ("x^2 ~ y", r"x\textasciicircum{}2 \textasciitilde{} y"),
        ("P>|z|", r"P\textgreater{}\textbar{}z\textbar{}"),
        ("[0]", "{[}0{]}"),
        ("*", "{*}"),
        ("lin--ear", "lin-{}-ear"),
        ("\u03b2", "\u03b2"),
    ],
)
def test_latex_escapes_what_it_would_read_as_commands(text, shown):
    lines = Table(text, headers=(text,), rows=[(text, (text,))], notes=[text]).to_latex()
    assert rf"\caption{{{shown}}}" in lines
    assert f"\n & {shown} \\\\\n" in lines
    assert f"\n{shown} & {shown} \\\\\n" in lines
    assert f"\n{shown}\\par\n" in lines


@given(st.text(min_size=1).filter(str.strip))
def test_every_line_of_latex_has_the_columns_that_are_declared(text):
    lines = table(text).to_latex().split("\n")
    declared = [len(m[1]) for line in lines if (m := re.match(r"\\begin{tabular}{(\w+)}$", line))]
    assert declared == [2, 5]
    found = [len(cells_of(line)) for line in lines if line.endswith(r" \\")]
    assert found == [2, 5, 5]


@given(st.text(min_size=1).filter(str.strip))
def test_the_braces_of_latex_are_balanced(text):
    plain = re.sub(r"\\[{}]", "", table(text).to_latex())
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


def test_markdown_is_a_table_with_pipes():
    made = Table(
        "Fit_1", [("AIC", 24)], ("P>|z|", "status"), [("a*b", (PValue(0.0), "ok"))], ["end"]
    )
    assert made.to_markdown().splitlines() == [
        r"**Fit\_1**",
        "",
        "- AIC: 24",
        "",
        r"|  | P\>\|z\| | status |",
        "| :--- | ---: | :--- |",
        r"| a\*b | \<0.0001 | ok |",
        "",
        "end",
    ]


@given(st.text(min_size=1).filter(str.strip))
def test_every_line_of_markdown_has_the_same_columns(text):
    lines = [line for line in table(text).to_markdown().split("\n") if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}


def test_a_table_of_nothing_is_empty_in_every_form():
    assert Table()._repr_html_() == "<div></div>"
    assert Table().to_markdown() == ""
    assert Table().to_latex() == "\\begin{table}\n\\centering\n\\end{table}"
