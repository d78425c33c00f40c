"""Programs as functions that numba compiles.

The program of a gradient is one function of flat arrays: it reads coordinates and data, and writes
gradients. `loop` is a second function that calls it once per step and moves the coordinates by
elementwise rules, so that many steps are one call. The text of both is plain Python, and does not
contain the data: programs of other data with the same shapes have the same text, and the code is
found on disk again.
"""

import hashlib
import inspect
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from types import FunctionType
from typing import Any

import numpy as np

from genparams.autodiff import scatter
from genparams.compiled.algebra.builder import shape_of
from genparams.compiled.algebra.ir import Node, Program, Recurrence, Test
from genparams.compiled.algebra.shapes import REDUCTIONS
from genparams.compiled.algebra.totals import inner
from genparams.compiled.native import cache_folder, small_matrices, special_numbers, vectors
from genparams.compiled.native.assembling import MOVING, copied, joined, rearranged
from genparams.compiled.native.contractions import cumulative, einsum
from genparams.compiled.native.data_stage import DataStage
from genparams.compiled.native.entrywise import elementwise, inner_product, reduction
from genparams.compiled.native.flat_data import FlatData, together
from genparams.compiled.native.fuse import Lines, Value
from genparams.compiled.native.indexing import scattered
from genparams.compiled.native.kernels import compiled_loops, kernel, part, version_of
from genparams.compiled.native.matrices import LINEAR_ALGEBRA
from genparams.compiled.native.products import product
from genparams.compiled.native.recurrences import recurrence
from genparams.compiled.native.rounding import assumptions
from genparams.compiled.native.scalar_text import MATH
from genparams.compiled.native.training_loop import Group, loop_lines
from genparams.compiled.native.values import Lower, Values
from genparams.compiled.native.views import VIEWING, whole
from genparams.errors import CannotRecord, MissingExtra
from genparams.program.recorded import PART, recordable

TABLE: dict[Any, Lower] = {
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys({*VIEWING, *MOVING}, rearranged),
    inner: inner_product,
    **dict.fromkeys((np.stack, np.concatenate, np.array), joined),
    np.matmul: product,
    **LINEAR_ALGEBRA,
    np.einsum: einsum,
    np.cumsum: cumulative,
    scatter: scattered,
    Recurrence: recurrence,
    recordable: kernel,
    PART: part,
}
"""How each operation that is not elementwise is computed."""

_WORK = ("w", "wi", "wb", "n")


@dataclass(frozen=True, slots=True)
class Taken:
    """What a loop has done."""

    steps: int
    """How many steps it has taken; fewer than asked if the next one has to be interpreted."""
    log_probs: np.ndarray
    norms: np.ndarray
    """The Euclidean norm of the gradient, at each step."""


