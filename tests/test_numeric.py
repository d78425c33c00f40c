"""One formula for floats and for arrays: both give the same numbers."""

import math

import numpy as np
import pytest

from genparams.numeric import arrays as on_arrays
from genparams.numeric import scalars

ONE = {
    "log": [0.0, 1e-300, 0.5, 1e300, math.inf],
    "log1p": [-1.0, -0.5, 0.0, 1e-20, 1e300],
    "exp": [-800.0, -1.0, 0.0, 1.0, 700.0],
    "expm1": [-800.0, -1e-20, 0.0, 1.0, 700.0],
    "sqrt": [0.0, 0.5, 1e300],
    "abs": [-1.5, 0.0, 1.5],
    "sign": [-1.5, 0.0, 1.5],
    "gammaln": [0.5, 1.0, 2.0, 1e5],
    "psi": [0.5, 1.0, 1e5],
    "expit": [-800.0, -30.0, 0.0, 30.0, 800.0],
    "log_expit": [-800.0, -30.0, 0.0, 30.0, 800.0],
}
TWO = {
    "betaln": [(0.5, 2.0), (1e-3, 1e3)],
    "xlogy": [(0.0, 0.0), (2.0, 0.0), (0.0, 2.0), (2.0, 3.0), (-0.5, 0.0)],
    "xlog1py": [(0.0, -1.0), (2.0, -1.0), (2.0, 3.0), (-0.5, -1.0)],
}


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_the_functions_of_floats_agree_with_those_of_arrays(name):
    for arguments in [(x,) for x in ONE.get(name, [])] + TWO.get(name, []):
        found = getattr(scalars, name)(*arguments)
        assert isinstance(found, float)
        with np.errstate(divide="ignore"):
            (wanted,) = getattr(on_arrays, name)(*(np.array([x]) for x in arguments))
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_the_two_kinds_have_the_same_functions():
    assert vars(scalars).keys() == vars(on_arrays).keys()
    assert {*ONE, *TWO, "where"} <= vars(scalars).keys()


@pytest.mark.parametrize("condition", [True, False])
def test_a_choice_of_floats_agrees_with_that_of_arrays(condition):
    assert scalars.where(condition, 1.0, 2.0) == on_arrays.where(condition, 1.0, 2.0)
