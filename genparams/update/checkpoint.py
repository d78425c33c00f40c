"""Checkpoints: everything that a training run needs to go on, in one file.

A checkpoint is an npz file without pickled objects. Its entry "header" is JSON: the format and its
version, what each part is, and the user's metadata. The other entries are arrays, named
"part/...". It is written beside its place and renamed into it, so that whatever happens, the old
file or the new one is there, whole.
"""

import contextlib
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genparams.errors import CheckpointError, InvalidValue, StateMismatch, UnknownFunction
from genparams.keywords import explained
from genparams.params import Parameter, ParamStore, lock
from genparams.tree import brief
from genparams.update.param_update import ParamUpdate
from genparams.update.states import differences
from genparams.update.targets import store_of

FORMAT, VERSION = "genparams checkpoint", 1

Arrays = dict[str, np.ndarray]


@explained
def save_checkpoint(
    path: str | os.PathLike[str], /, metadata: Mapping[str, Any] | None = None, **parts: Any
) -> None:
    """Write what training needs to go on into one file.

        save_checkpoint("run.npz", model=model, update=update, rng=rng, metadata={"epoch": 3})

    Args:
        metadata: Anything that JSON can hold.
        parts: By a name of your own: generative functions and stores (values, constraints,
            accumulators, what is frozen), updates (the rule's state with its counters and rates),
            numpy Generators, and whatever has `state_dict` and `load_state_dict`.

    Raises:
        InvalidValue: the metadata are not JSON, or there is nothing to save; no file is touched.
        OSError: the file cannot be written; an old file of that name stays as it was.
    """
    if not parts:
        raise InvalidValue("there is nothing to save; write save_checkpoint(path, model=model)")
    arrays: Arrays = {}
    described = {}
    with lock:
        for name, part in parts.items():
            kind = _kind_of(part, name)
            described[name], mine = _SAVED[kind](part)
            described[name]["kind"] = kind
            arrays.update({f"{name}/{key}": array for key, array in mine.items()})
    header = {
        "format": FORMAT,
        "version": VERSION,
        "parts": described,
        "metadata": dict(metadata or {}),
    }
    try:
        text = json.dumps(header)
    except (TypeError, ValueError) as error:
        raise InvalidValue(
            f"metadata hold what JSON can: numbers, strings, lists and dictionaries; {error}"
        ) from None
    _write(Path(path), {"header": np.frombuffer(text.encode(), np.uint8), **arrays})


def _write(path: Path, arrays: Arrays) -> None:
    """Write beside the file and rename into its place."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; make it first")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:
            np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name outlasts a loss of power
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@explained
def checkpoint_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata of a checkpoint, by which a program may know what to make before it loads.

    Raises:
        CheckpointError, FileNotFoundError: as `load_checkpoint`.
    """
    return _read(Path(path))[0]["metadata"]


@explained
def load_checkpoint(
    path: str | os.PathLike[str], /, partial: bool = False, **parts: Any
) -> dict[str, Any]:
    """Take up what `save_checkpoint` wrote, and return the metadata.

        metadata = load_checkpoint("run.npz", model=model, update=update, rng=rng)

    The parts are made as before, by the same program: a checkpoint holds numbers and no code.
    Training that goes on from here equals training that never stopped, to the bit.

    Args:
        partial: Whether the file may have parts that are not given, as when only the model is
            wanted.
        parts: What to load into, by the names with which it was saved.

    Raises:
        CheckpointError: the file is not a checkpoint, is damaged, or has a format from the future.
        StateMismatch: parts, names, shapes, types, constraints or rules differ; the message lists
            each difference.
        FileNotFoundError: there is no such file.

    If it raises, nothing has changed.
    """
    header, arrays = _read(Path(path))
    saved = header["parts"]
    wrong = [
        f"the file has a part {name!r}, which was not given (partial=True leaves it out)"
        for name in saved
        if name not in parts and not partial
    ]
    wrong += [f"the file has no part {name!r}" for name in parts if name not in saved]
    loads: list[Callable[[], None]] = []
    for name in [name for name in parts if name in saved]:
        kind, meant = _kind_of(parts[name], name), saved[name].get("kind")
        if kind != meant:
            wrong.append(f"part {name!r} is of kind {meant} in the file and {kind} here")
            continue
        begin = len(name) + 1
        mine = {key[begin:]: a for key, a in arrays.items() if key.startswith(f"{name}/")}
        try:
            found, load = _LOADED[kind](parts[name], saved[name], mine)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path}: part {name!r} is damaged: {error!r}") from None
        wrong += [f"{name}: {difference}" for difference in found]
        loads.append(load)
    if wrong:
        raise StateMismatch(f"{path} does not fit: " + "; ".join(wrong))
    with lock:
        for load in loads:
            load()
    return header["metadata"]


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """The header and the arrays of a file, once both are known to be sound."""
    try:
        with open(path, "rb") as raw:
            file = np.load(raw, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile) or "header" not in file.files:
                raise CheckpointError(f"{path} is not a checkpoint: it has no header")
            header = json.loads(file["header"].tobytes())
            _check_header(path, header)
            return header, {key: file[key] for key in file.files if key != "header"}
    except (FileNotFoundError, CheckpointError):
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, RecursionError) as error:
        raise CheckpointError(f"{path} is not a checkpoint, or is damaged: {error}") from None


