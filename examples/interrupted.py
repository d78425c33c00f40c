"""Training that is interrupted and resumed: in another process, in the middle of an epoch.

    waiting ~ normal(intercept + slope (eruptions - 3), noise)

is trained on minibatches of the eruptions of Old Faithful. A first process is killed without
warning while it trains: what is left is the last checkpoint, which is some steps old. A second
process runs the same lines, finds the checkpoint and goes on from it. Parameters and history must
equal the ones of a training without a stop, to the bit. Takes two seconds.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from genparams import (
    ADAM,
    EarlyStopping,
    ParamUpdate,
    cosine_decay,
    gen,
    init_param,
    normal,
    param,
    positive,
    train,
)
from genparams.datasets import faithful

KILLED_AT, CHECKPOINT_EVERY = 100, 30  # steps; an epoch has 17


@gen
def waits(x):
    return normal(param("intercept") + param("slope") * x, param("noise")) @ "waiting"


def run(path, epochs, callbacks=()):
    """Train from the checkpoint at `path`, if there is one, or else from the start."""
    init_param(waits, "intercept", 65.0)
    init_param(waits, "slope", 0.0)
    init_param(waits, "noise", 10.0, constraint=positive)
    table = faithful()
    return train(
        waits,
        ((table["eruptions"] - 3.0,), {"waiting": table["waiting"]}),
        ParamUpdate(ADAM(cosine_decay(0.3, 17 * epochs)), waits),
        epochs=epochs,
        batch_size=16,
        total=len(table["waiting"]),
        callbacks=[EarlyStopping(epochs), *callbacks],
        checkpoint=path,
        checkpoint_every=CHECKPOINT_EVERY,
        resume=True,
        rng=0,
    )


def main(epochs=20):
    """Train for so many epochs without a stop, and in two processes of which one is killed."""
    with TemporaryDirectory() as folder:
        straight = run(Path(folder, "straight.npz"), epochs)
        path = Path(folder, "run.npz")
        killed = subprocess.run([sys.executable, __file__, path, str(epochs)], check=False)
        print(f"the first process was killed in step {KILLED_AT}: code {killed.returncode}")
        done = KILLED_AT // CHECKPOINT_EVERY * CHECKPOINT_EVERY
        resumed = run(path, epochs, [lambda event: say_first(event, done)])

    same = {
        name: np.array_equal(getattr(straight, name), getattr(resumed, name))
        for name in ("steps", "epochs", "log_prob", "grad_norm")
    }
    same |= {name: np.array_equal(straight.params[name], resumed.params[name]) for name in PARAMS}
    print(f"of {len(same)} series {sum(same.values())} are equal to the bit")
    if differ := [name for name, is_same in same.items() if not is_same]:
        raise SystemExit(f"the run that was killed differs in {', '.join(differ)}")
    print(resumed)
    return straight, resumed


PARAMS = "intercept", "slope", "noise"


def say_first(event, done):
    if event.step == done + 1:
        print(f"this process goes on with step {event.step}, in epoch {event.epoch}")


def die(event):
    """End the process at once, as a power cut would."""
    if event.step == KILLED_AT:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    if sys.argv[1:]:
        run(Path(sys.argv[1]), int(sys.argv[2]), [die])
    else:
        main()
