"""Files that are damaged or hostile, loads that are interrupted, and resuming to the bit."""

import contextlib
import hashlib
import io
import json
import math
import os
import pickle
import tracemalloc
import zipfile
from functools import partial
from typing import Any

import numpy as np
import pytest
from common import fault_at

from genparams import (
    ADAM,
    AdamW,
    Momentum,
    ParamStore,
    ParamUpdate,
    ReduceOnPlateau,
    accumulate,
    add_noise,
    by_name,
    chain,
    checkpoint_metadata,
    clip_by_global_norm,
    gen,
    init_param,
    interval,
    known_rules,
    load_checkpoint,
    lower_cholesky,
    normal,
    ordered,
    param,
    partition,
    positive,
    save_checkpoint,
    scale,
    simplex,
    unit_interval,
)
from genparams.errors import CheckpointError, InvalidValue, StateMismatch


class Counter:
    """An object with a state of its own, which it changes line by line."""

    def __init__(self):
        self.count, self.mean = 0, 0.0

    def state_dict(self):
        return {"count": self.count, "mean": self.mean}

    def load_state_dict(self, saved):
        self.count = saved["count"]
        self.mean = saved["mean"]


def a_run(seed=0):
    """The parts of a run: all kinds of parameters, an update, a generator, an object."""
    rng = np.random.default_rng(seed)
    theta = ParamStore(W=rng.standard_normal((2, 3)), b=0.5, e=np.zeros((0, 2)))
    theta.init("s", 2.0, positive)
    theta.init("w", [0.2, 0.3, 0.5], simplex)
    theta.init("f", np.float32(0.25))
    theta.init("g", np.array([1.0, 2.0], np.float32), positive)
    theta.init("still", [1.0, 2.0])
    theta["still"].freeze()
    update = ParamUpdate(chain(clip_by_global_norm(10.0), ADAM(0.1)), theta)
    return {"theta": theta, "update": update, "rng": rng, "counter": Counter()}


def go_on(theta, update, rng, counter, steps=2):
    for _ in range(steps):
        for p in theta.values():
            p.increment_grad(rng.standard_normal(p.shape))
        update.apply()
        counter.count += 1
        counter.mean += 0.125
    for p in theta.values():
        if not p.frozen:
            p.increment_grad(np.full(p.shape, 0.1))


def bits(theta, update, rng, counter):
    """Everything that a run is made of, to the bit."""
    found = [
        (name, np.asarray(a).dtype.str, np.asarray(a).tobytes(), p.frozen, p.accumulated)
        for name, p in theta.items()
        for a in (p.value, p.coordinates, p.grad)
    ]
    state = {k: v.tobytes() for k, v in update.state_dict().items()}
    return found, state, repr(rng.bit_generator.state), counter.state_dict()


@pytest.fixture
def saved(tmp_path):
    """A file, and the parts of another run to load it into."""
    parts = a_run()
    go_on(**parts)
    save_checkpoint(tmp_path / "run", metadata={"epoch": 3}, **parts)
    other = a_run(1)
    go_on(**other, steps=1)
    return tmp_path / "run", other


# --- Damage


def refused(path, parts):
    """Whether a file is refused as damaged, or as of another model, and nothing has changed."""
    before = bits(**parts)
    with pytest.raises((CheckpointError, StateMismatch)):
        load_checkpoint(path, **parts)
    assert bits(**parts) == before


def test_every_damage_at_random_is_found(saved):
    path, parts = saved
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(sound)
        kind = rng.integers(4)
        at = int(rng.integers(len(data)))
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[at : at + int(rng.integers(1, 20))]
        elif kind == 2:
            data[at:at] = rng.bytes(int(rng.integers(1, 20)))
        else:
            data[at : at + 8] = rng.bytes(8)
        assert bytes(data) != sound
        path.write_bytes(bytes(data))
        refused(path, parts)
    path.write_bytes(sound)
    load_checkpoint(path, **parts)


