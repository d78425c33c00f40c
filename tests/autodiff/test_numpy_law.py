"""The law of numpy: a gradient through any function is right, or the call is refused.

The forms of call are made by walking numpy, numpy.linalg, numpy.fft and scipy.special, so that a
new version is tested by itself. See `numpy_law` and `numpy_forms`.
"""

import pytest
from numpy_forms import forms_of, subjects
from numpy_law import verdict

GOOD = {"works", "flat", "refused", "refused by numpy", "unknown"}


@pytest.mark.parametrize("subject", subjects())
def test_a_function_of_a_traced_value_is_right_or_refused(subject):
    found = {form.text: verdict(form) for form in forms_of(subject)}
    wrong = [f"{text}: {said}" for text, said in found.items() if said not in GOOD]
    assert not wrong, f"{len(wrong)} of {len(found)} forms\n" + "\n".join(wrong)
