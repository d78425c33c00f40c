"""The law of numpy: a gradient through any function is right, or the call is refused.

The forms of call are made by walking numpy, numpy.linalg, numpy.fft and scipy.special, so that a
new version is tested by itself. See `numpy_law` and `numpy_forms`.
"""

import numpy as np
import pytest
import scipy
from numpy_forms import SPECIAL, WANTED, forms_of, of_another_version, subjects
from numpy_law import Form, accepts, verdict
from numpy_page import PAGE, page, written

GOOD = {"works", "flat", "refused", "refused by numpy", "unknown"}
OF_VERSIONS = {("numpy", "fromstring"), ("scipy.special", "factorial2")}
"""What takes numbers in some versions of numpy and scipy only."""


@pytest.mark.parametrize("subject", subjects())
def test_a_function_of_a_traced_value_is_right_or_refused(subject):
    found = {form.text: verdict(form) for form in forms_of(subject)}
    wrong = [f"{text}: {said}" for text, said in found.items() if said not in GOOD]
    assert not wrong, f"{len(wrong)} of {len(found)} forms\n" + "\n".join(wrong)


@pytest.mark.parametrize("line", [*WANTED, *SPECIAL])
def test_a_line_written_by_hand_is_a_call_that_numpy_takes(line):
    if of_another_version(line):
        pytest.skip("of another version")
    assert accepts(Form("by hand", line))


def test_the_page_of_the_docs_is_what_the_law_says():
    committed, generated = PAGE.read_text(encoding="utf-8"), page()
    if f"numpy {np.__version__} and scipy {scipy.__version__}." in committed:
        assert committed == generated, "run python tests/autodiff/numpy_page.py"
    had, have = written(committed), written(generated)
    assert had
    moved = {name for name in had.keys() & have.keys() if had[name] != have[name]}
    assert moved <= OF_VERSIONS
