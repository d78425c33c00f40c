"""Rules that adapt to the size of past gradients, number by number.

Running means are kept without the factor 1 - beta, which a step multiplies into its constants: one
pass over the memory less for each.
"""

import math

import numpy as np

from genparams.update.rule import Rule, elementwise


def scale_by_adam(
    beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, dtype: object = None
) -> Rule:
    """Divide a running mean of gradients by the root of their running square.

        m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
        direction = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon),   t = 1, 2, ...

    t counts the steps that a parameter took part in, so that one which joins late starts as it
    would have alone. The state holds m / (1 - beta1) and v / (1 - beta2).

    Reference: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980, algorithm 1.
    """

    def constants(t: int) -> tuple[float, float]:
        root = math.sqrt((1.0 - beta2**t) / (1.0 - beta2))
        return (1.0 - beta1) / (1.0 - beta1**t) * root, epsilon * root

    def formula(g, theta, rate, floor, m, v):
        m = beta1 * m + g
        v = beta2 * v + g * g
        return m / (np.sqrt(v) + floor) * rate, m, v

    return elementwise(
        formula,
        {"m": 0.0, "v": 0.0},
        constants,
        name="scale_by_adam",
        dtype=dtype,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
    )
