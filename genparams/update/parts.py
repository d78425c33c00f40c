"""The parts of a checkpoint: what is saved of each kind, and how it is loaded at once.

Loading is in two steps. The first finds every difference and every value that means nothing, and
prepares what is new aside. The second makes everything new current, in one call of C.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from genparams.errors import GenParamsError, InvalidValue, UnknownFunction
from genparams.memory import Changes
from genparams.params import Parameter, ParamStore
from genparams.text import brief
from genparams.types import Real
from genparams.update.archive import Arrays, Form
from genparams.update.param_update import ParamUpdate, Template
from genparams.update.targets import store_of

Call = Callable[[], Any]
"""A call of a function of C, which changes one object."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be done with one kind of part.

    Args:
        saved: From a part to its description, as JSON, and its arrays.
        described: What is wrong with a description and the names of its arrays, a sentence each.
        mismatches: From a part, a description and the forms of its arrays to the differences.
        meaning: From a part, a description and its arrays to what is wrong with the values.
        changes: From the same to the next records of its memory, which `swap` makes current.
        calls: From the same to calls of functions of C that load the part. An object with a state
            of its own has neither, and loads itself.
    """

    saved: Callable[[Any], tuple[dict[str, Any], Arrays]]
    described: Callable[[dict[str, Any], set[str]], list[str]]
    mismatches: Callable[[Any, dict[str, Any], dict[str, Form]], list[str]]
    meaning: Callable[[Any, dict[str, Any], Arrays], list[str]]
    changes: Callable[[Any, dict[str, Any], Arrays], Changes] = lambda *part: {}
    calls: Callable[[Any, dict[str, Any], Arrays], list[Call]] = lambda *part: []


def kind_of(part: Any, name: str) -> tuple[str, Any]:
    """The kind of a part, and the part in the form in which its kind takes it."""
    if isinstance(part, np.random.Generator):
        return "generator", part
    if isinstance(part, ParamUpdate):
        return "update", _Stateful(part, part.template())
    if hasattr(part, "state_dict") and hasattr(part, "load_state_dict"):
        return "state", Own(part, name)
    try:
        return "store", store_of(part)
    except UnknownFunction:
        raise InvalidValue(
            f"part {name!r} is {brief(part)}; a part is a generative function, a ParamStore, a "
            "ParamUpdate, a numpy Generator, or has state_dict and load_state_dict; numbers of "
            "your own go into metadata"
        ) from None


def _has(description: Any, **kinds: type) -> bool:
    """Whether a description has just these entries, each of its type."""
    return (
        isinstance(description, dict)
        and description.keys() == kinds.keys()
        and all(type(description[key]) is kind for key, kind in kinds.items())
    )


def _form_of(value: Any) -> Form:
    array = np.asarray(value)
    return array.dtype.newbyteorder("<").str, array.shape


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


# --- Stores

_OF_PARAMETER = "theta", "value", "grad"


def _saved_store(store: ParamStore) -> tuple[dict[str, Any], Arrays]:
    described = {
        name: {
            "constraint": repr(p.constraint),
            "dtype": p.dtype.name,
            "frozen": bool(p.frozen),
            "accumulated": bool(p.accumulated),
        }
        for name, p in store.items()
    }
    arrays = {f"{what}/{name}": a for name, p in store.items() for what, a in _arrays_of(p).items()}
    return {"parameters": described}, arrays


def _arrays_of(p: Parameter) -> Arrays:
    """What is kept of a parameter; the gradient of a single number is always a float64."""
    theta, value = np.array(p.coordinates, p.dtype), np.array(p.value, p.dtype)
    return {"theta": theta, "value": value, "grad": np.array(p.grad)}


def _forms_of(p: Parameter) -> dict[str, Form]:
    """The forms of what is kept of a parameter."""
    dtype = p.dtype.newbyteorder("<").str
    grad = dtype if p.shape else "<f8"
    return {"theta": (dtype, p.shape), "value": (dtype, np.shape(p.value)), "grad": (grad, p.shape)}


def _described_store(described: dict[str, Any], names: set[str]) -> list[str]:
    if not _has(described, kind=str, parameters=dict):
        return ["it does not say what its parameters are"]
    kinds = {"constraint": str, "dtype": str, "frozen": bool, "accumulated": bool}
    wrong = [f"{p!r} is {d!r}" for p, d in described["parameters"].items() if not _has(d, **kinds)]
    expected = {f"{what}/{name}" for name in described["parameters"] for what in _OF_PARAMETER}
    return wrong + [f"{name!r} is missing, or has no parameter" for name in names ^ expected]


def _store_mismatches(
    store: ParamStore, saved: dict[str, Any], forms: dict[str, Form]
) -> list[str]:
    described = saved["parameters"]
    unknown = [name for name in described if store.find(name) is None]
    wrong = [f"there is no parameter {name!r} here" for name in unknown]
    wrong += [f"the file has no parameter {name!r}" for name in store if name not in described]
    for name, p in [(name, p) for name, p in store.items() if name in described]:
        here = _forms_of(p)
        there = {what: forms[f"{what}/{name}"] for what in _OF_PARAMETER}
        wrong += [
            f"{name!r} has {what} {of_file} in the file, {mine} here"
            for what, of_file, mine in (
                ("the constraint", described[name]["constraint"], repr(p.constraint)),
                ("type", described[name]["dtype"], p.dtype.name),
                ("shape", there["value"][1], here["value"][1]),
                ("a gradient of shape", there["grad"][1], here["grad"][1]),
                ("coordinates of shape", there["theta"][1], here["theta"][1]),
                *((f"{w} of type", there[w][0], here[w][0]) for w in _OF_PARAMETER),
            )
            if of_file != mine
        ]
    return wrong


def _store_meaning(store: ParamStore, saved: dict[str, Any], arrays: Arrays) -> list[str]:
    wrong = []
    for name, p in store.items():
        theta, value, grad = (arrays[f"{what}/{name}"] for what in _OF_PARAMETER)
        for what, array in (("theta", theta), ("value", value), ("gradient", grad)):
            if not np.all(np.isfinite(array)):
                wrong.append(f"the {what} of {name!r} is not finite")
        if not saved["parameters"][name]["accumulated"] and np.any(grad):
            wrong.append(f"{name!r} has a gradient, and none was accumulated")
        if not wrong and (fault := _odd_value(p, theta, value)):
            wrong.append(f"{name!r} {fault}")
    return wrong


def _odd_value(p: Parameter, theta: np.ndarray, value: np.ndarray) -> str:
    """What is wrong with a finite value, if anything is."""
    if isinstance(p.constraint, Real):
        return "" if np.array_equal(theta, value) else "has a value that is not its coordinates"
    theta, value = theta.astype(p.dtype), value.astype(p.dtype)
    try:
        p.constraint.coordinates(value)
    except GenParamsError as error:
        return f"has a value outside its constraint: {error}"
    with np.errstate(all="ignore"):
        natural = np.asarray(p.constraint.natural(theta if theta.ndim else float(theta)))
    if natural.shape != value.shape or not np.all(_agree(natural, value, p.dtype)):
        return "has a value that does not belong to its coordinates"
    return ""


def _agree(a: np.ndarray, b: np.ndarray, dtype: np.dtype) -> Any:
    """Whether values agree but for rounding on the way to coordinates and back."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    largest = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0))
    share = 1e-4 if dtype == np.float32 else 1e-7
    return np.abs(a - b) <= share * np.abs(b) + 1e4 * np.finfo(dtype).eps * largest


