"""The parts of a checkpoint: what is saved of each kind, and how it is loaded.

A part is described in the file's header, as JSON, and has arrays by name: `saved` gives both. It is
loaded in steps, none of which changes anything: `described` checks the description and the names of
the arrays alone, `mismatches` compares them with the program, and `prepared` checks the values and
says what loads them. Each gives a sentence for all that is wrong.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from genparams.errors import GenParamsError, InvalidValue, UnknownFunction
from genparams.params import (
    Changes,
    Parameter,
    ParamStore,
    edit_to_saved,
    edited,
    find,
    restructured,
)
from genparams.text import brief
from genparams.update.checkpoint_file import ArraysByName, Form
from genparams.update.param_update import ParamUpdate
from genparams.update.targets import store_of

Description = dict[str, Any]
Call = partial[Any]
"""A call of a function written in C, which changes one object."""


class Prepared(NamedTuple):
    """What is wrong with the values of a saved part; if nothing is, what loads them."""

    wrong: list[str]
    changes: Callable[[], Changes] = dict
    """Makes the records for `swap`."""
    call: Call | None = None


def part_of(thing: Any, name: str) -> "Part":
    """What is given to be saved or loaded, as a part.

    Raises:
        InvalidValue: it is of no kind that can be saved.
    """
    if isinstance(thing, np.random.Generator):
        return GeneratorPart(thing)
    if isinstance(thing, ParamUpdate):
        return UpdatePart(thing)
    if hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict"):
        return StatePart(thing, name)
    try:
        return StorePart(store_of(thing))
    except UnknownFunction:
        raise InvalidValue(
            f"part {name!r} is {brief(thing)}; a part is a generative function, a ParamStore, a "
            "ParamUpdate, a numpy Generator, or has state_dict and load_state_dict; numbers of "
            "your own go into metadata"
        ) from None


def _has(description: Any, **types: type) -> bool:
    """Whether a description has exactly these entries, each of its type."""
    return (
        isinstance(description, dict)
        and description.keys() == types.keys()
        and all(type(description[key]) is wanted for key, wanted in types.items())
    )


def _differences(expected: Mapping[str, Form], found: Mapping[str, Form], where: str) -> list[str]:
    """How the forms of arrays differ, a sentence each."""
    wrong = [f"{k} is missing" for k in expected if k not in found]
    wrong += [f"{k} is not in this {where}" for k in found if k not in expected]
    for k in [k for k in expected if k in found]:
        (dtype, shape), (its_dtype, its_shape) = expected[k], found[k]
        if its_shape != shape:
            wrong.append(f"{k} has shape {its_shape}, expected {shape}")
        elif its_dtype != dtype:
            wrong.append(f"{k} is {np.dtype(its_dtype)}, expected {np.dtype(dtype)}")
    return wrong


def _form_of(value: Any) -> Form:
    array = np.asarray(value)
    return array.dtype.newbyteorder("<").str, array.shape


# --- Stores


class StorePart:
    """A store: values, constraints, accumulators, and what is frozen."""

    kind = "store"
    _KEYS = "theta", "value", "grad"

    def __init__(self, store: ParamStore):
        self._store = store

    def saved(self) -> tuple[Description, ArraysByName]:
        described, arrays = {}, {}
        for name, p in self._store.items():
            described[name] = {
                "constraint": repr(p.constraint),
                "dtype": p.dtype.name,
                "frozen": bool(p.frozen),
                "accumulated": bool(p.accumulated),
            }
            arrays[f"theta/{name}"] = np.array(p.coordinates, p.dtype)
            arrays[f"value/{name}"] = np.array(p.value, p.dtype)
            arrays[f"grad/{name}"] = np.array(p.grad)  # of a single number always float64
        return {"parameters": described}, arrays

    @staticmethod
    def described(description: Description, names: set[str]) -> list[str]:
        if not _has(description, kind=str, parameters=dict):
            return ["it does not say what its parameters are"]
        parameters = description["parameters"]
        types = {"constraint": str, "dtype": str, "frozen": bool, "accumulated": bool}
        wrong = [f"{name!r} is {d!r}" for name, d in parameters.items() if not _has(d, **types)]
        expected = {f"{key}/{name}" for name in parameters for key in StorePart._KEYS}
        return wrong + [f"{name!r} is missing, or has no parameter" for name in names ^ expected]

    def mismatches(self, description: Description, forms: dict[str, Form]) -> list[str]:
        described, store = description["parameters"], self._store
        unknown = [name for name in described if find(store, name) is None]
        wrong = [f"there is no parameter {name!r} here" for name in unknown]
        wrong += [f"the file has no parameter {name!r}" for name in store if name not in described]
        for name, p in [(name, p) for name, p in store.items() if name in described]:
            there = {key: forms[f"{key}/{name}"] for key in self._KEYS}
            wrong += [
                f"{name!r} has {what} {of_file} in the file, {mine} here"
                for what, of_file, mine in _compared(p, described[name], there)
                if of_file != mine
            ]
        return wrong

    def prepared(self, description: Description, arrays: ArraysByName) -> Prepared:
        wrong: list[str] = []
        edits: dict[Parameter, Any] = {}
        for name, p in self._store.items():
            described = description["parameters"][name]
            theta, value, grad = (arrays[f"{key}/{name}"] for key in self._KEYS)
            for what, array in (("theta", theta), ("value", value), ("gradient", grad)):
                if not np.all(np.isfinite(array)):
                    wrong.append(f"the {what} of {name!r} is not finite")
            if not described["accumulated"] and np.any(grad):
                wrong.append(f"{name!r} has a gradient, and none was accumulated")
            if wrong:
                continue
            saved = {
                "theta": theta,
                "value": value,
                "grad": grad if described["accumulated"] else None,
                "frozen": described["frozen"],
            }
            try:
                edits[p] = edit_to_saved(p, saved)
            except GenParamsError as error:
                wrong.append(str(error))
        return Prepared(wrong, lambda: edited(edits, restructured()))


def _compared(
    p: Parameter, described: Description, there: dict[str, Form]
) -> list[tuple[str, Any, Any]]:
    """What a parameter has in common with a saved one, if they fit: in words, there, and here."""
    dtype = p.dtype.newbyteorder("<").str
    here = {"theta": dtype, "value": dtype, "grad": dtype if p.shape else "<f8"}
    return [
        ("the constraint", described["constraint"], repr(p.constraint)),
        ("type", described["dtype"], p.dtype.name),
        ("shape", there["value"][1], p.value_shape),
        ("a gradient of shape", there["grad"][1], p.shape),
        ("coordinates of shape", there["theta"][1], p.shape),
        *((f"{key} of type", there[key][0], here[key]) for key in here),
    ]


# --- Updates


class UpdatePart:
    """An update: its rule's state, with counters and rates."""

    kind = "update"

    def __init__(self, update: ParamUpdate):
        self._rule = repr(update.rule)
        self._state = update.saved_state()

    def saved(self) -> tuple[Description, ArraysByName]:
        return {"rule": self._rule}, self._state.now()

    @staticmethod
    def described(description: Description, names: set[str]) -> list[str]:
        if not _has(description, kind=str, rule=str):
            return ["it does not say what its rule is"]
        return [f"{name!r} is missing" for name in {"steps", "skipped"} - names]

    def mismatches(self, description: Description, forms: dict[str, Form]) -> list[str]:
        rule = description["rule"]
        wrong = [f"its rule is {rule} in the file and {self._rule} here"] * (rule != self._rule)
        here = {name: _form_of(value) for name, value in self._state.expected.items()}
        return wrong + _differences(here, forms, "update")

    def prepared(self, description: Description, arrays: ArraysByName) -> Prepared:
        wrong = self._state.differences(arrays)
        return Prepared(wrong, lambda: self._state.restored(arrays))


