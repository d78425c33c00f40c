"""Checkpoints: training that stops and goes on in another process, as if it had never stopped.

    waiting ~ normal(intercept + slope (eruptions - 3), noise)

is trained on minibatches of the eruptions of Old Faithful, once straight through, and once with a
stop half-way. A fresh process takes the second run up from a file with three parts: the model, the
update with the running means and counts of its rule, and the generator that draws the minibatches.
The reference is the first run, with which the second must end equal to the bit. With a part left
out it does not: see `main(parts=("model", "update"))`. Takes a second.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from genparams import (
    ADAM,
    ParamUpdate,
    cosine_decay,
    gen,
    init_param,
    load_checkpoint,
    normal,
    param,
    positive,
    save_checkpoint,
)
from genparams.datasets import faithful

PARTS = ("model", "update", "rng")


@gen
def waits(x):
    return normal(param("intercept") + param("slope") * x, param("noise")) @ "waiting"


def begin(steps):
    """A fresh run of so many steps; its three parts by name."""
    init_param(waits, "intercept", 65.0)
    init_param(waits, "slope", 0.0)
    init_param(waits, "noise", 10.0, constraint=positive)
    update = ParamUpdate(ADAM(cosine_decay(0.3, steps)), waits)
    return {"model": waits, "update": update, "rng": np.random.default_rng(0)}


def train(run, until):
    """Take steps on minibatches of 16, until so many are done."""
    x, y = faithful()["eruptions"] - 3.0, faithful()["waiting"]
    while run["update"].steps < until:
        chosen = run["rng"].choice(len(y), 16, replace=False)
        trace, _ = waits.generate((x[chosen],), {"waiting": y[chosen]})
        trace.accumulate_param_gradients(scale=1.0 / 16)
        run["update"].apply()


def everything(run):
    """All that training moves: values, the state of the rule, and that of the generator."""
    values = {name: parameter.value for name, parameter in run["model"].params.items()}
    return values | run["update"].state_dict() | run["rng"].bit_generator.state["state"]


def main(steps=600, parts=PARTS):
    """Train for so many steps, twice; the second time by two processes, with these parts saved."""
    start = time.perf_counter()
    run = begin(steps)
    train(run, until=steps)
    straight = everything(run)

    with TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        run = begin(steps)
        train(run, until=steps // 2)
        saved = {name: run[name] for name in parts}
        save_checkpoint(path, **saved, metadata={"process": os.getpid(), "step": steps // 2})
        subprocess.run([sys.executable, __file__, path, str(steps), *parts], check=True)
        run = begin(steps)
        load_checkpoint(path, **run)
    resumed = everything(run)
    report(straight, resumed, time.perf_counter() - start)
    return straight, resumed


def resume(path, steps, *parts):
    """What the other process does: it takes the run up, ends it, and saves it whole."""
    run = begin(int(steps))
    at = load_checkpoint(path, **{name: run[name] for name in parts})
    print(f"process {os.getpid()} goes on from step {at['step']} of process {at['process']}")
    train(run, until=int(steps))
    save_checkpoint(path, **run)


def report(straight, resumed, seconds):
    print(f"{'':12}{'straight':>22}{'stopped and resumed':>22}")
    for name in waits.params:
        print(f"{name:12}{straight[name]!r:>22}{resumed[name]!r:>22}")
    differ = [name for name in straight if np.any(straight[name] != resumed[name])]
    print(f"of {len(straight)} such entries {len(differ)} differ; in {seconds:.2f} seconds")
    if differ:
        raise SystemExit(f"the run that stopped differs from the reference in {differ[0]}")


if __name__ == "__main__":
    resume(*sys.argv[1:]) if sys.argv[1:] else main()
