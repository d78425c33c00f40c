"""Trees as text and as HTML."""

from html.parser import HTMLParser

import numpy as np
import pytest

from genparams.text import brief, html_tree, text_tree


def test_a_tree_is_drawn_with_a_line_for_each_entry():
    tree = {"a": "1", "b": {"c": "2", "d": {0: "3"}}, "e": ("f()", {"x": "4"})}
    assert text_tree("title", tree).splitlines() == [
        "title",
        "|- a : 1",
        "|- b",
        "|  |- c : 2",
        "|  `- d",
        "|     `- 0 : 3",
        "`- e : f()",
        "   `- x : 4",
    ]


def test_an_empty_tree_is_its_title():
    assert text_tree("title", {}) == "title"


def test_the_text_of_a_tree_is_ascii():
    assert text_tree("title", {"a": {"b": "1"}}).isascii()


def test_keys_that_are_no_plain_words_are_quoted():
    assert text_tree("", {0: "", "0": "", "a b": "", "line\nbreak": "", None: ""}).splitlines() == [
        "",
        "|- 0",
        "|- '0'",
        "|- 'a b'",
        "|- 'line\\nbreak'",
        "`- None",
    ]


@pytest.mark.parametrize(("count", "limit"), [(5, 5), (6, 5), (100, 5), (100, 40), (41, 40)])
def test_a_long_tree_is_left_out_in_the_middle_with_a_count(count, limit):
    lines = text_tree("title", dict.fromkeys(range(count), ""), limit).splitlines()
    assert len(lines) == min(count, limit) + 1
    if count > limit:
        hidden = [line for line in lines if "more lines" in line]
        assert hidden == [f"... {count - limit + 1} more lines ..."]
    assert lines[1] == "|- 0"
    assert lines[-1] == f"`- {count - 1}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (True, "True"),
        ("two  words\n", r"'two  words\n'"),
        ((1.0, 2), "(1.0, 2)"),
        ((1,), "(1,)"),
        ([1, (2, 3)], "[1, (2, 3)]"),
        (list(range(1000)), "[0, 1, 2, 3, ...]"),
        (np.array(1.5), "array () [1.5]"),
        (np.array([1, 2]), "array (2,) [1, 2]"),
        (np.zeros((0, 3)), "array (0, 3) []"),
        (np.arange(6.0).reshape(2, 3).T, "array (3, 2) [0, 3, 1, 4, ...]"),
        (np.array([1 / 3, np.nan]), "array (2,) [0.3333, nan]"),
        (np.array([True, False]), "array (2,) [True, False]"),
        (np.array(["a", None], dtype=object), "array (2,) ['a', None]"),
    ],
    ids=str,
)
def test_a_value_is_told_in_brief(value, text):
    assert brief(value) == text


def test_a_long_value_is_cut_and_one_of_several_lines_is_joined():
    class Poem:
        def __repr__(self):
            return "line\n  line"

    assert brief(Poem()) == "line line"
    for value in ["x" * 1000, [["y" * 1000]], 10**1000, np.array(["z" * 1000])]:
        assert len(brief(value)) <= 100
        assert "..." in brief(value)


class Balance(HTMLParser):
    """Follows the tags of a page, each of which must be closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.seen.append(tag)
        assert not [value for _, value in attrs if value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(html):
    page = Balance()
    page.feed(html)
    page.close()
    assert not page.open
    return page


def test_html_is_lists_that_open_and_close():
    page = read(html_tree("title", {"a": "1", "b": ("f()", {"c": "2"})}))
    assert set(page.seen) == {"details", "summary", "ul", "li", "code"}
    assert page.seen.count("details") == 2
    assert page.text == "titlea : 1b : f()c : 2"


def test_html_shows_marks_and_runs_none():
    bad = "<script>alert('&')</script>"
    page = read(html_tree(bad, {bad: bad, "b": (bad, {bad: bad})}))
    assert "script" not in page.seen
    assert page.text.count("<script>") == 6


def test_a_long_list_in_html_is_left_out_in_the_middle_with_a_count():
    page = read(html_tree("title", {"a": dict.fromkeys(range(1000), "")}))
    assert page.seen.count("li") == 41
    assert "... 961 more ..." in page.text
    assert page.text.endswith("999")