# --- Objects with a state of their own


class StatePart:
    """An object that has `state_dict` and `load_state_dict`, which loads itself."""

    kind = "state"

    def __init__(self, thing: Any, name: str):
        self._thing = thing
        self._before = deepcopy(thing.state_dict())
        is_by_name = isinstance(self._before, Mapping)
        if not is_by_name or not all(isinstance(k, str) for k in self._before):
            raise InvalidValue(
                f"part {name!r}: a state is a dictionary by name, got {self._before!r}"
            )
        self._arrays = {key: np.array(value) for key, value in self._before.items()}
        for key, array in self._arrays.items():
            if array.dtype.kind not in "fiub":
                raise InvalidValue(
                    f"a state holds numbers and arrays of them; {key!r} is {self._before[key]!r}"
                )

    def saved(self) -> tuple[Description, ArraysByName]:
        return {}, self._arrays

    @staticmethod
    def described(description: Description, names: set[str]) -> list[str]:
        return [] if _has(description, kind=str) else [f"it is {description!r}"]

    def mismatches(self, description: Description, forms: dict[str, Form]) -> list[str]:
        here = {key: _loosely(_form_of(array)) for key, array in self._arrays.items()}
        return _differences(here, {key: _loosely(form) for key, form in forms.items()}, "object")

    def prepared(self, description: Description, arrays: ArraysByName) -> Prepared:
        # numbers are Python's and arrays are copies, as the object gave them
        self._next = {key: a.copy() if a.ndim else a.item() for key, a in arrays.items()}
        return Prepared([])  # the object knows what is wrong

    def load(self) -> None:
        self._thing.load_state_dict(self._next)

    def load_again(self, error: BaseException) -> None:
        """Restore the state from before, after an error; note another error there."""
        try:
            self._thing.load_state_dict(self._before)
        except Exception as second:
            error.add_note(f"{self._thing!r} could not be given its state from before: {second!r}")


