"""Checkpoints: everything that a training run needs to go on, in one file.

The file is written beside its place and renamed into it, so that whatever happens, the old file or
the new one is there, whole. Loading prepares every part aside, and then swaps all of them in at
once. `archive` is the file, `parts` is what is kept of each kind of part.
"""

import operator
import os
from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from genparams.errors import GenParamsError, InvalidValue, StateMismatch
from genparams.memory import Changes, aside
from genparams.mistakes import explained
from genparams.params import lock
from genparams.text import brief
from genparams.update.archive import Arrays, File, opened, write
from genparams.update.parts import KINDS, Call, Own, kind_of, plain


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
    arrays: Arrays = {}
    described = {}
    with lock:
        for name, part in parts.items():
            kind, part = kind_of(part, name)
            if "/" in name or name == "partial":
                raise InvalidValue(
                    "the name of a part has no '/', and is not 'partial', the option of "
                    f"load_checkpoint; got {name!r}"
                )
            description, mine = KINDS[kind].saved(part)
            _refuse_unsound(name, KINDS[kind].meaning(part, description, mine))
            described[name] = {**description, "kind": kind}
            arrays.update({f"{name}/{key}": array for key, array in mine.items()})
    write(place, described, arrays, dict(metadata or {}))


def _refuse_unsound(name: str, wrong: list[str]) -> None:
    if wrong:
        raise InvalidValue(
            f"part {name!r} cannot be saved, since it could not be loaded: {'; '.join(wrong)}"
        )


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
        given = {name: kind_of(part, name) for name, part in parts.items()}
        with opened(_path(path)) as file:
            _refuse_unsound_descriptions(file)
            _refuse_mismatches(file, given, partial)
            file.check_digest()
            arrays = {name: file.arrays_of(name) for name in given}
            own = [(part, plain(arrays[n])) for n, (kind, part) in given.items() if kind == "state"]
            changes: Changes = {}
            calls: list[Call] = []
            for name in given:
                mine, more = _prepared(file, name, *given[name], arrays[name])
                changes.update(mine)
                calls += more
        _swap(changes, calls, own)
    return file.header["metadata"]


def _refuse_unsound_descriptions(file: File) -> None:
    for name, described in file.header["parts"].items():
        kind = described.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise file.damaged(f"part {name!r} is of the unknown kind {kind!r}")
        if wrong := KINDS[kind].described(described, {*file.forms_of(name)}):
            raise file.damaged(f"part {name!r}: {'; '.join(wrong)}")


def _refuse_mismatches(file: File, given: Mapping[str, tuple[str, Any]], partial: bool) -> None:
    """Refuse a file that is of another model."""
    described = file.header["parts"]
    wrong = [
        f"the file has a part {name!r}, which was not given (partial=True leaves it out)"
        for name in described
        if name not in given and not partial
    ]
    wrong += [f"the file has no part {name!r}" for name in given if name not in described]
    for name in [name for name in given if name in described]:
        (kind, part), saved = given[name], described[name]
        if saved["kind"] != kind:
            there = saved["kind"]
            wrong.append(f"part {name!r} is of kind {there} in the file and {kind} here")
        else:
            found = KINDS[kind].mismatches(part, saved, file.forms_of(name))
            wrong += [f"{name}: {difference}" for difference in found]
    if wrong:
        raise StateMismatch(f"{file.path} does not fit: " + "; ".join(wrong))


def _prepared(
    file: File, name: str, kind: str, part: Any, arrays: Arrays
) -> tuple[Changes, list[Call]]:
    """The changes that load a part, once its values are known to mean something."""
    saved = file.header["parts"][name]
    if wrong := KINDS[kind].meaning(part, saved, arrays):
        raise file.damaged(f"part {name!r}: {'; '.join(wrong)}")
    try:
        changes = KINDS[kind].changes(part, saved, arrays)
    except GenParamsError as error:
        raise file.damaged(f"part {name!r}: {error}") from None
    return changes, KINDS[kind].calls(part, saved, arrays)


def _swap(changes: Changes, calls: list[Call], own: list[tuple[Own, dict[str, Any]]]) -> None:
    """Load the objects that load themselves, and then make everything else current at once.

    That is one call of C that runs functions of C only: no interrupt, and no line of Python, comes
    between two of them.
    """
    begun: list[Own] = []
    try:
        for part, saved in own:
            begun.append(part)
            part.loads(saved)
        current = partial(operator.setitem, aside(changes), 0, True)
        deque(map(operator.call, [current, *calls]), maxlen=0)
    except BaseException as error:
        for part in begun:
            try:
                part.loads(part.before)
            except Exception as second:
                error.add_note(f"{part!r} could not be given its state from before: {second!r}")
        raise
