"""A table as HTML, LaTeX and Markdown. Every text is escaped."""

import re
from collections.abc import Iterable
from html import escape

from genparams.reporting.shown import Entry, Shown

# --- HTML


def html(shown: Shown) -> str:
    """A division with a table of the facts, a table of the rows, and a paragraph for each note."""
    facts = "".join(f"<tr>{_fact(*fact)}</tr>" for fact in shown.facts)
    parts = [
        f"<p><b>{escape(shown.title)}</b></p>" if shown.title else "",
        f"<table><tbody>{facts}</tbody></table>" if facts else "",
        _html_rows(shown) if shown.headers or shown.rows else "",
        *(f"<p>{escape(note)}</p>" for note in shown.notes),
    ]
    return f"<div>{''.join(parts)}</div>"


def _html_rows(shown: Shown) -> str:
    sides = ["right" if is_number else "left" for is_number in shown.is_number]
    headers = [("left", ""), *zip(sides, shown.headers, strict=True)]
    head = "".join(_html_cell("th", side, text) for side, text in headers)
    body = "".join(_html_row(name, cells, sides) for name, cells in shown.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_row(name: str, cells: Iterable[Entry], sides: list[str]) -> str:
    shown = zip(sides, cells, strict=True)
    row = "".join(_html_cell("td", side, entry.text) for side, entry in shown)
    return f"<tr>{_html_cell('th', 'left', name)}{row}</tr>"


def _fact(label: str, value: Entry) -> str:
    side = "right" if value.is_number else "left"
    return _html_cell("th", "left", label) + _html_cell("td", side, value.text)


def _html_cell(tag: str, side: str, text: str) -> str:
    return f'<{tag} style="text-align: {side}">{escape(text)}</{tag}>'


# --- LaTeX


def latex(shown: Shown) -> str:
    """A table environment with rules of the package booktabs, and the notes below it."""
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{latex_text(shown.title)}}}"] if shown.title else []
    lines += _latex_facts(shown.facts) if shown.facts else []
    lines += _latex_rows(shown) if shown.headers or shown.rows else []
    lines += _latex_notes(shown.notes) if shown.notes else []
    return "\n".join([*lines, r"\end{table}"])


def _latex_facts(facts: Iterable[tuple[str, Entry]]) -> list[str]:
    rows = [_latex_line([latex_text(label), _latex_entry(value)]) for label, value in facts]
    return [r"\begin{tabular}{lr}", *rows, r"\end{tabular}", r"\par\medskip"]


def _latex_rows(shown: Shown) -> list[str]:
    sides = "".join("r" if is_number else "l" for is_number in shown.is_number)
    rows = [[latex_text(name), *map(_latex_entry, cells)] for name, cells in shown.rows]
    return [
        rf"\begin{{tabular}}{{l{sides}}}",
        r"\toprule",
        _latex_line(["", *map(latex_text, shown.headers)]),
        r"\midrule",
        *map(_latex_line, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _latex_notes(notes: Iterable[str]) -> list[str]:
    lines = [rf"{latex_text(note)}\par" for note in notes]
    return [r"\begin{flushleft}\footnotesize", *lines, r"\end{flushleft}"]


def _latex_line(cells: Iterable[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _latex_entry(entry: Entry) -> str:
    number = re.fullmatch(r"([-<]*[\d.]+)(?:e([-+]\d+))?|(-?)inf", entry.text)
    if not entry.is_number or not number:
        return latex_text(entry.text)
    digits, exponent, sign = number.groups()
    if digits is None:
        return rf"${sign}\infty$"
    return rf"${digits} \times 10^{{{int(exponent)}}}$" if exponent else f"${digits}$"


def latex_text(text: str) -> str:
    """A text in which no character is a command of LaTeX."""
    escaped = "".join(LATEX.get(character, character) for character in text)
    return re.sub("-(?=-)", "-{}", escaped)  # two in a row are a longer dash


LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a line, [ begins an argument and * a variant of the command
    "]": "{]}",
    "*": "{*}",
    '"': "''",
    "`": r"\`{}",
}
"""What is written for the characters that LaTeX reads as commands or joins to others."""


# --- Markdown


def markdown(shown: Shown) -> str:
    """A table of the rows, under the title and a list of the facts, above the notes."""
    parts = [
        f"**{markdown_text(shown.title)}**" if shown.title else "",
        "\n".join(f"- {markdown_text(k)}: {markdown_text(v.text)}" for k, v in shown.facts),
        _markdown_rows(shown) if shown.headers or shown.rows else "",
        *map(markdown_text, shown.notes),
    ]
    return "\n\n".join(filter(None, parts))


def _markdown_rows(shown: Shown) -> str:
    sides = ["---:" if is_number else ":---" for is_number in shown.is_number]
    lines = [["", *map(markdown_text, shown.headers)], [":---", *sides]]
    lines += [
        [markdown_text(name), *(markdown_text(entry.text) for entry in cells)]
        for name, cells in shown.rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(text: str) -> str:
    r"""A text in which no character is a mark; `-` and `+` begin lists only with a space after."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&$]|^[-+](?= ))", r"\\\1", text)
