"""Checkpoints: everything that a training run needs to go on, in one file.

The file is written beside its place and renamed into it, so that the old file or the new one is
there, whole, whatever happens. Loading prepares every part, and then makes all of them current at
once. `checkpoint_file` is the file, and `checkpoint_parts` says what is saved of each kind of part.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genparams.errors import InvalidValue, StateMismatch
from genparams.mistakes import explained
from genparams.params import Changes, lock, swap_and_call
from genparams.text import brief
from genparams.update.checkpoint_file import ArraysByName, File, opened, write
from genparams.update.checkpoint_parts import KINDS, Call, Part, StatePart, part_of


@explained
def save_checkpoint(
    path: str | os.PathLike[str], /, metadata: Mapping[str, Any] | None = None, **parts: Any
) -> None:
    """Write what training needs to go on into one file.

        save_checkpoint("run.npz", model=model, update=update, rng=rng, metadata={"epoch": 3})

    Args:
        metadata: Anything that JSON can hold, with strings as keys; a tuple comes back as a list.
        parts: By a name of your own: generative functions and stores (values, constraints,
            accumulators, what is frozen), updates (the rule's state with its counters and rates),
            numpy Generators, and whatever has `state_dict` and `load_state_dict`.

    Raises:
        InvalidValue: the metadata are not JSON, there is nothing to save, or an accumulator or a
            state is not finite; no file is touched.
        OSError: the file cannot be written; an old file of that name stays as it was.
    """
    place = _path(path)
    if not parts:
        raise InvalidValue("there is nothing to save; write save_checkpoint(path, model=model)")
    if not isinstance(metadata or {}, Mapping):
        raise InvalidValue(f"metadata are a dictionary such as {{'epoch': 3}}, got {metadata!r}")
    arrays: ArraysByName = {}
    described = {}
    with lock:
        for name, thing in parts.items():
            part = part_of(thing, name)
            if "/" in name or name == "partial":
                raise InvalidValue(
                    "the name of a part has no '/', and is not 'partial', the option of "
                    f"load_checkpoint; got {name!r}"
                )
            description, mine = part.saved()
            if wrong := part.prepared(description, mine).wrong:
                raise InvalidValue(
                    f"part {name!r} cannot be saved, since it could not be loaded: "
                    f"{'; '.join(wrong)}"
                )
            described[name] = {**description, "kind": part.kind}
            arrays.update({f"{name}/{key}": array for key, array in mine.items()})
    write(place, described, arrays, dict(metadata or {}))


def _path(path: Any) -> Path:
    """The path that comes first."""
    if not isinstance(path, str | os.PathLike):
        raise InvalidValue(
            f"the path of a checkpoint comes first, such as 'run.npz', got {brief(path)}"
        )
    return Path(path)


@explained
def checkpoint_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata of a checkpoint, by which a program may know what to make before it loads.

    The arrays are not read, and neither is the checksum.

    Raises:
        CheckpointError, FileNotFoundError: as `load_checkpoint`.
    """
    with opened(_path(path)) as file:
        return file.header["metadata"]


@explained
def load_checkpoint(
    path: str | os.PathLike[str], /, partial: bool = False, **parts: Any
) -> dict[str, Any]:
    """Restore what `save_checkpoint` wrote, and return the metadata.

        metadata = load_checkpoint("run.npz", model=model, update=update, rng=rng)

    The parts are made as before, by the same program: a checkpoint holds numbers and no code.
    Training that goes on from here equals training that never stopped, to the bit.

    Args:
        partial: Whether the file may have parts that are not given, as when only the model is
            wanted.
        parts: What to load into, by the names with which it was saved.

    Raises:
        CheckpointError: the file is not a checkpoint, is damaged, holds values that mean nothing,
            such as a value outside its constraint, or has a format that is not known.
        StateMismatch: parts, names, shapes, types, constraints or rules differ; the message lists
            each difference.
        FileNotFoundError: there is no such file.

    If it raises, also for Ctrl-C, nothing has changed, or everything has. The one exception is an
    object whose own `load_state_dict` raises half-way: it is given its state from before again.
    """
    if not isinstance(partial, bool):
        raise InvalidValue(f"partial is True or False, got {partial!r}")
    with lock:
        given = {name: part_of(thing, name) for name, thing in parts.items()}
        with opened(_path(path)) as file:
            _refuse_unsound_descriptions(file)
            _refuse_mismatches(file, given, partial)
            file.check_digest()
            changes: Changes = {}
            calls: list[Call] = []
            for name, part in given.items():
                ready = part.prepared(file.header["parts"][name], file.arrays_of(name))
                if ready.wrong:
                    raise file.damaged(f"part {name!r}: {'; '.join(ready.wrong)}")
                changes.update(ready.changes())
                calls += [ready.call] if ready.call else []
        _load(changes, calls, [part for part in given.values() if isinstance(part, StatePart)])
    return file.header["metadata"]


def _refuse_unsound_descriptions(file: File) -> None:
    for name, described in file.header["parts"].items():
        kind = described.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise file.damaged(f"part {name!r} is of the unknown kind {kind!r}")
        if wrong := KINDS[kind].described(described, {*file.forms_of(name)}):
            raise file.damaged(f"part {name!r}: {'; '.join(wrong)}")


def _refuse_mismatches(file: File, given: Mapping[str, Part], partial: bool) -> None:
    """Refuse a file that was saved from another model."""
    described = file.header["parts"]
    wrong = [
        f"the file has a part {name!r}, which was not given (partial=True leaves it out)"
        for name in described
        if name not in given and not partial
    ]
    wrong += [f"the file has no part {name!r}" for name in given if name not in described]
    for name in [name for name in given if name in described]:
        part, saved = given[name], described[name]
        if saved["kind"] != part.kind:
            there = saved["kind"]
            wrong.append(f"part {name!r} is of kind {there} in the file and {part.kind} here")
        else:
            found = part.mismatches(saved, file.forms_of(name))
            wrong += [f"{name}: {difference}" for difference in found]
    if wrong:
        raise StateMismatch(f"{file.path} does not fit: " + "; ".join(wrong))


def _load(changes: Changes, calls: list[Call], states: list[StatePart]) -> None:
    """Let objects load themselves, and then make everything else current at once."""
    begun: list[StatePart] = []
    try:
        for part in states:
            begun.append(part)
            part.load()
        swap_and_call(changes, calls)
    except BaseException as error:
        for part in begun:
            part.load_again(error)
        raise