class NumbaCode:
    """The compiled gradient of a program.

    The program's first result is the log probability, the others are gradients.

    Args:
        each_step: The places, among the program's data, of inputs that `loop` can give other
            values at each step. What reads them is computed in each step.

    Raises:
        CannotRecord: numba cannot compile an operation.
        MissingExtra: numba is not installed.
    """

    def __init__(self, program: Program, each_step: Sequence[int] = ()):
        numba()
        self.program = program
        self.each_step = [program.data[i] for i in each_step]
        self._stage = DataStage(program, self.each_step)
        self.theta_parts = parts([p.shape for p in program.parameters])
        """Where the coordinates of each parameter are in the vector of all."""
        self.shapes = [shape_of(r) for r in program.results[1:]]
        self.gradient_parts = parts(self.shapes)
        """Where each gradient is in the vector of all."""
        written = _Written(
            program, self.theta_parts, self.gradient_parts, self._stage.given, self.each_step
        )
        self.text = written.text
        self._data, self._numbers, self._sizes = written.data, written.numbers, written.sizes
        self._indices, self._functions = written.values.indices, written.values.functions
        self._loops: dict[Any, Callable[..., int]] = {}
        self._flags = assumptions(program)
        self._lock = threading.Lock()
        self._gradient: Callable[..., Any] | None = None

    @property
    def size(self) -> int:
        """The number of operations."""
        return len(self.program.nodes)

    def bind(self, *data: Any) -> FlatData | None:
        """The data as the function takes them; None if a test of data has another answer."""
        found = self._stage.values(data)
        if found is None:
            return None
        if not all(_is_within(found[a] if isinstance(a, Node) else a, n) for a, n in self._indices):
            return None
        numbers = np.array([found[n] for n in self._numbers], float)
        arrays = []
        for a, kind in self._data:
            array = np.asarray(found[a] if isinstance(a, Node) else a, _DTYPES[kind])
            arrays.append(np.require(array, requirements=["C", "A"]).ravel())
        return FlatData(numbers, arrays)

    def step(self, *theta_and_bound: Any) -> tuple[Any, ...] | None:
        """The log probability and the gradients; None if a test has another answer.

        Args:
            theta_and_bound: The coordinates of each parameter, and what `bind` returned.
        """
        *theta, bound = theta_and_bound
        g = np.empty(length(self.gradient_parts))
        known, log_prob = self.gradient(self.flat(theta), g, *self.arguments(bound))
        if not known:
            return None
        found = [
            g[at].reshape(shape) if shape else float(g[at.start])
            for at, shape in zip(self.gradient_parts, self.shapes, strict=True)
        ]
        return (log_prob, *found)

    def flat(self, theta: Sequence[Any]) -> np.ndarray:
        """Coordinates as one vector."""
        vector = np.empty(length(self.theta_parts))
        for at, value in zip(self.theta_parts, theta, strict=True):
            vector[at] = np.ravel(value)
        return vector

    def loop(
        self,
        groups: Sequence[Group],
        theta: np.ndarray,
        fields: np.ndarray,
        constants: np.ndarray,
        bound: FlatData | Sequence[FlatData],
        scale: float = 1.0,
        path: np.ndarray | None = None,
        each_step: Sequence[np.ndarray] = (),
    ) -> Taken:
        """Step along the gradient, as often as there are rows of constants.

        The loop ends before a step whose test has another answer, or that meets a number that is
        not finite or a gradient that is too large to be squared: the caller interprets that step.

        Args:
            groups: The rules, and which coordinates each moves along which gradient.
            theta: Coordinates, which are changed.
            fields: What the rules keep, (number of fields, size of theta), which is changed.
            constants: `Kernel.folded` of each step, of one group after the other: (steps, count).
            bound: The data, or those of each step.
            scale: The factor of gradients.
            path: Where the coordinates after each step are written, (steps, size of theta).
            each_step: The values of the inputs `each_step`, with an axis of steps first.
        """
        log_probs, norms = np.empty(len(constants)), np.empty(len(constants))
        g = np.empty(length(self.gradient_parts))
        bound, moving = (bound, {}) if isinstance(bound, FlatData) else together(bound)
        for k, values in enumerate(each_step):
            name = f"d{k}"
            moving[name] = values[0].size
            bound = bound.replaced(k, values)
        run = self._loop(tuple(groups), moving)
        path = np.empty((len(constants), 0)) if path is None else path
        noted = log_probs, norms, path, np.array([scale])
        taken = run(theta, fields, constants, *noted, g, *self.arguments(bound))
        return Taken(taken, log_probs[:taken], norms[:taken])

    def arguments(self, bound: FlatData) -> list[np.ndarray]:
        """Room for what the function stores, and data: the arguments after the gradient."""
        f, i, b = (self._sizes[k] for k in "fib")
        work = [np.empty(f), np.empty(i, np.int64), np.empty(b, np.bool_)]
        return [*work, bound.numbers, *bound.arrays]

    @property
    def gradient(self) -> Callable[..., Any]:
        """The compiled `gradient(theta, g, work, ..., data, ...)`."""
        if self._gradient is None:
            with self._lock:
                loops = {name: compiled_loops(f) for name, f in self._functions.items()}
                self._gradient = self._gradient or compiled(
                    "gradient",
                    self.text,
                    self._signature(),
                    "(boolean, float64)",
                    loops,
                    self._flags,
                )
        return self._gradient

    def _signature(self) -> list[str]:
        return ["F", "F", "F", "I", "B", "RF", *(f"R{k.upper()}" for _, k in self._data)]

    def _loop(self, groups: tuple[Group, ...], moving: dict[str, int]) -> Callable[..., int]:
        """The compiled loop.

        Args:
            moving: The data that differ from step to step, and how long they are in one.
        """
        gradient, key = self.gradient, (groups, *moving)
        with self._lock:
            if key not in self._loops:
                data = [*_WORK, *(f"d{i}" for i in range(len(self._data)))]
                text = "\n".join([
                    f"# calls the gradient {hashlib.sha256(self.text.encode()).hexdigest()}",
                    *loop_lines(groups, data, moving, length(self.gradient_parts)),
                ])  # fmt: skip
                kinds = ["F", "F2", "RF2", "F", "F", "F2", "RF", *self._signature()[1:]]
                self._loops[key] = compiled(
                    "loop", text, kinds, "int64", {"gradient": gradient}, self._flags
                )
        return self._loops[key]


