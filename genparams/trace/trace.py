"""Traces: the record of one execution of a generative function."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from genparams.errors import ArgumentError, ImmutableError, UnknownAddress
from genparams.mistakes import answering, closed, explained
from genparams.text import brief, html_tree, text_tree
from genparams.trace.address import path
from genparams.trace.choices import ChoiceMap, same, unchecked
from genparams.trace.origin import Origin, origin_here, this_process
from genparams.trace.record import Frame, Record
from genparams.trace.selection import nothing, selection_of
from genparams.types import Address, show

ArgGrads = tuple[Any, ...]


@closed(
    advice=lambda trace, name: (
        "a trace does not change: write trace.update({address: value}), which gives another"
    )
)
@answering(
    score="write trace.log_prob",
    logp="write trace.log_prob",
    get_score="write trace.log_prob",
    get_retval="write trace.retval",
    value="write trace.retval, or trace[address] for a choice",
    output="write trace.retval",
    get_choices="write trace.choices",
    get_args="write trace.args",
    backward="write trace.accumulate_param_gradients()",
    grad="write trace.param_gradients()",
    gradients="write trace.param_gradients()",
    weight="write trace, weight = f.generate(args, constraints)",
    params="write trace.parameters, or f.params for the parameters as they are now",
)
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trace:
    """One execution: arguments, choices, return value, and the log probability of the choices.

    A trace does not change, and does not follow the parameters: `log_prob` is the one at the
    parameters at the time of the run, while gradients are taken at the parameters as they are now.

    A gradient runs the function again, and this replay is compared with the run: at the parameter
    values of the run it must find the same choices with the same log probabilities, and the same
    return value where a gradient by it is given. While the parameters are at those values, every
    gradient is compared. After they have moved, the comparison needs a second replay, at those
    values. It is made at the first gradient of the trace, at the fourth, the sixteenth and so on.

    A pickled trace carries the parameter values of its run, and the functions by name. Unpickled
    in another process it can be read at once; its gradients, `update` and `regenerate` are refused
    (`ForeignParameters`) until the functions there have the parameters at the values and
    constraints of its run: load the same checkpoint, or write `trace.restore_parameters()`.
    `trace.rescored()` is a trace at the values there.
    """

    gen_fn: Any
    """The generative function that ran; its `trace_gradients` and `trace_edits` are the functions
    that the methods call."""
    args: tuple[Any, ...]
    """The arguments, completed with defaults; kept as they were given, not copied. A gradient is
    refused if the numbers in them have changed; of an array of more than 4096 numbers some 2000 to
    3000 are compared."""
    retval: Any
    parameters: dict[tuple[Any, str], Any]
    """The values of the parameters as the run read them, by function and name. A trace that was
    edited has also those that only the run before the edit read."""
    _record: Record
    _prints: tuple[Any, ...] = ()
    """The `fingerprint` of each argument as the run began."""
    _gradients: int = field(default=0, init=False)
    """How many gradients were taken."""
    _bound: dict[Any, Any] | None = field(default=None, init=False)
    """What a static function keeps for its gradients, by thread."""
    _origin: Origin | None = field(default=None, init=False)
    """The origin of a trace of another process that was not yet used in this one."""

    def __reduce__(self) -> tuple[Any, ...]:
        origin = self._origin or origin_here(self.parameters)
        return _unpickled, (origin, *[getattr(self, name) for name in _SAVED])

    @property
    def choices(self) -> ChoiceMap:
        """The values of the choices."""
        return unchecked(self._record.whole().values)

    @property
    def log_probs(self) -> dict[Address, float]:
        """log p of each choice given those before it, by address."""
        return self._record.whole().log_probs

    @property
    def calls(self) -> dict[Address, tuple[Any, Any]]:
        """The generative function called at an address, and what it returned."""
        return {a: frame[:2] for a, frame in self._record.whole().frames.items()}

    @property
    def log_prob(self) -> float:
        """log p(t; x): the sum over every choice, constrained or not."""
        return float(sum(self.log_probs.values()))

    def __getitem__(self, address: Any) -> Any:
        """The value of a choice, or the return value of a call; `trace[()]` is `trace.retval`.

        Raises:
            UnknownAddress: nothing was visited there.
        """
        address = path(address)
        if not address:
            return self.retval
        with suppress(KeyError, TypeError):  # without merging the record
            frame = self._record.frame(address)
            found = self._record.value(address) if frame is None else frame.retval
            return found[:] if type(found) is list else found
        found = self.choices[address]
        if address not in self.choices:
            raise UnknownAddress(
                f"{show(address)} is neither a choice nor a call; nested under it are {list(found)}"
            )
        return found

    def __contains__(self, address: Any) -> bool:
        """Whether a choice or a call is at an address."""
        return address in self.choices or path(address) in self._record.whole().frames

    def __iter__(self) -> Any:
        raise ArgumentError(
            f"a trace has no parts to unpack; write trace = {self.gen_fn.__name__}.simulate(args), "
            "trace, weight = generate(...), and trace.choices to go through its choices"
        )

    def __setitem__(self, address: Any, value: Any) -> None:
        raise ImmutableError(
            "a trace does not change; write new, weight, discard = trace.update({address: value})"
        )

    @explained
    def accumulate_param_gradients(
        self, retval_grad: Any = None, scale: float = 1.0
    ) -> tuple[float, ArgGrads]:
        """Add this trace's gradient to the accumulators of every parameter that its function reads.

            accumulator(theta) += scale * d/d theta [ log p(t; x, theta) + <retval_grad, r> ]

        at the present parameters, with every choice fixed. Parameters of nested calls are included;
        frozen parameters are constants. If anything fails, nothing is added.

        Raises:
            ImpossibleTrace: the log probability is -inf, inf or NaN at the present parameters.
            ReplayDiffers: the replay gives other results than the run; see `Trace`.
            ForeignParameters: the trace comes from a process where parameters had other values.

        Args:
            retval_grad: The gradient of some function of the return value r by r: a number, an
                array, or tuples, lists and dictionaries of them, shaped as r. None means no
                gradient, as a whole or for a part.
            scale: A factor, such as an importance weight, or the number of all data over the number
                of data in the trace.

        Returns:
            log p(t; x) at the present parameters, and for each argument the gradient of the
            bracket, not scaled; None for an argument that `@gen(arg_grads=...)` does not name.
        """
        return self.gen_fn.trace_gradients.accumulate([self], [retval_grad], [scale])[0]

    @explained
    def param_gradients(self, retval_grad: Any = None) -> dict[str, dict[str, Any]]:
        """What `accumulate_param_gradients` would add, by function and parameter name."""
        return self.gen_fn.trace_gradients.param_gradients(self, retval_grad)

    @explained
    def choice_gradients(
        self, selection: Any = nothing, retval_grad: Any = None
    ) -> tuple[ArgGrads, ChoiceMap, ChoiceMap]:
        """The gradient of log p(t; x) + <retval_grad, r> by arguments and selected choices.

        It is taken at the present parameters, whose accumulators do not change.

        Args:
            selection: A selection of continuous choices, an address, or a list of addresses.
            retval_grad: As in `accumulate_param_gradients`.

        Returns:
            The gradients by argument (None for an argument that `@gen(arg_grads=...)` does not
            name), the values of the selected choices, and the gradients by these choices.

        Raises:
            DistributionError: a selected choice is discrete.
            UnknownAddress: a selected address is not in the trace.
            ImpossibleTrace, ReplayDiffers, ForeignParameters: as `accumulate_param_gradients`.
        """
        return self.gen_fn.trace_gradients.choice_gradients(self, selection, retval_grad)

    @explained
    def update(
        self,
        constraints: Mapping[Any, Any] | None = None,
        args: tuple[Any, ...] | None = None,
        rng: Any = None,
    ) -> tuple["Trace", float, ChoiceMap]:
        """Give choices other values, or the function other arguments, and keep everything else.

        A choice in `constraints` takes its new value, any other choice of this trace keeps its
        value, and a choice that is in neither is drawn.

        Calls that nothing changes are not run again: an entry of `map_`, or a step of `unfold`,
        costs what it costs alone. This takes for granted that a function depends on its arguments,
        its parameters and its choices only.

        Returns:
            The new trace; the weight log p(t'; x') - log q(t'; x') - log p(t; x), where q drew the
            choices that are new and the last term is this trace's own `log_prob`; and the values of
            choices that were replaced or are no longer visited. `new.update(discard, old.args)`
            goes back.

        Raises:
            UnusedConstraint: a constraint was never visited.
            AddressConflict: another function is at the address of a call.
        """
        return self.gen_fn.trace_edits.update(self, constraints, args, rng)

    @explained
    def regenerate(
        self, selection: Any, args: tuple[Any, ...] | None = None, rng: Any = None
    ) -> tuple["Trace", float]:
        """Draw the selected choices again, and every choice that only the new run visits.

        Calls that nothing changes are not run again, as in `update`.

        Returns:
            The new trace, and the weight: the sum of the changes of the log probabilities of the
            choices that are kept. Selected, new and deleted choices contribute nothing.

        Raises:
            UnknownAddress: a selected address is not in the trace.
            AddressConflict: another function is at the address of a call.
        """
        return self.gen_fn.trace_edits.regenerate(self, selection, args, rng)

    @explained
    def project(self, selection: Any) -> float:
        """The sum of this trace's log probabilities over the selected choices.

        Raises:
            UnknownAddress: a selected address is not in the trace.
        """
        selected = selection_of(selection, self.choices)
        return float(sum(lp for address, lp in self.log_probs.items() if address in selected))

    @explained
    def rescored(self) -> "Trace":
        """The same choices under the present parameters."""
        return self.gen_fn.trace_edits.rescored(self)

    @explained
    def restore_parameters(self) -> None:
        """Give every parameter that the run read the value that it had in the run.

        A parameter that is missing is initialised, with the constraint that it had; the
        accumulators of the others do not change. This is for a trace of another process: its
        gradients are then the gradients at the parameter values of that process.

        Raises:
            ShapeError, ConstraintError: a parameter has another shape or constraint here; nothing
            is changed.
        """
        self.gen_fn.trace_edits.restore_parameters(self)

    @property
    def is_stale(self) -> bool:
        """Whether a parameter that the run read has another value now."""
        return any(
            name not in function.params or not same(function.params[name].value, value)
            for (function, name), value in self.parameters.items()
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        compared = ("args", "retval", "choices", "log_probs")
        equal = (same(getattr(self, name), getattr(other, name)) for name in compared)
        return self.gen_fn is other.gen_fn and all(equal)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return text_tree(self._title(), self._tree())

    def _repr_html_(self) -> str:
        return html_tree(self._title(), self._tree())

    def _title(self) -> str:
        name, count = self.gen_fn.__name__, len(self.choices)
        return f"Trace({name}, log_prob={self.log_prob:.6g}, {count} choices)"

    def _tree(self) -> dict[Any, Any]:
        """The values of choices by key, and at calls also the names of the functions."""

        calls = self.calls

        def labelled(nested: dict[Any, Any], prefix: Address) -> dict[Any, Any]:
            return {key: entry(value, (*prefix, key)) for key, value in nested.items()}

        def entry(value: Any, address: Address) -> Any:
            if not isinstance(value, dict):
                return brief(value)
            below = labelled(value, address)
            return (calls[address][0].__name__, below) if address in calls else below

        return labelled(self.choices.to_dict(), ())


_SAVED = ("gen_fn", "args", "retval", "choices", "log_probs", "calls", "parameters")


def _unpickled(
    origin: Origin,
    gen_fn: Any,
    args: tuple[Any, ...],
    retval: Any,
    choices: ChoiceMap,
    log_probs: dict[Address, float],
    calls: dict[Address, tuple[Any, Any]],
    parameters: dict[tuple[Any, str], Any],
) -> Trace:
    """A trace that was pickled; a trace of another process keeps its origin."""
    frames = {
        a: Frame(function, result, False, (), None, []) for a, (function, result) in calls.items()
    }
    record = Record(choices._values, log_probs, frames)
    trace = Trace(gen_fn, args, retval, parameters, record)
    if origin.process != this_process():
        object.__setattr__(trace, "_origin", origin)
    return trace


def bound_of(trace: Trace) -> dict[Any, Any]:
    """What a static function keeps for the gradients of a trace; to be added to."""
    if trace._bound is None:
        object.__setattr__(trace, "_bound", {})
    assert trace._bound is not None
    return trace._bound


def count_gradient(trace: Trace) -> int:
    """Count one more gradient of a trace; returns the count."""
    object.__setattr__(trace, "_gradients", trace._gradients + 1)
    return trace._gradients