def test_a_file_that_is_cut_anywhere_is_found(saved):
    path, parts = saved
    sound = path.read_bytes()
    for end in [*range(0, len(sound), 97), len(sound) - 1]:
        path.write_bytes(sound[:end])
        refused(path, parts)


def seal(data):
    """A file with the checksum that belongs to it."""
    return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode()


def test_damage_under_a_checksum_that_fits_is_an_error_of_ours_or_harmless(saved):
    path, parts = saved
    sound = path.read_bytes()
    load_checkpoint(path, **parts)
    expected = bits(**parts)
    rng = np.random.default_rng(1)
    for _ in range(400):
        data = bytearray(sound)
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data) - 64))] ^= 1 << int(rng.integers(8))
        path.write_bytes(seal(bytes(data)))
        with contextlib.suppress(CheckpointError, StateMismatch):
            load_checkpoint(path, **parts)
        assert bits(**parts) == expected


# --- Hostile files


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write(path, found, compression=zipfile.ZIP_STORED):
    """Write pairs of names and bytes, with a checksum that fits."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in found:
            archive.writestr(name, data)
        archive.comment = b"0" * 64
    path.write_bytes(seal(path.read_bytes()))


def npy(array, **options):
    at = io.BytesIO()
    np.lib.format.write_array(at, array, **options)
    return at.getvalue()


def spoiler(change):
    """A spoiler that changes the members of a file and its header."""

    def spoil(path):
        found = members(path)
        header = json.loads(np.load(io.BytesIO(found["header.npy"])).tobytes())
        change(found, header)
        found["header.npy"] = npy(np.frombuffer(json.dumps(header).encode(), np.uint8))
        write(path, found.items())

    return spoil


def with_header(change):
    return spoiler(lambda found, header: change(header))


def with_member(name, data):
    return spoiler(lambda found, header: found.update({name: data}))


def with_text(change):
    """A spoiler that changes the text of the header."""

    def spoil(path):
        found = members(path)
        text = change(np.load(io.BytesIO(found["header.npy"])).tobytes().decode())
        found["header.npy"] = npy(np.frombuffer(text.encode(), np.uint8))
        write(path, found.items())

    return spoil


def with_array(name, change):
    """A spoiler that changes an array, and what the header says about it."""

    def both(found, header):
        array = change(np.load(io.BytesIO(found[f"{name}.npy"])))
        header["arrays"][name] = [array.dtype.str, list(array.shape)]
        found[f"{name}.npy"] = npy(array)

    return spoiler(both)


def claims(name, shape, dtype="<f8"):
    """A spoiler whose array claims a shape that it has not, in the header and in the member."""

    def both(found, header):
        header["arrays"][name] = [dtype, shape]
        at = io.BytesIO()
        said = {"descr": dtype, "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(at, said)
        found[f"{name}.npy"] = at.getvalue() + found[f"{name}.npy"][-48:]

    return spoiler(both)


def compressed(path):
    write(path, members(path).items(), zipfile.ZIP_DEFLATED)


def a_bomb(path):
    found = members(path)
    found["theta/value/W.npy"] = bytes(1 << 26)
    write(path, found.items(), zipfile.ZIP_BZIP2)


def twice(path):
    found = members(path)
    with pytest.warns(UserWarning, match="Duplicate name"):
        write(path, [*found.items(), ("theta/value/b.npy", npy(np.array(9.0)))])


def patched(offset, value):
    """A spoiler of a field in every record of the directory of the archive."""

    def spoil(path):
        data = bytearray(path.read_bytes())
        at = data.find(b"PK\x01\x02")
        while at >= 0:
            data[at + offset : at + offset + len(value)] = value
            at = data.find(b"PK\x01\x02", at + 1)
        path.write_bytes(seal(bytes(data)))

    return spoil


def overlapping(path):
    """Every record of the directory but the first points at the member of the second."""
    data = bytearray(path.read_bytes())
    at = second = data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)
    while at >= 0:
        data[at + 42 : at + 46] = data[second + 42 : second + 46]
        at = data.find(b"PK\x01\x02", at + 1)
    path.write_bytes(seal(bytes(data)))


def parameter(name, **entries):
    return with_header(lambda h: h["parts"]["theta"]["parameters"][name].update(entries))


def generator(change):
    return with_header(lambda h: change(h["parts"]["rng"]["state"]))


def deep(h):
    return h.replace('"metadata": {', '"metadata": {"deep": ' + "[" * 100000 + "]" * 100000 + ", ")


M, V = "update/1 ADAM/0 scale_by_adam/m/theta/", "update/1 ADAM/0 scale_by_adam/v/theta/"
T, RATE = "update/1 ADAM/0 scale_by_adam/t/theta/", "update/1 ADAM/1 scale_by_state/factor"
HOSTILE = {
    "compressed": compressed,
    "a bomb": a_bomb,
    "a name twice": twice,
    "an absolute name": with_member("/etc/passwd.npy", npy(np.zeros(1))),
    "a name with ..": with_member("../evil.npy", npy(np.zeros(1))),
    "a member that is no array": with_member("theta/value/W.npy", b"hello"),
    "an unknown member": with_member("theta/more/W.npy", npy(np.zeros(1))),
    "encrypted": patched(8, b"\x01\x00"),
    "strongly encrypted": patched(8, b"\x41\x00"),
    "patched data": patched(8, b"\x20\x00"),
    "an unknown compression": patched(10, b"\x63\x00"),
    "another version of zip": patched(6, b"\xff\x00"),
    "sizes of 4 GiB": patched(20, b"\xf0\xff\xff\xff\xf0\xff\xff\xff"),
    "offsets beyond the file": patched(42, b"\xf0\xff\xff\x7f"),
    "overlapping members": overlapping,
    "728 TiB": claims("theta/value/W", [10**7, 10**7]),
    "a shape beyond 64 bits": claims("theta/value/W", [2**62, 2**62]),
    "no rows of a shape beyond 64 bits": claims("theta/value/e", [0, 2**62, 2**62]),
    "a shape below 0": claims("theta/value/W", [-2, -3]),
    "objects": claims("theta/value/W", [2, 3], "|O"),
    "text": claims("theta/value/W", [2, 3], "<U2"),
    "times": claims("theta/value/W", [2, 3], "<M8[s]"),
    "complex": claims("theta/value/W", [1, 3], "<c16"),
    "columns first": with_member("theta/value/W.npy", npy(np.asfortranarray(np.ones((2, 3))))),
    "high byte first": with_array("theta/value/W", lambda a: a.astype(">f8")),
    "a whole number for a float": with_array("theta/value/b", lambda a: a.astype(np.int64)),
    "a bool for a float": with_array("theta/value/b", lambda a: a != 0),
    "another precision": with_array("theta/value/f", lambda a: a.astype(np.float64)),
    "an array for a number": with_array("theta/value/b", lambda a: a.reshape(1)),
    # the header
    "no frozen": with_header(lambda h: h["parts"]["theta"]["parameters"]["W"].pop("frozen")),
    "no accumulated": with_header(
        lambda h: h["parts"]["theta"]["parameters"]["W"].pop("accumulated")
    ),
    "frozen = yes": parameter("W", frozen="yes"),
    "frozen = 1": parameter("W", frozen=1),
    "accumulated = None": parameter("W", accumulated=None),
    "accumulated = NaN": parameter("W", accumulated=math.nan),
    "a gradient that was not accumulated": parameter("W", accumulated=False),
    "constraint = 3": parameter("W", constraint=3),
    "another constraint": parameter("W", constraint="positive"),
    "more entries": parameter("W", more=1),
    "a parameter that is a list": with_header(
        lambda h: h["parts"]["theta"]["parameters"].update(W=[])
    ),
    "no rule": with_header(lambda h: h["parts"]["update"].pop("rule")),
    "another rule": with_header(lambda h: h["parts"]["update"].update(rule="ADAM()")),
    "no kind": with_header(lambda h: h["parts"]["update"].pop("kind")),
    "an unknown kind": with_header(lambda h: h["parts"]["update"].update(kind=["store"])),
    "a part more": with_header(lambda h: h["parts"].update(more={"kind": "state"})),
    "a part that is a list": with_header(lambda h: h["parts"].update(update=[])),
    "no arrays": with_header(lambda h: h.pop("arrays")),
    "arrays = 3": with_header(lambda h: h.update(arrays=3)),
    "an array = 3": with_header(lambda h: h["arrays"].update({"theta/value/W": 3})),
    "a shape of text": with_header(
        lambda h: h["arrays"].update({"theta/value/W": ["<f8", ["2", "3"]]})
    ),
    "a shape of floats": with_header(
        lambda h: h["arrays"].update({"theta/value/W": ["<f8", [2.0, 3.0]]})
    ),
    "an array of no part": with_header(lambda h: h["arrays"].update({"x": ["<f8", []]})),
    "version = true": with_header(lambda h: h.update(version=True)),
    "version = '2'": with_header(lambda h: h.update(version="2")),
    "version = NaN": with_header(lambda h: h.update(version=math.nan)),
    "no version": with_header(lambda h: h.pop("version")),
    "no metadata": with_header(lambda h: h.pop("metadata")),
    "an entry more": with_header(lambda h: h.update(more=1)),
    "a key twice": with_text(lambda text: text.replace('{"format"', '{"version": 2, "format"', 1)),
    "deep": with_text(deep),
    "no JSON": with_text(lambda text: text[:-1]),
    "a list": with_text(lambda text: f"[{text}]"),
    "a number of 5000 digits": with_text(
        lambda text: text.replace('"epoch": 3', f'"epoch": 1{"0" * 5000}')
    ),
    # what values mean
    "an infinite value": with_array("theta/value/W", lambda a: a * np.inf),
    "a coordinate that is not a number": with_array("theta/theta/b", lambda a: a * np.nan),
    "a gradient that is not a number": with_array("theta/grad/W", lambda a: a * np.nan),
    "an infinite gradient": with_array("theta/grad/b", lambda a: a + np.inf),
    "a value below its bound": with_array("theta/value/s", lambda a: -a),
    "a value on its bound": with_array("theta/value/s", lambda a: 0.0 * a),
    "a simplex that sums to 2": with_array("theta/value/w", lambda a: 2.0 * a),
    "a value of other coordinates": with_array("theta/value/s", lambda a: 1.001 * a),
    "coordinates of another value": with_array("theta/theta/w", lambda a: a + 0.01),
    "single precision of other coordinates": with_array("theta/value/g", lambda a: a * 2),
    "a real value of other coordinates": with_array("theta/value/W", lambda a: a + 1e-12),
    "a negative second moment": with_array(V + "W", lambda a: -a),
    "a negative second moment of a number": with_array(V + "b", lambda a: -a),
    "a second moment that is not a number": with_array(V + "W", lambda a: a * np.nan),
    "an infinite mean": with_array(M + "s", lambda a: a + np.inf),
    "a negative rate": with_array(RATE, lambda a: -a),
    "a rate that is not a number": with_array(RATE, lambda a: a * np.nan),
    "a negative norm": with_array("update/0 clip_by_global_norm/norm", lambda a: -a - 1.0),
    "a negative count": with_array(T + "W", lambda a: -a),
    "half a count": with_array(T + "W", lambda a: a + 0.5),
    "a count of bools": with_array(T + "W", lambda a: a > 0),
    "negative steps": with_array("update/steps", lambda a: -a),
    "half a step": with_array("update/steps", lambda a: a / 2.0),
    # generators
    "a generator without a state": generator(lambda s: s.pop("state")),
    "a generator of text": generator(lambda s: s["state"].update(inc=str(s["state"]["inc"]))),
    "a generator of floats": generator(lambda s: s["state"].update(state=1.5)),
    "a generator below 0": generator(lambda s: s["state"].update(state=-1)),
    "a generator beyond 128 bits": generator(lambda s: s["state"].update(state=1 << 200)),
    "an even increment": generator(lambda s: s["state"].update(inc=2)),
    "a flag of 7": generator(lambda s: s.update(has_uint32=7)),
    "a word of 64 bits": generator(lambda s: s.update(uinteger=1 << 40)),
    "a flag that is a bool": generator(lambda s: s.update(has_uint32=False)),
    "other bits": generator(lambda s: s.update(bit_generator="MT19937")),
    "no bits": generator(lambda s: s.update(bit_generator=3)),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_changes(saved, spoil):
    path, parts = saved
    sound = path.read_bytes()
    spoil(path)
    assert path.read_bytes() != sound
    refused(path, parts)


def test_what_the_table_does_to_a_file_is_not_by_itself_refused(saved):
    path, parts = saved
    write(path, members(path).items())
    with_header(lambda h: h["metadata"].update(epoch=4))(path)
    with_array("theta/grad/W", lambda a: a + 1.0)(path)
    assert load_checkpoint(path, **parts) == {"epoch": 4}


class Bomb:
    """What a file must not run: it makes another file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}.exploded",)