def numba_code(program: Program, each_step: Sequence[int] = ()) -> NumbaCode:
    """The code of a program; see `NumbaCode`."""
    return NumbaCode(program, each_step)


def parts(shapes: Sequence[tuple[int, ...]]) -> list[slice]:
    """Where arrays of these shapes are in one vector, one after the other."""
    ends = [0, *accumulate(map(math.prod, shapes))]
    return [slice(a, b) for a, b in pairwise(ends)]


def length(of: Sequence[slice]) -> int:
    """The length of the vector in which these parts are."""
    return of[-1].stop if of else 0


def _is_within(index: Any, length: int) -> bool:
    """Whether whole numbers are indices of an axis, which compiled code does not check."""
    return bool(np.all((np.asarray(index) >= -length) & (np.asarray(index) < length)))


_DTYPES = {"f": np.float64, "i": np.int64, "b": np.bool_}


# --- Text


class _Written:
    """The text of a program's gradient, and what the function takes."""

    def __init__(
        self,
        program: Program,
        theta: Sequence[slice],
        grads: Sequence[slice],
        given: set[Node],
        each_step: Sequence[Node],
    ):
        self.values = values = Values(TABLE, elementwise, given)
        for x in each_step:
            assert x.dtype is not None
            values.known[x] = values.array(x, x.shape, x.dtype)
        for p, at in zip(program.parameters, theta, strict=True):
            values.known[p] = Value(p.shape, "f", view=whole("theta", at.start, p.shape))
        values.settled = {t.asked: t.answer for t in program.tests if isinstance(t.asked, Node)}
        for n in program.nodes:
            if n not in given:
                values.of(n)
        for test in program.tests:
            self._check(test)
        log_prob = values.of(program.results[0])
        values.plan.read_in_section(log_prob)
        for result, at in zip(program.results[1:], grads, strict=True):
            copied(values, values.of(result), whole("g", at.start, shape_of(result)))
        lines = values.plan.text()
        end = Lines(values.plan, 0)
        answer = end.load(log_prob)[()]
        self.data, self.numbers, self.sizes = values.data, values.numbers, values.plan.sizes
        taken = ["theta", "g", *_WORK, *(f"d{i}" for i in range(len(self.data)))]
        body = [*lines, *end.body, f"return True, float({answer})"]
        self.text = "\n".join([
            *self._notes(program, theta),
            f"def gradient({', '.join(taken)}):",
            *("  " + line for line in body),
            "",
        ])  # fmt: skip

    def _check(self, test: Test) -> None:
        """End the function if a test has another answer."""
        if not isinstance(test.asked, Node) or test.asked in self.values.given:
            return
        answer, asked = test.answer, test.asked
        if isinstance(answer, np.ndarray):
            same = Node(np.equal, (asked, answer), (), asked.shape, np.dtype(bool))
            asked, answer = Node(np.all, (same,), (), (), np.dtype(bool)), True
        value = self.values.of(asked)
        level = self.values.plan.read_in_section(value)

        def job(section: Lines) -> None:
            name = section.load(value)[()]
            differs = f"{name} != {answer!r}"
            if value.kind == "b":
                differs = f"not {name}" if answer else name
            section.body.append(f"if {differs}: return False, 0.0")

        self.values.plan.checks.setdefault(level, []).append(job)

    def _notes(self, program: Program, theta: Sequence[slice]) -> list[str]:
        """Comments that say what the inputs are."""
        notes = [f"# {name}  {version_of(f)}" for name, f in self.values.functions.items()]
        for p, at in zip(program.parameters, theta, strict=True):
            notes.append(f"# theta[{at.start}:{at.stop}]  {p.name}")
        for i, n in enumerate(self.numbers):
            notes.append(f"# n[{i}]  {n.name}")
        for i, (a, _) in enumerate(self.data):
            notes.append(f"# d{i}  {a.shape} {a.name if isinstance(a, Node) else ''}")
        return [" ".join(note.splitlines()).rstrip() for note in notes]


