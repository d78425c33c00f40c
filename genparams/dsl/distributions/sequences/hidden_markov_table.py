"""Hidden Markov models whose emissions are a table of numbers."""

from collections.abc import Sequence
from typing import Any, final

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import AbstractDistribution
from genparams.dsl.distributions.calling import wrong_arguments
from genparams.dsl.distributions.declaration import Declaration, Terms
from genparams.dsl.distributions.density import log_densities, log_density
from genparams.dsl.distributions.domains import Domain, ValueKind, real_vector
from genparams.dsl.distributions.parts import made_of_parts
from genparams.dsl.distributions.regions import Region, no_region
from genparams.dsl.distributions.sequences.marginal import chain_arguments, marginal
from genparams.dsl.distributions.sequences.markov_chain import check_states
from genparams.errors import ArgumentError, DistributionError, ShapeError
from genparams.types import Size

NAME = "hidden_markov"


@made_of_parts
def of_table(length: int, varying: bool) -> "HiddenMarkovOfTable":
    return HiddenMarkovOfTable(length, varying)


@final
class HiddenMarkovOfTable(AbstractDistribution):
    """`hidden_markov` whose log emissions are given: of its value only the length counts."""

    def __init__(self, length: int, varying: bool):
        self._length = length
        self.__name__ = NAME
        table = Domain("below infinity and not NaN", lambda v: v < np.inf, rank=2)
        self.arguments = chain_arguments(varying) | {"log_emissions": table}
        self.argument_names = list(self.arguments)
        self.kind = ValueKind(1, np.asarray)
        self.declared = _declared(length, varying, self.arguments)

    def __call__(self, *args: Any, size: Size = None, **named: Any) -> Call:
        if named or len(args) != len(self.arguments):
            raise wrong_arguments(self.arguments, repr(self), len(args), named)
        if size is not None:
            raise no_size(size)
        return Call(self, args, None)

    @property
    def support(self) -> str:
        return f"sequences of length {self._length} to which the emissions give a density"

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        raise DistributionError(
            f"{NAME} with log_emissions cannot be drawn, as they say nothing of other "
            "observations; give the choice its value, or write hidden_markov(initial, transition, "
            "normal(means, stds), length=len(ys))"
        )

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        value = np.array(value)
        wanted = self._shape(args)
        if value.shape[: len(wanted)] != wanted:
            raise ShapeError(
                f"a value of {NAME} has a shape that begins with {wanted} here, an entry for each "
                f"row of log_emissions, got {value.shape}"
            )
        value.setflags(write=False)
        return value

    def broadcast(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        return self.coerce(x, args, size)

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        return log_density(self.declared, (np.zeros(self._shape(args)), *args))

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        return log_densities(self.declared, (np.zeros(self._shape(args)), *args))

    def region_of(self, args: Sequence[Any]) -> Region:
        raise no_region(NAME, "its log_emissions are given")

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        each = self.log_probs_of(x, [raw(a) for a in args])
        return (
            f"its log probability is {each}: each sequence of states has a probability of 0, or an "
            "entry -inf of log_emissions"
        )

    def _shape(self, args: Sequence[Any]) -> tuple[int, ...]:
        """The shape of the batch, and the length."""
        return (*self.declared.batch_shape(args, None), self._length)

    def __repr__(self) -> str:
        return f"{NAME}(initial, transition, log_emissions=...)"


def no_size(size: Any) -> ArgumentError:
    return ArgumentError(
        f"{NAME} with log_emissions takes no size, got {size!r}; each sequence has a table of its "
        "own: give log_emissions one more axis in front"
    )


def _declared(length: int, varying: bool, arguments: dict[str, Domain]) -> Declaration:
    """The density, of a vector of any numbers."""

    def terms(x: Any, initial: Any, transition: Any, table: Any) -> Terms:
        shape = (*shape_of(x), shape_of(table)[-1])
        full = table if shape_of(table) == shape else np.broadcast_to(table, shape)
        log_p, (by_initial, by_transition, by_log_e) = marginal(
            initial, transition, np.swapaxes(full, -1, -2), varying
        )

        def by_table(g: Any) -> Any:
            return sum_to(np.swapaxes(by_log_e(g), -1, -2), shape_of(table))

        return log_p, (None, by_initial, by_transition, by_table)

    def fit(initial: Any, transition: Any, table: Any) -> None:
        check_states(NAME, initial, transition, length)
        wanted = length, shape_of(initial)[-1]
        if shape_of(table)[-2:] != wanted:
            raise ShapeError(
                f"log_emissions of {NAME} must have the shape {wanted}, a row for each observation "
                f"and a column for each state, got {shape_of(table)}"
            )

    return Declaration(
        name=NAME,
        arguments=arguments,
        kind=real_vector,
        draw=lambda rng, *args, size: None,
        terms=terms,
        fit=fit,
        event=lambda args: (length,),
    )
