"""What changes beside an update: parameters that come and go, other threads, and interrupts."""

import copy
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from common import parameters_in_memory

from genparams import (
    ADAM,
    SGD,
    Momentum,
    ParamStore,
    ParamUpdate,
    accumulate,
    chain,
    gen,
    load_checkpoint,
    normal,
    param,
    positive,
    save_checkpoint,
    unit_interval,
)
from genparams.errors import CheckpointError, ConstraintError, InvalidValue
from genparams.params import declare

# --- Parameters that come and go


def discard_first(s: ParamStore) -> None:
    s.discard("a")


def start_first_anew(s: ParamStore) -> None:
    s.init("a", np.ones(5))


def make_first_a_number(s: ParamStore) -> None:
    s.init("a", 1.0)


def add_one(s: ParamStore) -> None:
    s.init("new", np.ones(2))


def fill_up(s: ParamStore) -> None:
    s.init("a", np.zeros(0))


CHANGES = (discard_first, start_first_anew, make_first_a_number, add_one, fill_up)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("who_packs", ["the same update", "another update", "nobody"])
def test_state_follows_its_parameter_when_others_come_and_go(
    change: Callable[[ParamStore], None], who_packs: str
) -> None:
    s = ParamStore(a=np.zeros(3), b=np.zeros(3), c=np.zeros(3), d=0.0)
    s.init("e", np.ones(3), positive)
    update, other = ParamUpdate(ADAM(0.1), s), ParamUpdate(SGD(0.1), s)
    grads = {"a": 1.0, "b": 10.0, "c": 100.0, "e": 1000.0}
    update.apply({name: np.full(3, g) for name, g in grads.items()} | {"d": 5.0})
    kept = {k: v for k, v in update.state_dict().items() if k.rpartition("/")[2] in "bcde"}
    change(s)
    if who_packs == "another update":
        other.apply({"b": np.zeros(3)})
    if who_packs == "the same update":
        kept = {k: v for k, v in kept.items() if not k.endswith("/b")}
        update.apply({"b": np.zeros(3)})
    now = update.state_dict()
    for name, value in kept.items():
        assert np.array_equal(now[name], value), name


def test_state_of_parameters_that_are_gone_is_forgotten() -> None:
    s = ParamStore(a=np.zeros(3), b=0.0)
    for rule in (ADAM(0.1), accumulate(ADAM(0.1), 2)):
        update = ParamUpdate(rule, s)
        for _ in range(20):
            s.init("a", np.zeros(3))
            update.apply({"a": np.ones(3), "b": 1.0})
        assert len(parameters_in_memory(s)) <= 3  # those there and the one of the last step


def test_a_state_keeps_its_type_where_rules_work_in_another() -> None:
    parts = ADAM(0.1, dtype="float64"), Momentum(0.1)
    for rule in (chain(*parts), accumulate(chain(*parts), 2), chain(*parts, accumulate(SGD(1), 2))):
        s = ParamStore(a=np.zeros(3, np.float32))
        update = ParamUpdate(rule, s)
        before = {name: v.dtype for name, v in update.state_dict().items()}
        for _ in range(3):
            update.apply({"a": np.ones(3)})
        assert {name: v.dtype for name, v in update.state_dict().items()} == before
        copy.copy(update)  # its state loads


# --- Threads


@pytest.fixture
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def beside(work: Callable[[], Any], seconds: float, read: Callable[[], Any]) -> None:
    """Run `work` again and again in a thread while `read` runs here; raise what either raises."""
    stop, raised = threading.Event(), []

    def loop() -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            read()
    finally:
        stop.set()
        thread.join()
    assert not raised, raised


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("copied", [lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy])
def test_a_store_is_pickled_as_it_is_at_one_moment(copied: Callable[[Any], ParamStore]) -> None:
    s = ParamStore(a=0.0, b=np.zeros(4), c=np.zeros(2, np.float32), d=0.0)
    update = ParamUpdate(SGD(1.0), s)
    grads = {"a": 1.0, "b": np.ones(4), "c": np.ones(2), "d": 1.0}

    def read() -> None:
        assert len({float(np.max(p.value)) for p in copied(s).values()}) == 1

    beside(lambda: update.apply(grads), 0.5, read)