def _store_changes(store: ParamStore, saved: dict[str, Any], arrays: Arrays) -> Changes:
    entries = {}
    for name in store:
        theta, value, grad = (arrays[f"{what}/{name}"] for what in _OF_PARAMETER)
        described = saved["parameters"][name]
        entries[name] = {
            "theta": theta,
            "value": value,
            "grad": grad if described["accumulated"] else None,
            "frozen": described["frozen"],
        }
    return store.restored(entries)


# --- Updates


@dataclass(frozen=True, slots=True)
class _Stateful:
    """An update, and what its saved state looks like."""

    update: ParamUpdate
    template: Template


def _saved_update(part: _Stateful) -> tuple[dict[str, Any], Arrays]:
    return {"rule": repr(part.update.rule)}, part.update.state_dict()


def _described_update(described: dict[str, Any], names: set[str]) -> list[str]:
    if not _has(described, kind=str, rule=str):
        return ["it does not say what its rule is"]
    return [f"{name!r} is missing" for name in {"steps", "skipped"} - names]


def _update_mismatches(part: _Stateful, saved: dict[str, Any], forms: dict[str, Form]) -> list[str]:
    wrong = []
    if saved["rule"] != repr(part.update.rule):
        wrong.append(f"its rule is {saved['rule']} in the file and {part.update.rule!r} here")
    here = {name: _form_of(value) for name, value in part.template.expected.items()}
    return wrong + _differences(here, forms, "update")


def _update_meaning(part: _Stateful, saved: dict[str, Any], arrays: Arrays) -> list[str]:
    return part.update.differences(arrays, part.template)


def _update_changes(part: _Stateful, saved: dict[str, Any], arrays: Arrays) -> Changes:
    return part.update.restored(arrays, part.template)


# --- Objects with a state of their own