def _loosely(form: Form) -> Form:
    """A form in which all types of numbers are one: a count may have become a mean."""
    return ("|b1" if form[0] == "|b1" else "<f8"), form[1]


# --- Generators

_GREATEST = {"has_uint32": 1, "uinteger": (1 << 32) - 1, "pos": 624, "buffer_pos": 4}
"""The greatest values of entries that numpy does not check, and uses to index memory."""


class GeneratorPart:
    """A numpy Generator: the state of its bits, as JSON."""

    kind = "generator"

    def __init__(self, generator: np.random.Generator):
        self._bits = generator.bit_generator

    def saved(self) -> tuple[Description, ArraysByName]:
        return {"state": _without_arrays(self._bits.state)}, {}

    @staticmethod
    def described(description: Description, names: set[str]) -> list[str]:
        if not _has(description, kind=str, state=dict):
            return ["it does not say what its state is"]
        if type(description["state"].get("bit_generator")) is not str:
            return ["it does not say what makes its bits"]
        return [f"a generator has no array {name!r}" for name in names]

    def mismatches(self, description: Description, forms: dict[str, Form]) -> list[str]:
        there, here = description["state"]["bit_generator"], self._bits.state["bit_generator"]
        wrong = f"its bits are of {there} in the file and of {here} here"
        return [wrong] if there != here else []

    def prepared(self, description: Description, arrays: ArraysByName) -> Prepared:
        state = description["state"]
        wrong = self._unsound(state)
        return Prepared(wrong, call=partial(setattr, self._bits, "state", state))

    def _unsound(self, state: Any) -> list[str]:
        if not _alike(state, _without_arrays(self._bits.state)):
            return ["its state is not the state of a generator"]
        numbers = {k: v for d in (state, state["state"]) for k, v in d.items() if k in _GREATEST}
        wrong = [f"{name} is {v}" for name, v in numbers.items() if v > _GREATEST[name]]
        if state["bit_generator"].startswith("PCG64") and state["state"]["inc"] % 2 == 0:
            wrong.append("inc is not odd")
        if state["bit_generator"] == "MT19937" and not any(state["state"]["key"]):
            wrong.append("key is 0")
        if wrong:
            return wrong
        twin = type(self._bits)()
        try:
            twin.state = state
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            return [f"its state is refused: {error}"]
        is_same = _without_arrays(twin.state) == state
        return [] if is_same else ["its state has numbers out of range"]


def _without_arrays(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _without_arrays(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def _alike(found: Any, here: Any) -> bool:
    """Whether two states have the same entries, of the same types, with no number below 0."""
    if type(found) is not type(here):
        return False
    if isinstance(here, dict):
        return found.keys() == here.keys() and all(_alike(found[k], here[k]) for k in here)
    if isinstance(here, list):
        return len(found) == len(here) and all(map(_alike, found, here))
    return not isinstance(here, int) or found >= 0


Part = StorePart | UpdatePart | StatePart | GeneratorPart
KINDS = {part.kind: part for part in (StorePart, UpdatePart, StatePart, GeneratorPart)}
