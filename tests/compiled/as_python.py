"""The text of functions for numba, run as Python: slow, and without a compiler."""

import numpy as np

from genparams.compiled.native import small_matrices, special_numbers, vectors
from genparams.compiled.native.scalar_text import MATH
from genparams.program.recorded import DATA

SPACE = {
    "np": np,
    **MATH,
    **{name: getattr(vectors, name) for name in (*vectors.SELECTIONS, *vectors.ARITHMETIC)},
    **special_numbers.FUNCTIONS,
    **small_matrices.FUNCTIONS,
}


def run_as_python(code, recording, inputs):
    """What the gradient's text computes; None if a test of it has another answer."""
    each = list(zip(inputs, recording.inputs, strict=True))
    bound = code.bind(*[x for x, r in each if r.stage == DATA])
    if bound is None:
        return None
    space = dict(SPACE)
    exec(code.text, space)
    g = np.full(code.gradient_parts[-1].stop if code.gradient_parts else 0, np.nan)
    theta = code.flat([x for x, r in each if r.stage != DATA])
    known, log_prob = space["gradient"](theta, g, *code.arguments(bound))
    if not known:
        return None
    places = zip(code.gradient_parts, code.shapes, strict=True)
    return [log_prob, *(g[at].reshape(shape) for at, shape in places)]
