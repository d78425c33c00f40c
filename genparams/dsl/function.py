"""Generative functions: what every one of them can do, whether `@gen` made it or a distribution."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic

from genparams.dsl import edits, gradients, quantities
from genparams.dsl.call import Call
from genparams.dsl.execution import Rng, answers, drawn, execute, visits
from genparams.dsl.interpreter import Operands, Run
from genparams.errors import MissingChoice, UnaddressedChoice, nearest
from genparams.mistakes import answering, explained, there
from genparams.trace.choices import ChoiceMap, choice_values
from genparams.trace.results import Assessed, Generated, Proposed
from genparams.trace.trace import Trace
from genparams.types import Address, P, R, show

SHOWN = frozenset(
    [
        *("simulate", "generate", "propose", "assess", "inline"),
        *("params", "with_params", "signature", "arg_grads"),
        *("arguments", "log_prob", "log_probs", "sample", "support", "has_gradients"),
    ]
)
"""The attributes of generative functions that `dir` shows: what a user needs."""


_TRAIN = "write train(f, (args, constraints), ParamUpdate(ADAM(0.01), f), steps=1000)"


@answering(
    fit="write fit(f, args, constraints)",
    train=_TRAIN,
    learn=_TRAIN,
    optimize=_TRAIN,
    grad="write trace.accumulate_param_gradients() of one of its traces",
    sample="write simulate(args), whose trace has the choices and retval",
    log_prob="write assess(args, choices) for the log probability of all choices",
    observe="write generate(args, {address: value})",
    condition="write generate(args, {address: value})",
    backward="write accumulate_param_gradients() of one of its traces",
    accumulate_param_gradients="one of its traces has it; write trace, weight = f.generate(...)",
    parameters="write f.params",
    state_dict="write save_checkpoint(path, model=f)",
    freeze="write f.params[name].freeze() for each name",
)
class GenerativeFunction(ABC, Generic[P, R]):
    """A function that makes random choices at addresses.

    Write t for its choices, x for its arguments and p(t; x) for the density of the choices given
    the arguments. `GenerativeFunction[[float, int], str]` is the type of one that takes a float and
    an int and returns a string.
    """

    __name__: str
    trace_edits: Any = edits
    trace_gradients: Any = gradients
    trace_quantities: Any = quantities
    grad_places: list[int]
    """The places of the arguments whose gradients are returned when it is called at the root."""
    argument_names: list[str]

    @abstractmethod
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """A call, to be run at an address inside another generative function."""

    @abstractmethod
    def perform(self, run: Run, call: Call[Any], key: Address) -> Any:
        """Run a call of this function in `run`, at `key` (empty at the root); return its value."""

    @abstractmethod
    def complete(self, args: tuple[Any, ...]) -> Call[R]:
        """A call with these arguments, completed with defaults."""

    def _not_called(self, *args: Any) -> Any:
        call = f"{self.__name__}({', '.join(self.argument_names)})"
        raise UnaddressedChoice(
            f'{self.__name__} was used as a value before it was called; write {call} @ "name"'
        )

    if not TYPE_CHECKING:  # a type checker reports these operations as missing
        __matmul__ = __rmatmul__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = _not_called
        __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __neg__ = __float__ = _not_called

    def __dir__(self) -> list[str]:
        return [n for n in there(self) if n in SHOWN or n.startswith("__")]

    def __deepcopy__(self, memo: Any) -> "GenerativeFunction[P, R]":
        return self  # as for functions of Python: the copy of a trace has the same function

    @explained
    def simulate(self, args: tuple[Any, ...] = (), rng: Rng = None) -> Trace:
        """Draw every choice: t ~ p(.; x).

        Args:
            args: The arguments, as a tuple.
            rng: A generator, a seed, or None for fresh randomness. A seeded run repeats to the bit.
        """
        return execute(self, args, drawn(rng))

    @explained
    def generate(
        self,
        args: tuple[Any, ...] = (),
        constraints: Mapping[Any, Any] | None = None,
        rng: Rng = None,
        strict: bool = True,
    ) -> tuple[Trace, float]:
        """Draw the choices that `constraints` does not give.

        Args:
            constraints: A choice map, or a dictionary by key or path, flat or nested.
            strict: Whether a constraint that the run never visits is an error. A value at the
                address of a call, or one nested under a choice, is always an error.

        Returns:
            The trace, and the weight log p(t; x) - log q(t; x) where q drew the other choices: the
            sum of the log probabilities of the constrained choices.

        Raises:
            UnusedConstraint: a constraint was never visited, and `strict`; or a choice can never be
                at its address, whatever `strict` is.
        """
        draw = drawn(rng)
        given = choice_values(constraints)
        trace = execute(self, args, answers(given, draw), visits(given, strict))
        weight = float(sum(trace.log_probs[a] for a in given if a in trace.log_probs))
        return Generated((trace, weight))  # type: ignore[return-value]

    @explained
    def propose(self, args: tuple[Any, ...] = (), rng: Rng = None) -> tuple[ChoiceMap, float, R]:
        """Draw every choice; returns the choices, their log p(t; x), and the return value."""
        trace = self.simulate(args, rng)
        return Proposed((trace.choices, trace.log_prob, trace.retval))  # type: ignore[return-value]

    @explained
    def assess(self, args: tuple[Any, ...], choices: Mapping[Any, Any]) -> tuple[float, R]:
        """log p(t; x) of a full set of choices, and the return value.

        Raises:
            MissingChoice: the run visits an address that has no value in `choices`.
            UnusedConstraint: `choices` has a value that the run never visits.
        """
        given = choice_values(choices)

        def missing(address: Address, d: Any, x: Operands, size: Any) -> Any:
            raise MissingChoice(
                f"{self.__name__} needs a value for {show(address)}; "
                f"{nearest(show(address), map(show, given))} "
                "(generate draws what is not given)"
            )

        trace = execute(self, args, answers(given, missing), visits(given))
        return Assessed((trace.log_prob, trace.retval))  # type: ignore[return-value]
