"""One step of ADAM against the same by hand in numpy and against torch.

    python benchmarks/update.py

The step is the whole `apply()` on accumulated gradients: finding what moves, checking every
gradient and every result, and emptying the accumulators. By hand is the loop of thirteen passes in
place. numba and torch are measured where they are installed; numba uses every core, all else one.
"""

import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import bench
import by_hand
import numpy as np

from genparams import ADAM, ParamStore, ParamUpdate

Shapes = list[tuple[int, ...]]


def ours(shapes: Shapes) -> tuple[bench.Work, bench.Work]:
    """A step, and what accumulates the gradients for it."""
    rng = np.random.default_rng(0)
    theta = ParamStore({f"p{i}": np.zeros(shape) for i, shape in enumerate(shapes)})
    gradients = [(p, rng.standard_normal(p.shape)) for p in theta.values()]

    def accumulate() -> None:
        for p, g in gradients:
            p.set_grad(g)

    return ParamUpdate(ADAM(0.001), theta).apply, accumulate


def torchs(shapes: Shapes, **how: bool) -> bench.Work:
    """The step of torch's Adam in one of its ways."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    parameters = [torch.zeros(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    for p in parameters:
        p.grad = torch.randn(p.shape, dtype=torch.float64)
    return torch.optim.Adam(parameters, lr=0.001, **how).step


def row(what: str, shapes: Shapes, against: str, other: Any, rounds: int, target: float) -> None:
    step, accumulate = ours(shapes)
    found = bench.ratio(step, other, rounds, before=accumulate)
    print(f"{what:20}{against:28}{found:8.3f}{target:9.2f}", flush=True)


def with_numba() -> None:
    size = 10**7
    row("10,000,000 by numba", [(size,)], "by hand", by_hand.adam_in_place(size), 9, 0.4)


def without_numba() -> None:
    for size, rounds, target in ((10**7, 9, 0.8), (10**5, 100, 1.0)):
        row(f"{size:,}", [(size,)], "by hand", by_hand.adam_in_place(size), rounds, target)
    x, y = np.ones(3), np.ones(3)
    row("three numbers", [()] * 3, "np.add of 3-vectors", lambda: np.add(x, y), 1000, 12.0)
    if find_spec("torch") is None:
        print("torch is not installed, and not compared")
        return
    for size, rounds, target in ((10**7, 9, 0.6), (10**5, 100, 0.8)):
        other = torchs([(size,)], foreach=True)
        row(f"{size:,}", [(size,)], "torch, foreach", other, rounds, target)
    small: Shapes = [(10,)] * 100
    row("100 arrays of 10", small, "torch, fused", torchs(small, fused=True), 300, 0.08)


def main() -> None:
    if "--numba" in sys.argv:
        with_numba()
        return
    print(f"{'parameters':20}{'against':28}{'ratio':>8}{'target':>9}")
    is_there = find_spec("numba") is not None
    sys.modules["numba"] = None  # type: ignore[assignment]  # as if it were not installed
    without_numba()
    if is_there:
        subprocess.run([sys.executable, __file__, "--numba"], check=True)
    else:
        print("numba is not installed, and not compared")


if __name__ == "__main__":
    main()
