"""The functions of BLAS and LAPACK in double precision, such as `lapack.dpotrf`.

`scipy.linalg` is slow to import, so it is imported when the first of them is used.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    module = import_module("scipy.linalg.lapack")
    if not hasattr(module, name):
        module = import_module("scipy.linalg.blas")
    found = globals()[name] = getattr(module, name)
    return found
