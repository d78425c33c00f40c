"""One process, two processes and a dask cluster: the same training, to the bit.

    x[t] ~ normal(level + decay (x[t-1] - 2), noise),   t = 1 ... 12,   in each of 200 short series

Each series is a trace, and a step of training adds the gradients of all traces. The traces are
placed on the workers once; each step then sends three numbers and gets sums of gradients back. The
sums are pairwise, in a tree that does not depend on the number of workers: the parameters are equal
to the bit after every step. At the end they are compared with least squares. Takes twenty seconds.

Each worker imports this file, so the work is under `if __name__ == "__main__":`.
"""

from contextlib import ExitStack
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from checking import compare

from genparams import (
    ADAM,
    LocalProcesses,
    ParamUpdate,
    accumulate_param_gradients,
    cosine_decay,
    gen,
    init_param,
    normal,
    param,
    place,
    positive,
)

STEPS = 12


@gen
def series(start):
    level, decay, noise = param("level"), param("decay"), param("noise")
    x = start
    for t in range(STEPS):
        x = normal(level + decay * (x - 2.0), noise) @ t


def draw(count):
    """Series as arrays of shape (count, STEPS + 1)."""
    rng = np.random.default_rng(5)
    xs = rng.normal(2.0, 1.0, (count, STEPS + 1))
    for t in range(STEPS):
        xs[:, t + 1] = 0.6 + 0.7 * xs[:, t] + 0.5 * rng.normal(size=count)
    return xs


def trained(xs, steps, executor=None):
    """The parameters after training."""
    init_param(series, "level", 0.0)
    init_param(series, "decay", 0.0)
    init_param(series, "noise", 1.0, constraint=positive)
    traces = [series.generate((row[0],), dict(enumerate(row[1:])))[0] for row in xs.tolist()]
    if executor is not None:
        traces = place(traces, executor)
    update = ParamUpdate(ADAM(cosine_decay(0.2, steps)), series)
    for _ in range(steps):
        accumulate_param_gradients(traces)
        update.apply()
    return {name: p.value for name, p in series.params.items()}


def least_squares(xs):
    """The exact maximum of the likelihood."""
    before, after = xs[:, :-1].ravel() - 2.0, xs[:, 1:].ravel()
    X = np.column_stack([np.ones(len(before)), before])
    (level, decay), *_ = np.linalg.lstsq(X, after, rcond=None)
    noise = np.sqrt(np.mean((after - level - decay * before) ** 2))
    return {"level": level, "decay": decay, "noise": noise}


HAS_DASK = find_spec("distributed") is not None


def main(count=200, steps=200, dask=HAS_DASK):
    xs = draw(count)
    with ExitStack() as stack:
        executors = {"this process": None, "two processes": stack.enter_context(LocalProcesses(2))}
        if dask:
            from distributed import Client, LocalCluster

            cluster = stack.enter_context(LocalCluster(n_workers=2, dashboard_address=":0"))
            executors["a dask cluster"] = stack.enter_context(Client(cluster))
        found = {}
        for name, executor in executors.items():
            start = perf_counter()
            found[name] = trained(xs, steps, executor)
            print(f"{name:16}{perf_counter() - start:6.1f} seconds  {found[name]}")
    if any(values != found["this process"] for values in found.values()):
        raise SystemExit("the parameters are not equal to the bit")
    print()
    compare(found["this process"], least_squares(xs), tolerance=1e-3)
    return found


if __name__ == "__main__":
    main()