@pytest.mark.usefixtures("quick_switches")
def test_a_store_may_grow_while_others_read_it() -> None:
    s = ParamStore(a=0.0, b=np.zeros(4))
    count = iter(range(10**9))

    def grow() -> None:
        n = next(count)
        s.init(f"x{n % 40}", np.zeros(n % 3 + 1))
        s.discard(f"x{(n + 7) % 40}")

    def read() -> None:
        names = set(s)
        assert "Parameter('a'" in repr(s)
        assert "ParamStore" in s._repr_html_()
        assert {"a", "b"} <= names
        assert len([p.value for p in s.values()]) >= 2
        assert {n: p.value for n, p in s.items()}["a"] == 0.0
        assert (pickle.loads(pickle.dumps(s)) == copy.deepcopy(s)) in (True, False)
        assert len(ParamUpdate(SGD(0.1), s).parameters()) >= 2

    beside(grow, 0.5, read)


def test_a_pickled_parameter_is_the_one_of_its_pickled_store() -> None:
    s = ParamStore(a=1.0, b=np.ones(2))
    a, store, b = pickle.loads(pickle.dumps((s["a"], s, s["b"])))
    assert (a, b) == (store["a"], store["b"])
    assert store == s
    old = s["a"]
    s.init("a", 2.0)
    store, alone = pickle.loads(pickle.dumps((s, old)))
    assert (store["a"].value, alone.value, alone.store) == (2.0, 1.0, store)
    twin = copy.copy(s["b"])
    twin.set([3.0, 4.0])
    assert s["b"].value.tolist() == [1.0, 1.0]


# --- Loading


class Trainer:
    """An object of a user's, whose own load asks the update for what it moves."""

    def __init__(self, update: ParamUpdate):
        self.update = update

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": 1}

    def load_state_dict(self, saved: Any) -> None:
        self.update.parameters()


def test_parameters_frozen_by_a_load_stay_when_another_part_looks_during_it(tmp_path: Path) -> None:
    s = ParamStore(a=1.0, b=1.0)
    update = ParamUpdate(SGD(1.0), s)
    s["a"].freeze()
    parts: dict[str, Any] = {"s": s, "trainer": Trainer(update)}
    save_checkpoint(tmp_path / "c.npz", **parts)
    s["a"].thaw()
    update.apply({"a": 1.0, "b": 1.0})
    load_checkpoint(tmp_path / "c.npz", **parts)
    s["a"].increment_grad(1.0)
    s["b"].increment_grad(1.0)
    update.apply()
    assert (s["a"].value, s["b"].value) == (1.0, 2.0)


# --- Interrupts


class Interrupt:
    """A trace function that raises KeyboardInterrupt at one instruction of the library."""

    def __init__(self, at: int, folder: str):
        self.left, self.folder = at, folder

    def __call__(self, frame: Any, event: str, arg: Any) -> Any:
        if self.folder not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def interrupted(at: int, work: Callable[[], Any], folder: str = "genparams") -> bool:
    """Whether an interrupt at some instruction came before the end."""
    before = sys.gettrace()
    sys.settrace(Interrupt(at, folder))
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # between two files
def test_an_interrupt_in_a_save_is_an_interrupt_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    s = ParamStore(a=1.0, b=np.ones(3))
    save_checkpoint(path, s=s)
    old = path.read_bytes()
    s["a"].set(2.0)
    at, step = 1, 13
    while interrupted(
        at, lambda: save_checkpoint(path, s=s), os.path.join("update", "checkpoint_file")
    ):
        if path.read_bytes() != old:  # renamed already
            load_checkpoint(path, s=ParamStore(a=0.0, b=np.zeros(3)))
            os.unlink(path)
            path.write_bytes(old)
        assert [f.name for f in tmp_path.iterdir()] == ["c.npz"]
        at += step
    assert at > 20 * step


def test_an_interrupted_init_leaves_the_constraint_stated_or_not_at_all() -> None:
    at = 1
    while True:
        s = ParamStore()
        done = not interrupted(at, lambda s=s: s.init("a", 2.0, positive))
        if "a" in s:
            declare(s, "a", 1.0, None)
            declare(s, "a", 1.0, copy.copy(s["a"].constraint))
            assert declare(s, "a", 1.0, unit_interval) is s["a"]  # `init` counts for more
        if done:
            break
        at += 1
    assert at > 100


