"""Two processes for all tests of this folder: to start one takes as long as many tests."""

import os

import parallel_models as models
import pytest

from genparams.dsl.parallel.processes import LocalProcesses


@pytest.fixture(scope="session")
def processes():
    """Two processes, which have begun before any parameter has its value."""
    with LocalProcesses(2) as executor:
        begun = [executor.submit_to(i, models.own_pid) for i in range(2)]
        assert os.getpid() not in {future.result() for future in begun}
        yield executor
