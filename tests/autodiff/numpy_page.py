"""Writes `docs/numpy.md`, what a model may use of numpy, from the law of numpy.

python tests/autodiff/numpy_page.py
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import scipy
from numpy_forms import forms_of, functions, of_objects_alone, subjects
from numpy_law import verdict

PAGE = Path(__file__).parents[2] / "docs" / "numpy.md"

HEAD = """# What a model may use of numpy

A model is written with plain `numpy` and `scipy.special`. While a gradient is computed its numbers
are *traced*: every function, method and operator that takes one passes one gate, and each has one
of three outcomes.

- It **works**: the value is numpy's own, and the gradient is right, the gradient of a gradient too.
- It is **flat**: its result does not move with its arguments, or moves in jumps (`np.floor`,
  `np.argmax`, a comparison). The gradient is zero, which is the derivative.
- It is **refused**: `TracedValueError` names your line and says what to write instead. Nothing is
  computed with a gradient that may be wrong.

A function that works may refuse some of its keywords; they are in brackets. Elementwise functions
have the same keywords and methods, which have a list below. A list such as
`[a, 1.0]` or an array of it, `np.array([a, 1.0])`, is a vector wherever a function with a traced
array beside it takes one. Alone in a call, `np.stack([a, 1.0])` is the form that always works:
numpy turns a list into an array of objects by itself, and most of its functions take none. Of such
a list alone `np.logical_and` and `np.logical_or` give what `and` and `or` give, the folds
`np.power.reduce` and `np.arctan2.reduce` run in another order, `np.nan_to_num` changes nothing and
`np.frombuffer` reads addresses, as `np.fromstring` does before numpy 2.3. `np.isscalar` of a traced
number is False.

This page is written by `python tests/autodiff/numpy_page.py` from tests that call every public
function in several forms and compare each gradient with a difference. It was written with
numpy {numpy} and scipy {scipy}.
"""

TITLES = {
    "works": "Works",
    "flat": "Flat, with a gradient of zero",
    "refused": "Refused",
    "no floats": "Takes no floats, or is not called with numbers alone",
}
SECTIONS = {
    "np": "numpy",
    "np.linalg": "numpy.linalg",
    "np.fft": "numpy.fft",
    "np.emath": "numpy.emath",
    "special": "scipy.special",
    "ndarray": "Methods and attributes of arrays",
    "operator": "Operators",
    "builtins": "Functions of Python",
    "math": "math",
}


def outcomes(subject: str) -> dict[str, set[str]]:
    """What the forms of a function give, by the keyword or method that is special about them."""
    said: dict[str, set[str]] = {}
    for form in forms_of(subject):
        said.setdefault(form.option, set()).add(verdict(form))
    return said


def elementwise(subject: str) -> bool:
    return subject in functions() and isinstance(functions()[subject][0], np.ufunc)


def status(subject: str) -> tuple[str, list[str]]:
    """What a function does in most of its forms, and the keywords that it refuses."""
    said = outcomes(subject)
    # Of a list alone numpy makes an array of objects, on which more works than on arrays.
    direct = [f for f in forms_of(subject) if not f.option and not of_objects_alone(f)]
    plain = [s for s in map(verdict, direct or forms_of(subject)) if s != "unknown"]
    if not plain:
        return "no floats", []
    kind = "works" if "works" in plain else "flat"
    if kind == "flat" and plain.count("flat") * 2 <= len(plain):
        return "refused", []
    if elementwise(subject):
        return kind, []
    refused = [o for o, s in said.items() if o not in ("", "empty") and not s & {"works", "flat"}]
    return kind, sorted(refused)


def statuses() -> dict[str, dict[str, tuple[str, list[str]]]]:
    """By section, each name with its status."""
    found: dict[str, dict[str, tuple[str, list[str]]]] = {key: {} for key in SECTIONS}
    for subject in subjects():
        names = functions()[subject][1] if subject in functions() else (subject,)
        for name in names:
            section, _, short = name.rpartition(".")
            found[section][short] = status(subject)
    return found


def page() -> str:
    parts = [HEAD.format(numpy=np.__version__, scipy=scipy.__version__)]
    for section, names in statuses().items():
        parts.append(f"## {SECTIONS[section]}\n")
        for kind, title in TITLES.items():
            chosen = {n: refused for n, (s, refused) in sorted(names.items()) if s == kind}
            if chosen:
                parts.append(f"**{title}:**\n{wrapped(chosen.items())}\n")
        if section == "np":
            parts.append(of_elementwise())
    return "\n".join(parts)


OPTIONS = {
    "out": "`out=`",
    "where": "`where=`",
    "dtype": "`dtype=`",
    "casting": "`casting=`",
    "order": "`order=`",
    "reduce": "`reduce`, as in `np.add.reduce(x, axis=1)`",
    "reduce initial": "`reduce` with `initial=`",
    "reduce where": "`reduce` with `where=`",
    "accumulate": "`accumulate`",
    "outer": "`outer`",
    "reduceat": "`reduceat`",
    "at": "`at`",
}


def of_elementwise() -> str:
    """The keywords and methods of elementwise functions, and which functions of numpy have them."""
    parts = ["### Keywords and methods of elementwise functions\n"]
    ufuncs = [name for name in functions() if name.startswith("np.") and elementwise(name)]
    for option, title in OPTIONS.items():
        known = [n for n in ufuncs if outcomes(n).get(option, set()) & {"works", "flat"}]
        names = [(name.removeprefix("np."), []) for name in sorted(known)]
        parts.append(f"- {title}:\n{wrapped(names, '  ')}" if names else f"- {title}: refused.")
    return "\n".join(parts) + "\n"


def wrapped(names: Iterable[tuple[str, list[str]]], indent: str = "") -> str:
    """The names in lines of at most 100 columns."""
    words = []
    for name, refused in names:
        without = f" (not `{'`, `'.join(refused)}`)" if refused else ""
        words += f"`{name}`{without},".split(" ")
    words[-1] = words[-1].removesuffix(",") + "."
    lines = [indent]
    for word in words:
        if len(lines[-1]) + len(word) > 99:
            lines.append(indent)
        lines[-1] += (" " if lines[-1].strip() else "") + word
    return "\n".join(lines)


def written(text: str) -> dict[tuple[str, str], str]:
    """The status of each section's names, read from a page."""
    found = {}
    for section, body in re.findall(r"^## (.*?)\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE):
        for title, names in re.findall(r"\*\*(.*?):\*\*\n(.*?)(?=\n\n|\Z)", body, re.DOTALL):
            for name in re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", names, flags=re.DOTALL)):
                found[section, name] = title
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
