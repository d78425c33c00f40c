"""One thread for linear algebra, no display, and the settings of Hypothesis, for every test."""

import gc
import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # read when numpy is imported: each test process is busy
os.environ.setdefault("MPLBACKEND", "Agg")  # pictures without a display

from hypothesis import settings  # noqa: E402

settings.register_profile("laws", derandomize=True, deadline=None)
settings.load_profile("laws")


def pytest_collection_finish() -> None:
    """Leave the tests themselves out of garbage collection: to look through them takes seconds."""
    gc.collect()
    gc.freeze()