def _check_header(path: Path, header: Any) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint: its header is not one of genparams")
    version = header.get("version")
    if version != VERSION:
        raise CheckpointError(
            f"{path} has format {version!r} and this version of genparams reads format {VERSION}; "
            "load it with the version that wrote it"
        )
    parts, metadata = header.get("parts"), header.get("metadata")
    if not (isinstance(parts, dict) and all(isinstance(p, dict) for p in parts.values())):
        raise CheckpointError(f"{path} is damaged: its header does not say what its parts are")
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} is damaged: its metadata are no dictionary")


def _kind_of(part: Any, name: str) -> str:
    if isinstance(part, np.random.Generator):
        return "generator"
    if isinstance(part, ParamUpdate):
        return "update"
    if hasattr(part, "state_dict") and hasattr(part, "load_state_dict"):
        return "state"
    try:
        store_of(part)
    except UnknownFunction:
        raise InvalidValue(
            f"part {name!r} is {part!r}; a part is a generative function, a ParamStore, a "
            "ParamUpdate, a numpy Generator, or has state_dict and load_state_dict; numbers of "
            "your own go into metadata"
        ) from None
    return "store"


# --- Stores


def _saved_store(part: Any) -> tuple[dict[str, Any], Arrays]:
    store = store_of(part)
    described = {
        name: {
            "constraint": repr(p.constraint),
            "dtype": p.dtype.name,
            "frozen": p.frozen,
            "accumulated": p.accumulated,
        }
        for name, p in store.items()
    }
    arrays = {
        f"{what}/{name}": np.array(array, p.dtype)
        for name, p in store.items()
        for what, array in (("theta", p.coordinates), ("value", p.value), ("grad", p.grad))
    }
    return {"parameters": described}, arrays


def _loaded_store(part: Any, saved: dict, arrays: Arrays) -> tuple[list[str], Callable[[], None]]:
    store: ParamStore = store_of(part)
    described = saved["parameters"]
    wrong = [f"there is no parameter {name!r} here" for name in described if name not in store]
    wrong += [f"the file has no parameter {name!r}" for name in store if name not in described]
    both = [(name, p) for name, p in store.items() if name in described]
    for name, p in both:
        wrong += [
            f"{name!r} has {what} {there} in the file, {here} here"
            for what, there, here in (
                ("the constraint", described[name]["constraint"], repr(p.constraint)),
                ("type", described[name]["dtype"], p.dtype.name),
                ("shape", arrays[f"value/{name}"].shape, np.shape(p.value)),
                ("a gradient of shape", arrays[f"grad/{name}"].shape, p.shape),
                ("coordinates of shape", arrays[f"theta/{name}"].shape, p.shape),
            )
            if there != here
        ]
        wrong += [
            f"{what} of {name!r} is not made of finite numbers"
            for what in ("theta", "value")
            if arrays[f"{what}/{name}"].dtype.kind != "f"
            or not np.all(np.isfinite(arrays[f"{what}/{name}"]))
        ]

    def load() -> None:
        for name, p in both:
            _restore(
                p, described[name], *(arrays[f"{w}/{name}"] for w in ("theta", "value", "grad"))
            )

    return wrong, load


def _restore(p: Parameter, saved: dict, theta: Any, value: Any, grad: Any) -> None:
    p.restore(theta, value)
    p.zero_grad()
    if saved["accumulated"]:
        p.set_grad(grad)
    if saved["frozen"] != p.frozen:
        (p.freeze if saved["frozen"] else p.thaw)()


# --- Updates, generators, and what else has a state


def _saved_update(part: ParamUpdate) -> tuple[dict[str, Any], Arrays]:
    return {"rule": repr(part.rule)}, part.state_dict()


def _loaded_update(
    part: ParamUpdate, saved: dict, arrays: Arrays
) -> tuple[list[str], Callable[[], None]]:
    wrong = part.differences(arrays)
    if saved["rule"] != repr(part.rule):
        wrong.insert(0, f"its rule is {saved['rule']} in the file and {part.rule!r} here")
    return wrong, lambda: part.load_state_dict(arrays)


def _saved_state(part: Any) -> tuple[dict[str, Any], Arrays]:
    arrays = {key: np.array(value) for key, value in part.state_dict().items()}
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise InvalidValue(
                f"a state holds numbers and arrays of them; {key!r} is {brief(array)}"
            )
    return {}, arrays


def _loaded_state(part: Any, saved: dict, arrays: Arrays) -> tuple[list[str], Callable[[], None]]:
    plain = {key: array if array.ndim else array.item() for key, array in arrays.items()}
    return differences(part.state_dict(), arrays), lambda: part.load_state_dict(plain)


def _saved_generator(part: np.random.Generator) -> tuple[dict[str, Any], Arrays]:
    return {"state": _without_arrays(dict(part.bit_generator.state))}, {}


def _without_arrays(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _without_arrays(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def _loaded_generator(
    part: np.random.Generator, saved: dict, arrays: Arrays
) -> tuple[list[str], Callable[[], None]]:
    state, here = saved["state"], part.bit_generator.state["bit_generator"]
    if state["bit_generator"] != here:
        there = state["bit_generator"]
        return [f"its bits are of {there} in the file and of {here} here"], lambda: None
    twin = type(part.bit_generator)()
    twin.state = state  # refuses what is no state, before anything has changed
    return [], lambda: setattr(part.bit_generator, "state", state)


_SAVED: dict[str, Callable[[Any], tuple[dict[str, Any], Arrays]]] = {
    "store": _saved_store,
    "update": _saved_update,
    "state": _saved_state,
    "generator": _saved_generator,
}
_LOADED: dict[str, Callable[[Any, dict, Arrays], tuple[list[str], Callable[[], None]]]] = {
    "store": _loaded_store,
    "update": _loaded_update,
    "state": _loaded_state,
    "generator": _loaded_generator,
}
