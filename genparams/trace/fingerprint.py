"""Fingerprints of arguments, which show that an argument was changed in place after a run."""

from typing import Any

import numpy as np

_FEW = 4096
"""An array of at most so many numbers is compared whole, a larger one at about 2000 places."""


def fingerprint(value: Any) -> Any:
    """The numbers in an argument, or some of them; None for what is not compared."""
    if type(value) is np.ndarray:
        if value.dtype == object:
            return None
        if value.size <= _FEW:
            return value.tobytes()
        return value.flat[:: value.size // (_FEW // 2)].tobytes()
    if type(value) in (list, tuple):
        return [fingerprint(v) for v in value[:: 1 + len(value) // _FEW]]
    if type(value) is dict:
        return {k: fingerprint(v) for k, v in value.items()}
    return value if type(value) in (float, int, str, bool) else None