# --- Compiling


def numba() -> Any:
    """The package numba.

    Raises:
        MissingExtra: it is not installed, or cannot be imported.
    """
    try:
        import numba  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        why = None if error.name == "numba" else str(error)
        raise MissingExtra('backend="numba"', "numba", "numba", why) from error
    except (ImportError, OSError, AttributeError, SystemError) as error:
        raise MissingExtra('backend="numba"', "numba", "numba", str(error)) from error
    return numba


def compiled(
    name: str,
    text: str,
    kinds: Sequence[str],
    result: str,
    given: Any,
    flags: tuple[str, ...],
) -> Callable[..., Any]:
    """The function of a text, compiled for arguments of given kinds, or found on disk.

    Raises:
        CannotRecord: numba cannot compile it.
    """
    from numba import njit, types  # type: ignore[import-not-found]
    from numba.core.errors import NumbaError  # type: ignore[import-not-found]

    head = f"# {name}; floats: {', '.join(flags)}; functions: {_functions_hash()}\n"
    module, has_file = cache_folder.load(
        f"{head}# {' '.join(kinds)} -> {result}\n{text}",
        {**_space(), **given},
    )
    arrays = [_array_type(k) for k in kinds]
    returned = types.int64 if result == "int64" else types.Tuple((types.boolean, types.float64))
    jit = njit(
        returned(*arrays), cache=has_file, nogil=True, error_model="numpy", fastmath=set(flags)
    )
    with _compiling:
        try:
            if not hasattr(module, "compiled"):
                vars(module)["compiled"] = jit(getattr(module, name))
        except NumbaError as error:
            first = str(error).strip().splitlines()
            raise CannotRecord(f"numba cannot compile it: {' '.join(first[:3])}") from error
    return module.compiled


_compiling = threading.Lock()


def _array_type(kind: str) -> Any:
    """The type of an argument: R for one that is only read, F, I or B, and 2 for a matrix."""
    from numba import types  # type: ignore[import-not-found]

    entry = {"F": types.float64, "I": types.int64, "B": types.boolean}[kind.strip("R2")]
    return types.Array(entry, 2 if "2" in kind else 1, "C", readonly="R" in kind)


@cache
def _functions_hash() -> str:
    """A hash of the functions that texts call: when they change, a text is compiled again."""
    sources = map(inspect.getsource, (special_numbers, vectors, small_matrices))
    return hashlib.sha256("".join(sources).encode()).hexdigest()[:12]


@cache
def _space() -> dict[str, Any]:
    """What the text of a function names, for numba."""
    from numba import njit  # type: ignore[import-not-found]

    space = {**vars(special_numbers), **vars(small_matrices), "np": np, **MATH}
    space |= vectors.compiled()
    for functions in (special_numbers.FUNCTIONS, small_matrices.FUNCTIONS):
        for name, f in functions.items():
            own = FunctionType(f.__code__, space, name)  # it calls the compiled ones
            space[name] = njit(error_model="numpy", nogil=True, fastmath={"contract"})(own)
    return space
