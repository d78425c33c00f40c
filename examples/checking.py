"""What the examples share: print an answer beside a known one, and stop if the two differ."""

import numpy as np


def compare(found, reference, tolerance=1e-5, more="steps"):
    """Print what was found and the reference; stop if a difference is above tolerance (1 + |x|)."""
    print(f"{'':16}{'genparams':>40}{'reference':>40}")
    for name, value in reference.items():
        print(f"{name:16}{row(found[name])}{row(value)}")
    far = [n for n, v in reference.items() if not np.allclose(found[n], v, tolerance, tolerance)]
    if far:
        raise SystemExit(f"not at the reference: {', '.join(far)}; this needs more {more}")


def row(value):
    return f"{' '.join(f'{v:.6f}' for v in np.ravel(value)):>40}"
