"""Calls: functions with their arguments, not yet run."""

import numpy as np
import pytest

from genparams import (
    Call,
    gen,
    normal,
)
from genparams.errors import NotRunning, UnaddressedChoice


def test_a_call_knows_its_function_and_its_arguments():
    call = normal(0.0, 1.0)
    assert type(call) is Call
    assert call.args == (0.0, 1.0)
    assert repr(call) == "normal(...)"


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c + 1.0,
        lambda c: 1.0 - c,
        lambda c: np.ones(2) * c,
        lambda c: -c,
        lambda c: c < 0.0,
        lambda c: c == 0.0,
        lambda c: float(c),
        lambda c: bool(c),
        lambda c: len(c),
        lambda c: c[0],
        lambda c: list(c),
        lambda c: np.exp(c),
        lambda c: np.asarray(c),
        lambda c: np.ones(2) @ c,
    ],
)
def test_a_call_used_as_a_value_says_that_its_address_is_missing(use):
    with pytest.raises(UnaddressedChoice, match=r'normal\(\.\.\.\) @ "name"'):
        use(normal(0.0, 1.0))


def test_inline_outside_a_running_function_is_an_error():
    @gen
    def shifted(shift):
        return shift + 1.0

    with pytest.raises(NotRunning, match=r"shifted\.inline"):
        shifted.inline(0.0)