def with_a_bomb(name):
    def spoil(path):
        bomb = npy(np.array([Bomb(path)], dtype=object))
        write(path, {**members(path), f"{name}.npy": bomb}.items())

    return spoil


def without(name):
    def spoil(path):
        write(path, [(n, data) for n, data in members(path).items() if n != f"{name}.npy"])

    return spoil


def with_bytes(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_bytes(lambda data: b""), "not a checkpoint, or is damaged"),
        (with_bytes(lambda data: b"hello"), "not a checkpoint, or is damaged"),
        (with_bytes(lambda data: npy(np.zeros(3))), "is not a checkpoint"),
        (with_bytes(lambda data: data[:-50]), "is damaged"),
        (with_bytes(lambda data: data[:99] + bytes([data[99] ^ 0xFF]) + data[100:]), "is damaged"),
        (with_bytes(lambda data: pickle.dumps([1])), "is damaged"),
        (with_a_bomb("header"), "is damaged"),
        (with_a_bomb("a/theta/x"), "is damaged"),
        (without("header"), "has no header"),
        (without("a/theta/x"), "'a/theta/x' is missing"),
        (with_header(lambda h: h.update(version=3)), "has format 3 .* reads format 2"),
        (with_header(lambda h: h.update(version=0)), "load it with the version that"),
        (with_header(lambda h: h.update(format="x")), "is not one of genparams"),
        (with_header(lambda h: h.update(parts=[])), "does not say what its parts are"),
        (with_header(lambda h: h.update(metadata=3)), "metadata are no dictionary"),
        (with_header(lambda h: h["parts"]["a"].pop("parameters")), "is damaged"),
        (with_header(lambda h: h["parts"]["r"]["state"].pop("state")), "is damaged"),
    ],
)
def test_a_file_that_is_not_sound_says_why_and_runs_nothing(tmp_path, spoil, message):
    path = tmp_path / "run"
    theta, rng = ParamStore(x=np.ones(3)), np.random.default_rng(0)
    save_checkpoint(path, a=theta, r=rng)
    spoil(path)
    before = rng.bit_generator.state
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, a=theta, r=rng)
    assert theta["x"].value.tolist() == [1.0, 1.0, 1.0]
    assert rng.bit_generator.state == before
    assert not os.path.exists(f"{path}.exploded")


