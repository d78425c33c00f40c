"""Models and helpers that worker processes import."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np

from genparams import (
    ParamStore,
    bernoulli,
    custom_random,
    gen,
    get_param,
    interval,
    map_,
    normal,
    param,
    positive,
    set_param,
)


@gen(arg_grads=("xs",))
def line(xs):
    return normal(param("slope") * xs + param("intercept"), param("noise")) @ "ys"


@gen
def row(x):
    hidden = normal(param("weights") @ x, 1.0) @ "hidden"
    return normal(hidden, param("std", 1.5, positive)) @ "y"


rows = map_(row)


@gen
def nested(xs):
    scale = param("scale", np.ones(2), interval(0.1, 5.0))
    if bernoulli(param("flag", 0.5, interval(0.0, 1.0))) @ "flag":
        rows(xs) @ "rows"
    return normal(np.sum(scale), 1.0) @ "total"


def by_hand_log_prob(x, rate):
    return float(np.log(rate) - rate * x)


def by_hand_gradients(x, rate):
    return -rate, 1.0 / rate - x


waiting = custom_random(
    lambda rng, rate: rng.exponential(1.0 / rate),
    by_hand_log_prob,
    by_hand_gradients,
    params=("rate",),
    name="waiting",
)


@gen
def queue(n):
    return [waiting() @ i for i in range(n)]


# --- Clones

teacher_params = ParamStore(slope=3.0, intercept=-1.0, noise=0.5)
teacher = line.with_params(teacher_params)


@gen
def lesson(xs):
    taught = teacher(xs) @ "teacher"
    return line(taught) @ "student"


@gen
def cloning(xs):
    return line.with_params(teacher_params)(xs) @ "inside"


# --- Functions whose runs read other parameters later, or read them in another way


@gen
def late(x):
    return normal(param("b", 0.25) * x, 1.0) @ "y"


@gen
def branching(x):
    a = param("a", 1.0)
    return late.inline(x) if a > 2.0 else normal(a * x, 1.0) @ "y"


@gen
def late_again(x):
    a = param("a", 1.0)
    spread = param("spread", 2.0, positive) if a > 2.0 else 1.0
    return normal(a * x, spread) @ "y"


@gen
def reading(x):
    return normal(get_param(line, "slope") * x, param("std", 1.0, positive)) @ "y"


@gen
def centred():
    return normal(param("mu", 0.0), 1.0) @ "x"


# --- Faults in workers: `home` is the process that made the trace


@gen
def dying_once(x, file):
    marks = Path(file).read_text().split()
    if str(os.getpid()) != marks[0] and len(marks) == 1:
        Path(file).write_text(f"{marks[0]} died")
        leave()
    return normal(param("a", 1.0) * x, 1.0) @ "y"


@gen
def dying(x, home):
    if os.getpid() != home and x == 3.0:
        leave()
    return normal(param("a", 1.0) * x, 1.0) @ "y"


@gen
def hungry(x, home):
    if os.getpid() != home and x == 3.0:
        raise MemoryError("no room")
    return normal(param("a", 1.0) * x, 1.0) @ "y"


lock = threading.Lock()
armed = False


@gen
def starving(x, home):
    if x == 3.0 and (armed or os.getpid() != home):
        raise MemoryError("no room")
    return normal(param("a", 1.0) * x, 1.0) @ "y"


@gen
def holding(thing):
    return normal(param("a", 1.0), 1.0) @ "y"


# --- What tests have workers do


def gradient_there(trace):
    return trace.param_gradients()["centred"]["mu"]


def own_pid(seconds=0.0):
    time.sleep(seconds)
    return os.getpid()


def leave():
    os.kill(os.getpid(), signal.SIGKILL)


def present_mu():
    return get_param(centred, "mu")


def simulated_there():
    set_param(centred, "mu", 99.0)
    trace = centred.simulate((), 0)
    set_param(centred, "mu", 0.0)
    return trace


class Unsendable:
    """A constraint of a user."""

    name = "unsendable"

    def __init__(self, lock=None):
        self.lock = lock

    def natural(self, theta):
        return theta

    def coordinates(self, value):
        return value
