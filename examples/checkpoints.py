"""Checkpoints: training that stops and goes on in another process, as if it had never stopped.

    waiting ~ normal(intercept + slope (eruptions - 3), noise)

is trained on minibatches of the eruptions of Old Faithful, once without a stop, and once with a
stop half-way. A second process restores the run from a file with three parts: the model, the update
with the state of its rule, and the generator that draws the minibatches. Both runs must end with
the same numbers, to the bit. With a part left out they do not: see
`main(parts=("model", "update"))`. Takes two seconds.
"""

import os
import subprocess
import sys
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


@gen
def waits(x):
    return normal(param("intercept") + param("slope") * x, param("noise")) @ "waiting"


def begin(steps):
    """A new run of so many steps; its three parts by name."""
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


def numbers(run):
    """All that training moves: values, the state of the rule, and that of the generator."""
    values = {name: parameter.value for name, parameter in run["model"].params.items()}
    return values | run["update"].state_dict() | run["rng"].bit_generator.state["state"]


def main(steps=600, parts=("model", "update", "rng")):
    """Train for so many steps, twice; the second time in two processes, with these parts saved."""
    run = begin(steps)
    train(run, until=steps)
    straight = numbers(run)

    with TemporaryDirectory() as folder:
        path = Path(folder, "run.npz")
        run = begin(steps)
        train(run, until=steps // 2)
        saved = {name: run[name] for name in parts}
        save_checkpoint(path, **saved, metadata={"process": os.getpid(), "step": steps // 2})
        subprocess.run([sys.executable, __file__, path, str(steps), *parts], check=True)
        run = begin(steps)
        load_checkpoint(path, **run)

    resumed = numbers(run)
    differ = [name for name in straight if np.any(straight[name] != resumed[name])]
    print(f"of {len(straight)} arrays and numbers {len(differ)} differ")
    if differ:
        raise SystemExit(f"the run that stopped differs from the reference in {differ[0]}")
    return straight, resumed


def resume(path, steps, *parts):
    """What the second process does: it restores the run, finishes it, and saves it whole."""
    run = begin(int(steps))
    at = load_checkpoint(path, **{name: run[name] for name in parts})
    print(f"process {os.getpid()} goes on from step {at['step']} of process {at['process']}")
    train(run, until=int(steps))
    save_checkpoint(path, **run)


if __name__ == "__main__":
    resume(*sys.argv[1:]) if sys.argv[1:] else main()
