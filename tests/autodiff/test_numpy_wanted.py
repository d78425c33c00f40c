"""What models are written with works: these forms are not refused.

Each line is a form as `numpy_law` reads it: capital letters are traced. The law checks the value,
the gradient and the gradient of the gradient.
"""

import pytest
from numpy_forms import WANTED, of_another_version
from numpy_law import Form, verdict


@pytest.mark.parametrize("text", WANTED)
def test_what_models_are_written_with_works(text):
    if of_another_version(text):
        pytest.skip("of another version")
    assert verdict(Form("wanted", text)) in ("works", "flat")