class Own:
    """An object that has `state_dict` and `load_state_dict`, and its state now."""

    def __init__(self, part: Any, name: str):
        self.part = part
        self.before = deepcopy(part.state_dict())
        if not isinstance(self.before, Mapping) or not all(isinstance(k, str) for k in self.before):
            raise InvalidValue(
                f"part {name!r}: a state is a dictionary by name, got {self.before!r}"
            )
        self.arrays = {key: np.array(value) for key, value in self.before.items()}
        for key, array in self.arrays.items():
            if array.dtype.kind not in "fiub":
                raise InvalidValue(
                    f"a state holds numbers and arrays of them; {key!r} is {self.before[key]!r}"
                )

    def loads(self, saved: Mapping[str, Any]) -> None:
        self.part.load_state_dict(saved)

    def __repr__(self) -> str:
        return repr(self.part)


def plain(arrays: Arrays) -> dict[str, Any]:
    """A saved state as an object gave it: numbers of Python's and arrays."""
    return {key: a.copy() if a.ndim else a.item() for key, a in arrays.items()}


def _saved_state(own: Own) -> tuple[dict[str, Any], Arrays]:
    return {}, own.arrays


def _described_state(described: dict[str, Any], names: set[str]) -> list[str]:
    return [] if _has(described, kind=str) else [f"it is {described!r}"]


def _state_mismatches(own: Own, saved: dict[str, Any], forms: dict[str, Form]) -> list[str]:
    here = {key: _loosely(_form_of(array)) for key, array in own.arrays.items()}
    return _differences(here, {key: _loosely(form) for key, form in forms.items()}, "object")


def _loosely(form: Form) -> Form:
    """A form in which all types of numbers are one: a count may have become a mean."""
    return ("|b1" if form[0] == "|b1" else "<f8"), form[1]


def _state_meaning(own: Own, saved: dict[str, Any], arrays: Arrays) -> list[str]:
    return []  # that is for the object to say


# --- Generators

_GREATEST = {"has_uint32": 1, "uinteger": (1 << 32) - 1, "pos": 624, "buffer_pos": 4}
"""The greatest values of what numpy takes as it is, and reads memory by."""


def _saved_generator(part: np.random.Generator) -> tuple[dict[str, Any], Arrays]:
    return {"state": _without_arrays(part.bit_generator.state)}, {}


def _without_arrays(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {key: _without_arrays(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state


def _described_generator(described: dict[str, Any], names: set[str]) -> list[str]:
    if not _has(described, kind=str, state=dict):
        return ["it does not say what its state is"]
    if type(described["state"].get("bit_generator")) is not str:
        return ["it does not say what makes its bits"]
    return [f"a generator has no array {name!r}" for name in names]


def _generator_mismatches(
    part: np.random.Generator, saved: dict[str, Any], forms: dict[str, Form]
) -> list[str]:
    there, here = saved["state"]["bit_generator"], part.bit_generator.state["bit_generator"]
    return [f"its bits are of {there} in the file and of {here} here"] if there != here else []


def _generator_meaning(
    part: np.random.Generator, saved: dict[str, Any], arrays: Arrays
) -> list[str]:
    state = saved["state"]
    if not _alike(state, _without_arrays(part.bit_generator.state)):
        return ["its state is not that of a generator"]
    numbers = {k: v for d in (state, state["state"]) for k, v in d.items() if k in _GREATEST}
    wrong = [f"{name} is {v}" for name, v in numbers.items() if v > _GREATEST[name]]
    if state["bit_generator"].startswith("PCG64") and state["state"]["inc"] % 2 == 0:
        wrong.append("inc is not odd")
    if state["bit_generator"] == "MT19937" and not any(state["state"]["key"]):
        wrong.append("key is 0")
    if wrong:
        return wrong
    twin = type(part.bit_generator)()
    try:
        twin.state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        return [f"its state is refused: {error}"]
    return [] if _without_arrays(twin.state) == state else ["its state has numbers out of range"]


def _alike(found: Any, here: Any) -> bool:
    """Whether two states have the same entries, of the same types, with no number below 0."""
    if type(found) is not type(here):
        return False
    if isinstance(here, dict):
        return found.keys() == here.keys() and all(_alike(found[k], here[k]) for k in here)
    if isinstance(here, list):
        return len(found) == len(here) and all(map(_alike, found, here))
    return not isinstance(here, int) or found >= 0


def _generator_calls(
    part: np.random.Generator, saved: dict[str, Any], arrays: Arrays
) -> list[Call]:
    return [partial(setattr, part.bit_generator, "state", saved["state"])]


KINDS = {
    "store": Kind(
        _saved_store, _described_store, _store_mismatches, _store_meaning, changes=_store_changes
    ),
    "update": Kind(
        _saved_update,
        _described_update,
        _update_mismatches,
        _update_meaning,
        changes=_update_changes,
    ),
    "state": Kind(_saved_state, _described_state, _state_mismatches, _state_meaning),
    "generator": Kind(
        _saved_generator,
        _described_generator,
        _generator_mismatches,
        _generator_meaning,
        calls=_generator_calls,
    ),
}
