"""One step of ADAM against the same by hand in numpy, and against torch where it is installed.

    python benchmarks/update.py [--numba]

Each figure is the median ratio of runs taken in turns, in one run and on one thread. By hand is the
plain loop of thirteen passes in place. The step is the whole `apply()`: looking up what moves,
checking every gradient and every result, and emptying the accumulators.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse  # noqa: E402  # the number of threads is read when numpy is loaded
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
from step import ratio  # noqa: E402

from genparams import ADAM, ParamStore, ParamUpdate  # noqa: E402
from genparams.update import runs  # noqa: E402


def ours(shapes: list[tuple[int, ...]]) -> Callable[[], None]:
    """A step along accumulated gradients, which are marked as accumulated anew each time.

    That is done in the memory, so that next to nothing but the step is measured.
    """
    rng = np.random.default_rng(0)
    theta = ParamStore(**{f"p{i}": np.zeros(shape) for i, shape in enumerate(shapes)})
    update = ParamUpdate(ADAM(0.001), theta)
    parameters = [p for _, p in theta.items()]
    for p in parameters:
        p.set_grad(rng.standard_normal(p.shape))
    update.apply()
    memories = list({p._at[0] for p in parameters})
    for p in parameters:
        p.set_grad(rng.standard_normal(p.shape))
    kept = [(memory, list(memory.now.grad)) for memory in memories]

    def step() -> None:
        for memory, grads in kept:
            memory.now.grad[:] = grads
        update.apply()

    return step


def by_hand(size: int) -> Callable[[], None]:
    """Thirteen passes in place."""
    g = np.random.default_rng(0).standard_normal(size)
    p, m, v, a = np.zeros(size), np.zeros(size), np.zeros(size), np.empty(size)
    beta1, beta2, rate, epsilon, t = 0.9, 0.999, 0.001, 1e-8, 0

    def step() -> None:
        nonlocal t
        t += 1
        np.multiply(m, beta1, out=m)
        np.multiply(g, 1.0 - beta1, out=a)
        np.add(m, a, out=m)
        np.multiply(v, beta2, out=v)
        np.multiply(g, g, out=a)
        np.multiply(a, 1.0 - beta2, out=a)
        np.add(v, a, out=v)
        np.divide(v, 1.0 - beta2**t, out=a)
        np.sqrt(a, out=a)
        np.add(a, epsilon, out=a)
        np.divide(m, a, out=a)
        np.multiply(a, rate / (1.0 - beta1**t), out=a)
        np.add(p, a, out=p)

    return step


def streams(size: int, fused: bool) -> Callable[[], None]:
    """What moves as much memory as a step must: four arrays read, three of them written."""
    p, m, v, g = (np.ones(size) for _ in range(4))

    def move(p: Any, m: Any, v: Any, g: Any) -> None:
        for start in range(0, size, 4096):
            here = slice(start, start + 4096)
            np.add(p[here], g[here], out=p[here])
            np.add(m[here], p[here], out=m[here])
            np.add(v[here], p[here], out=v[here])

    if fused:
        import numba  # pyright: ignore[reportMissingImports]

        @numba.njit(parallel=True)
        def move(p: Any, m: Any, v: Any, g: Any) -> None:
            for i in numba.prange(p.size):
                p[i] += g[i]
                m[i] += g[i]
                v[i] += g[i]

    move(p, m, v, g)
    return lambda: move(p, m, v, g)


def torch_adam(shapes: list[tuple[int, ...]], **how: bool) -> Callable[[], Any] | None:
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    torch.set_num_threads(1)
    parameters = [torch.zeros(s, dtype=torch.float64, requires_grad=True) for s in shapes]
    for p in parameters:
        p.grad = torch.randn(p.shape, dtype=torch.float64)
    step = torch.optim.Adam(parameters, lr=0.001, **how).step
    step()
    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numba", action="store_true", help="use the extra numba, if installed")
    fused = parser.parse_args().numba
    if not fused:
        runs.FUSED = 1 << 60
    print(f"{'parameters':20}{'against':28}{'ratio':>8}{'target':>9}")

    def row(what: str, against: str, ours: Any, other: Any, repeats: int, target: float) -> None:
        found = f"{ratio(ours, other, repeats):8.3f}" if other else "    none"
        print(f"{what:20}{against:28}{found}{target:9.2f}")

    for size, repeats, hand, foreach in ((10**7, 7, 0.8, 0.6), (10**5, 200, 1.0, 0.8)):
        step = ours([(size,)])
        row(f"{size:,}", "by hand in place", step, by_hand(size), repeats, hand)
        other = torch_adam([(size,)], foreach=True)
        row(f"{size:,}", "torch, foreach", step, other, repeats, foreach)
        if size == 10**7:
            row(f"{size:,}", "moving seven streams", step, streams(size, fused), repeats, 1.25)
    small = [(10,)] * 100
    row("100 arrays of 10", "torch, fused", ours(small), torch_adam(small, fused=True), 500, 0.08)
    x, y = np.ones(3), np.ones(3)
    row(
        "three scalars", "np.add of two 3-vectors", ours([()] * 3), lambda: np.add(x, y), 3000, 12.0
    )


if __name__ == "__main__":
    main()
