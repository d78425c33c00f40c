"""Traces: the record of one execution of a generative function."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from genparams.errors import UnknownAddress
from genparams.trace.address import path
from genparams.trace.choices import ChoiceMap
from genparams.types import Address, show

ArgGrads = tuple[Any, ...]


class Executable(Protocol):
    """What a trace asks of the function that made it."""

    __name__: str
    grad_places: list[int]

    def accumulate(
        self, traces: list["Trace"], retval_grads: list[Any], scales: list[float]
    ) -> list[tuple[float, ArgGrads]]: ...

    def differentiate(self, trace: "Trace", retval_grad: Any) -> dict[str, dict[str, Any]]: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trace:
    """One execution: arguments, choices, return value, and the log probability of the choices.

    A trace does not change, and does not follow the parameters: `log_prob` is that of the
    parameters of its day, while its gradients are always taken at the parameters as they are now.
    """

    gen_fn: Executable
    args: tuple[Any, ...]
    """The arguments, completed with defaults; kept as they were given, not copied."""
    retval: Any
    choices: ChoiceMap
    log_probs: dict[Address, float] = field()
    """log p of each choice given those before it, by address."""
    calls: dict[Address, tuple[Any, Any]] = field()
    """The generative function called at an address, and what it returned."""

    @property
    def log_prob(self) -> float:
        """log p(t; x): the sum over every choice, constrained or not."""
        return float(sum(self.log_probs.values()))

    def __getitem__(self, address: Any) -> Any:
        """The value of a choice, or the return value of a call; `trace[()]` is that of the whole.

        Raises:
            UnknownAddress: nothing was visited there.
        """
        address = path(address)
        if not address:
            return self.retval
        if address in self.calls:
            return self.calls[address][1]
        found = self.choices[address]
        if address not in self.choices:
            raise UnknownAddress(
                f"{show(address)} is neither a choice nor a call; below it stand {list(found)}"
            )
        return found

    def accumulate_param_gradients(
        self, retval_grad: Any = None, scale: float = 1.0
    ) -> tuple[float, ArgGrads]:
        """Add this trace's gradient to the accumulators of every parameter that its function reads.

            accumulator(theta) += scale * d/d theta [ log p(t; x, theta) + <retval_grad, r> ]

        at today's parameters, with every choice held fixed; parameters of nested calls are
        included, frozen ones are constants. If anything fails, nothing is added.

        Args:
            retval_grad: The gradient of some function of the return value r by r: a number, an
                array, or tuples, lists and dictionaries of them, shaped as r. None stands for no
                gradient, as a whole or for a part.
            scale: A factor, such as an importance weight or a number of data per datum shown.

        Returns:
            Today's log p(t; x), and for each argument the gradient of the bracket, not scaled: None
            for those that `@gen(arg_grads=...)` does not name.
        """
        return self.gen_fn.accumulate([self], [retval_grad], [scale])[0]

    def param_gradients(self, retval_grad: Any = None) -> dict[str, dict[str, Any]]:
        """What `accumulate_param_gradients` would add, by function and parameter name."""
        return self.gen_fn.differentiate(self, retval_grad)

    def __repr__(self) -> str:
        return (
            f"Trace({self.gen_fn.__name__}, log_prob={self.log_prob:.6g}, "
            f"{len(self.choices)} choices)"
        )
