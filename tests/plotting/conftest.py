"""No test of a picture leaves a figure open, and none changes the settings of matplotlib."""

import pytest
from matplotlib import pyplot, rcParams


@pytest.fixture(autouse=True)
def figures():
    before = dict(rcParams)
    yield
    pyplot.close("all")
    assert dict(rcParams) == before


@pytest.fixture
def ax():
    return pyplot.subplots()[1]