# --- Names and messages of checkpoints


def test_what_load_cannot_take_as_a_part_is_refused_by_save(tmp_path: Path) -> None:
    s = ParamStore(a=1.0)
    parts: dict[str, Any] = {"partial": s, "s": s}
    with pytest.raises(InvalidValue, match="not 'partial'"):
        save_checkpoint(tmp_path / "c.npz", **parts)
    save_checkpoint(tmp_path / "c.npz", s=s)
    with pytest.raises(InvalidValue, match="partial is True or False"):
        load_checkpoint(tmp_path / "c.npz", **parts)
    nul: dict[str, Any] = {"a\0b": s}
    with pytest.raises(InvalidValue, match="has a zero in it"):
        save_checkpoint(tmp_path / "c.npz", **nul)


def test_the_message_about_a_damaged_header_is_short(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    s = ParamStore(**{f"a{i}": 1.0 for i in range(100)})
    save_checkpoint(path, s=s)
    data = bytearray(path.read_bytes())
    data[data.index(b'"format"') + 1] = 0xFF
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, s=s)
    assert len(str(caught.value)) < 300 + len(str(path))


# --- Constraints of a user's own


class Above1:
    name = "above1"

    def natural(self, theta: Any) -> Any:
        return np.exp(theta) + 1.0

    def coordinates(self, value: Any) -> Any:
        return np.log(value - 1.0)

    def __repr__(self) -> str:
        return "above1"


class Unconstrained(Above1):
    def natural(self, theta: Any) -> Any:
        return theta

    def coordinates(self, value: Any) -> Any:
        return value


class Reversed(Unconstrained):
    def natural(self, theta: Any) -> Any:
        return theta[..., ::-1]

    def coordinates(self, value: Any) -> Any:
        return value[..., ::-1]


@pytest.mark.parametrize("constraint", [Above1(), Unconstrained(), Reversed()])
def test_values_of_a_users_constraint_never_change(constraint: Any) -> None:
    s = ParamStore()
    p = s.init("a", np.array([2.0, 3.0, 4.0]), constraint)
    update = ParamUpdate(SGD(0.1), s)
    held = []
    for _ in range(6):
        held.append((p.value, p.value.copy()))
        update.apply({"a": np.ones(3)})
    assert np.array_equal(p.value, constraint.natural(p.coordinates))
    assert all(np.array_equal(value, then) for value, then in held)


class OtherShape(Above1):
    def natural(self, theta: Any) -> Any:
        return np.zeros(7)


class NotInverse(Above1):
    def natural(self, theta: Any) -> Any:
        return theta + 5.0


class InPlace(Above1):
    def natural(self, theta: Any) -> Any:
        theta += 1.0
        return np.exp(theta - 1.0) + 1.0


class Integers(Above1):
    def natural(self, theta: Any) -> Any:
        return np.round(super().natural(theta)).astype(int)


class NotFinite(Above1):
    def coordinates(self, value: Any) -> Any:
        return value * np.nan


class Complex(Above1):
    def coordinates(self, value: Any) -> Any:
        return value + 1j


class HalfMade:
    def coordinates(self, value: Any) -> Any:
        return value


WRONG = {
    OtherShape: r"has shape \(7,\)",
    NotInverse: "must be inverse to each other",
    InPlace: "changes theta",
    Integers: "a type of floats",
    NotFinite: "not finite",
    Complex: "must be real numbers",
    HalfMade: "is one such as positive",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_constraint_that_is_none_is_refused(wrong: type) -> None:
    s = ParamStore()
    with pytest.raises(ConstraintError, match=WRONG[wrong]):
        s.init("a", np.array([2.0, 3.0]), wrong())
    assert "a" not in s


def test_a_constraint_made_in_each_run_needs_an_equality() -> None:
    @gen
    def f() -> Any:
        return normal(param("a", 2.0, constraint=Above1()), 1.0) @ "y"

    f.simulate(())
    with pytest.raises(ConstraintError, match="make the constraint once, outside the function"):
        f.simulate(())