@pytest.mark.parametrize(
    ("bit_generator", "change"),
    [
        (np.random.MT19937, {"pos": 625}),
        (np.random.MT19937, {"key": [0] * 624}),
        (np.random.MT19937, {"key": [1] * 623}),
        (np.random.MT19937, {"key": [1 << 32] * 624}),
        (np.random.SFC64, {"state": [1 << 64] * 4}),
        (np.random.PCG64DXSM, {"inc": 4}),
        (np.random.Philox, {"key": "x"}),
    ],
)
def test_a_generator_that_would_read_beyond_its_memory_is_refused(tmp_path, bit_generator, change):
    rng = np.random.Generator(bit_generator(0))
    save_checkpoint(tmp_path / "run", rng=rng)
    with_header(lambda h: h["parts"]["rng"]["state"]["state"].update(change))(tmp_path / "run")
    before = repr(rng.bit_generator.state)
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "run", rng=rng)
    assert repr(rng.bit_generator.state) == before


def test_a_buffer_of_a_generator_is_within_its_memory(tmp_path):
    rng = np.random.Generator(np.random.Philox(0))
    save_checkpoint(tmp_path / "run", rng=rng)
    with_header(lambda h: h["parts"]["rng"]["state"].update(buffer_pos=5))(tmp_path / "run")
    with pytest.raises(CheckpointError, match="buffer_pos is 5"):
        load_checkpoint(tmp_path / "run", rng=rng)


