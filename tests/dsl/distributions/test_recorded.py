"""Every distribution in a static function: its gradient is recorded, and replayed the same."""

import numpy as np
import pytest
from test_table import BATCH, ROWS

from genparams import gen, param


@pytest.mark.parametrize("shape", [(), BATCH], ids=["number", "batch"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_static_function_replays_every_distribution(row, shape):
    rng = np.random.default_rng(5)
    args = [a.draw(rng, shape) for a in row.arguments]
    x = row.value(rng, shape, *args)
    traced = [a.move is not None for a in row.arguments]

    def body(fixed):
        given = [
            param(f"a{i}", a) if t else a for i, (a, t) in enumerate(zip(args, traced, strict=True))
        ]
        size = shape if shape else None
        _ = row.call(*given, **({} if size is None else {"size": size})) @ "x"

    plain = gen(body)
    static = gen(static=True)(body)
    trace, _ = plain.generate((1.0,), {"x": x})
    static = static.with_params(plain.params)
    other, _ = static.generate((1.0,), {"x": x})
    for turn in range(5):
        if trace.parameters:
            expected, found = (
                list(trace.param_gradients().values()),
                list(other.param_gradients().values()),
            )
            for a, b in zip(found[0].values(), expected[0].values(), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * (1.0 + np.max(np.abs(b))))
        for i, (argument, p) in enumerate(zip(row.arguments, args, strict=True)):
            if traced[i]:
                plain.params[f"a{i}"].set(p + 0.01 * (turn + 1) * argument.move(rng, p))
    if any(traced):
        assert static.trace_gradients.programs.reason is None
        assert (
            sum(k.hits for some in static.trace_gradients.programs.by_key.values() for k in some)
            >= 3
        )