def test_no_memory_is_taken_for_what_a_file_only_claims(tmp_path):
    theta = ParamStore(W=np.zeros((2, 3)))
    save_checkpoint(tmp_path / "run", theta=theta)
    found = members(tmp_path / "run")
    found["theta/value/W.npy"] = bytes(1 << 28)
    write(tmp_path / "run", found.items(), zipfile.ZIP_DEFLATED)
    assert os.path.getsize(tmp_path / "run") < 1 << 20
    tracemalloc.start()
    with pytest.raises(CheckpointError, match="is compressed or encrypted"):
        load_checkpoint(tmp_path / "run", theta=theta)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 22


def test_a_state_of_accumulate_is_within_its_count(tmp_path):
    theta = ParamStore(x=1.0)
    update = ParamUpdate(accumulate(ADAM(0.1), 3), theta)
    save_checkpoint(tmp_path / "run", update=update)
    with_array("update/0 accumulate/calls", lambda a: a + 3)(tmp_path / "run")
    with pytest.raises(CheckpointError, match="calls is not between 0 and 2"):
        load_checkpoint(tmp_path / "run", update=update)


def test_an_older_format_is_told_from_damage(tmp_path):
    header = {"format": "genparams checkpoint", "version": 1, "parts": {}, "metadata": {}}
    with open(tmp_path / "run", "wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8))
    with pytest.raises(CheckpointError, match=r"has format 1 and this .* reads format 2"):
        load_checkpoint(tmp_path / "run", theta=ParamStore(x=1.0))
    with pytest.raises(CheckpointError, match="has format 1"):
        checkpoint_metadata(tmp_path / "run")


# --- What is saved can be loaded


@pytest.mark.parametrize("constraint", [positive, interval(1e6, 1e6 + 1), unit_interval])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_far_out_agree_with_their_coordinates(tmp_path, constraint, dtype):
    low, high = (getattr(constraint, name, None) for name in ("low", "high"))
    extremes = (
        [np.finfo(dtype).tiny, 1e-30, 1.0, 1e30]
        if low is None
        else [low + (high - low) * s for s in (0.125, 0.5, 0.875)]
    )
    theta = ParamStore()
    theta.init("x", np.array(extremes, dtype), constraint)
    save_checkpoint(tmp_path / "run", theta=theta)
    load_checkpoint(tmp_path / "run", theta=theta)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jointly_constrained_values_agree_with_their_coordinates(tmp_path, dtype):
    rng = np.random.default_rng(0)
    theta = ParamStore()
    theta.init("o", np.cumsum(rng.exponential(size=50) + 0.01).astype(dtype) - 20, ordered)
    theta.init("far", np.array([-1e6, 0.0, 1.0], dtype), ordered)
    shares = rng.dirichlet(np.full(20, 0.3)).astype(np.float32).astype(dtype)
    theta.init("s", np.maximum(shares, 1e-30) / np.sum(np.maximum(shares, 1e-30)), simplex)
    theta.init(
        "L",
        np.tril(rng.standard_normal((4, 4))).astype(dtype) + 5 * np.eye(4, dtype=dtype),
        lower_cholesky,
    )
    update = ParamUpdate(ADAM(0.01), theta)
    for step in range(5):
        save_checkpoint(tmp_path / "run", theta=theta, update=update)
        load_checkpoint(tmp_path / "run", theta=theta, update=update)
        update.apply(grads={name: rng.standard_normal(p.shape) for name, p in theta.items()})
        assert update.steps == step + 1


def a_gradient_that_is_not_finite(path):
    theta = ParamStore(x=1.0)
    theta["x"].increment_grad(np.nan)
    save_checkpoint(path, theta=theta)


def a_key_that_is_a_number(path):
    save_checkpoint(path, theta=ParamStore(x=1.0), metadata={"at": [{1: 2}]})


def metadata_that_are_deep(path):
    deep = []
    for _ in range(100000):
        deep = [deep]
    save_checkpoint(path, theta=ParamStore(x=1.0), metadata={"deep": deep})


def a_name_with_a_zero(path):
    save_checkpoint(path, theta=ParamStore({"x\0y": 1.0}))


def a_name_that_is_no_text(path):
    save_checkpoint(path, theta=ParamStore({"\ud800": 1.0}))


def a_name_that_is_too_long(path):
    save_checkpoint(path, theta=ParamStore({"x" * 70000: 1.0}))


def parts_whose_names_meet(path):
    parts: dict[str, Any] = {"a/b": ParamStore(x=1.0)}
    save_checkpoint(path, **parts)


def metadata_that_are_a_list(path):
    save_checkpoint(path, theta=ParamStore(x=1.0), metadata=[3])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (a_gradient_that_is_not_finite, "the gradient of 'x' is not finite"),
        (a_key_that_is_a_number, "a key is a string, got 1"),
        (metadata_that_are_deep, "metadata hold what JSON can"),
        (a_name_with_a_zero, "names of parts and parameters cannot be saved"),
        (a_name_that_is_no_text, "names of parts and parameters cannot be saved"),
        (a_name_that_is_too_long, "names of parts and parameters cannot be saved"),
        (parts_whose_names_meet, "the name of a part has no '/'"),
        (metadata_that_are_a_list, "metadata are a dictionary such as"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, save, message):
    with pytest.raises(InvalidValue, match=message):
        save(tmp_path / "run")
    assert os.listdir(tmp_path) == []


def test_odd_names_are_kept(tmp_path):
    names = ["a/b", "../up", "/etc", "a.npy", "é", "", "header", "value/x"]
    theta = ParamStore({name: float(i) for i, name in enumerate(names)})
    save_checkpoint(tmp_path / "run", header=theta)
    other = ParamStore(dict.fromkeys(names, 9.0))
    load_checkpoint(tmp_path / "run", header=other)
    assert other == theta


def test_metadata_keep_numbers_that_are_not_finite(tmp_path):
    save_checkpoint(tmp_path / "run", theta=ParamStore(x=1.0), metadata={"best": math.inf})
    assert checkpoint_metadata(tmp_path / "run") == {"best": math.inf}


def test_a_plateau_goes_back_to_before_its_first_look(tmp_path):
    update = ParamUpdate(ADAM(0.1), ParamStore(x=1.0))
    plateau = ReduceOnPlateau(update)
    save_checkpoint(tmp_path / "run", plateau=plateau)
    plateau.step(3.0)
    load_checkpoint(tmp_path / "run", plateau=plateau)
    assert plateau.best == math.inf


# --- Whole or not at all


def a_small_run(seed):
    """The parts of a run, one of each kind that is loaded in a way of its own."""
    rng = np.random.default_rng(seed)
    theta = ParamStore(W=rng.standard_normal((2, 2)), b=rng.standard_normal())
    theta.init("s", rng.exponential(), positive)
    update = ParamUpdate(Momentum(0.1), theta)
    parts = {"theta": theta, "update": update, "rng": rng, "counter": Counter()}
    go_on(**parts, steps=seed + 1)
    return parts


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # an open file
def test_a_load_that_is_stopped_at_any_line_is_whole_or_has_not_been(tmp_path):
    path = tmp_path / "run"
    twin = a_small_run(1)
    twin["theta"]["W"].freeze()
    save_checkpoint(path, **twin)
    new = bits(**twin)
    parts = a_small_run(0)
    old = bits(**parts)
    line, ends = 1, {"old": 0, "new": 0}
    while fault_at(line, lambda p=parts: load_checkpoint(path, **p), also=__file__):
        found = bits(**parts)
        assert found in (old, new)
        ends["old" if found == old else "new"] += 1
        if found == new:  # begin again with the old
            parts = a_small_run(0)
        line += 1
    assert bits(**parts) == new
    assert ends["old"] > 300
    assert ends["new"] > 0


def test_an_object_that_refuses_its_state_leaves_all_as_it_was(saved):
    path, parts = saved
    before = bits(**parts)
    counter = parts["counter"]

    class Refuses(Counter):
        def load_state_dict(self, saved):
            self.count = saved["count"]
            if saved["mean"] > 0.2:
                raise ValueError("too much")
            self.mean = saved["mean"]

    refuses = Refuses()
    refuses.count, refuses.mean = counter.count, counter.mean
    with pytest.raises(ValueError, match="too much"):
        load_checkpoint(path, **{**parts, "counter": refuses})
    assert bits(**{**parts, "counter": refuses}) == before


def test_a_run_goes_on_after_a_load_into_parameters_that_were_laid_side_by_side(saved):
    path, parts = saved
    load_checkpoint(path, **parts)
    go_on(**parts)
    twin = a_run(3)
    load_checkpoint(path, **twin)
    go_on(**twin)
    assert bits(**parts) == bits(**twin)


# --- Resuming to the bit


NEEDED = {
    "fixedstepgradientdescent": {"step_size": 0.01},
    "gradientdescent": {"step_size_init": 0.01, "step_size_beta": 5.0},
}
RULES = {
    **{name: partial(by_name, name, **NEEDED.get(name, {})) for name in known_rules()},
    "accumulate": lambda: accumulate(ADAM(0.1), 3),
    "noise": lambda: chain(add_noise(0.1, seed=1), AdamW(0.1)),
    "partition": lambda: partition({"*s": ADAM(0.1), "*": scale(0.01)}),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_resuming_with_gradients_waiting_is_equal_to_the_bit(tmp_path, rule, dtype):
    def made():
        theta = ParamStore(s=dtype(0.3), a=np.linspace(-1, 1, 7, dtype=dtype))
        theta.init("c", dtype(0.7), positive)
        theta.init("p", np.array([0.2, 0.3, 0.5], dtype), simplex)
        return {"theta": theta, "update": ParamUpdate(rule(), theta)}

    def steps(theta, update, rng, count):
        for _ in range(count):
            for p in theta.values():
                p.increment_grad(rng.standard_normal(p.shape) / 3)
            update.apply()

    def found(theta, update):
        return bits(theta, update, np.random.default_rng(0), Counter())

    one, rng = made(), np.random.default_rng(0)
    steps(**one, rng=rng, count=4)
    for p in one["theta"].values():
        p.increment_grad(rng.standard_normal(p.shape) / 3)
    save_checkpoint(tmp_path / "run", rng=rng, **one)
    two, other = made(), np.random.default_rng(1)
    load_checkpoint(tmp_path / "run", rng=other, **two)
    assert found(**one) == found(**two)
    for run, draws in ((one, rng), (two, other)):
        steps(**run, rng=draws, count=3)
    assert found(**one) == found(**two)


def test_a_model_resumes_in_the_middle_of_a_batch(tmp_path):
    @gen
    def resumed(xs):
        return normal(param("slope", 0.0) * xs, 1.0) @ "ys"

    xs = np.arange(5.0)
    trace, _ = resumed.generate((xs,), {"ys": 2.0 * xs})
    update = ParamUpdate(ADAM(0.1), resumed)
    trace.accumulate_param_gradients()
    save_checkpoint(tmp_path / "run", model=resumed, update=update)
    update.apply()
    expected = resumed.params["slope"].value
    init_param(resumed, "slope", 7.0)
    load_checkpoint(tmp_path / "run", model=resumed, update=update)
    update.apply()
    assert resumed.params["slope"].value == expected
