"""Generative functions with one choice, their value: above all, distributions.

A `Distribution` is declared as data, a `Declaration`; the modules beside this one check, draw,
compute and explain by it. Products, mixtures of products and labels have classes of their own.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genparams.autodiff import Box, holds_box, raw, refusal
from genparams.dsl.call import Call
from genparams.dsl.distributions.calling import (
    arguments_in_order,
    docstring_of,
    forms_of,
    signature_of,
    wrong_arguments,
)
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.density import log_densities, log_density
from genparams.dsl.distributions.domains import Domain, ValueKind, as_operand
from genparams.dsl.distributions.regions import Region, no_region
from genparams.dsl.distributions.values import (
    broadcast_value,
    coerce_value,
    draw_value,
    entry_of,
    why_impossible,
)
from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.dsl.interpreter import Run
from genparams.errors import ArgumentError
from genparams.mistakes import answering
from genparams.types import Address, P, R, Size, global_name


class SingleChoice(GenerativeFunction[P, R]):
    """A generative function with one choice: a distribution, or a random function by hand.

    An execution makes `operands` of the arguments of a call and passes these, in order, as `args`.
    `size` is the shape of the batch that the call asks for, or None.
    """

    arguments: Any
    """A dictionary by name, of all arguments in order."""
    grad_places: list[int] = []  # noqa: RUF012  # nothing changes it

    @abstractmethod
    def operands(self, args: Sequence[Any]) -> list[Any]:
        """Arguments from outside as floats, arrays of floats and boxes."""

    @abstractmethod
    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        """Draw a value, which is read-only."""

    @abstractmethod
    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        """A value given from outside, in the type and the shape of a draw.

        Raises:
            ShapeError: it does not have the shape of a draw.
        """

    @abstractmethod
    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        """log p(x), summed over the batch: a float, or one node on the tape of its boxes."""

    @abstractmethod
    def region_of(self, args: Sequence[Any]) -> Region:
        """A set that holds every value with a density, with unconstrained coordinates.

        Raises:
            DistributionError: none is known.
        """

    @abstractmethod
    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        """Why log p(x) is not finite, in words."""


_OF_ARRAYS = "write log_prob(x, *args), its logarithm, or log_probs for one of each entry"


@answering(
    pdf=_OF_ARRAYS,
    logpdf=_OF_ARRAYS,
    pmf=_OF_ARRAYS,
    logpmf=_OF_ARRAYS,
    rvs="write sample(*args, rng=...)",
)
class AbstractDistribution(SingleChoice[P, R]):
    """A distribution over numbers, arrays, labels, or tuples of these."""

    arguments: dict[str, Domain]
    kind: ValueKind
    recipe: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
    """The function that made it, and its arguments; None if it is a global name."""

    @abstractmethod
    def broadcast(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        """A value outside a model, broadcast with the arguments unless there is a size.

        Raises:
            ShapeError: they do not broadcast.
        """

    @abstractmethod
    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        """log p of each entry of the batch: an array, or one node on the tape of its boxes."""

    @property
    @abstractmethod
    def support(self) -> str:
        """The values that have a density, in words."""

    @property
    def has_gradients(self) -> Mapping[str, bool]:
        """Whether the log density has a gradient by the value, `x`, and by each argument."""
        each = {name: domain.smooth for name, domain in self.arguments.items()}
        return {"x": self.kind.continuous, **each}

    def log_prob(self, x: Any, *args: P.args, **named: P.kwargs) -> Any:
        """log p(x), summed over the batch; -inf outside the support.

        The value and the arguments broadcast. The gradient flows through all that are traced.
        """
        return self(*args, **named).log_prob(x)

    def log_probs(self, x: Any, *args: P.args, **named: P.kwargs) -> Any:
        """log p of each entry of the batch, in the shape of the batch."""
        return self(*args, **named).log_probs(x)

    def sample(self, *args: Any, size: Size = None, rng: Rng = None, **named: Any) -> Any:
        """Draw a value; `rng` is a generator, a seed, or None for fresh randomness."""
        call = self(*args, size=size, **named)  # pyright: ignore[reportCallIssue]
        return call.sample(rng=rng)

    def perform(self, run: Run, call: Call[Any], key: Address) -> Any:
        return run.choice(self, call.args, call.options, key)

    def complete(self, args: tuple[Any, ...]) -> Call[R]:
        if len(args) < len(self.arguments):
            return self(*args)  # pyright: ignore[reportCallIssue]
        if len(args) > len(self.arguments):
            raise wrong_arguments(self.arguments, self._forms(), len(args))
        return Call(self, args, None)

    def operands(self, args: Sequence[Any]) -> list[Any]:
        """Arguments from outside as floats, arrays of floats and boxes.

        Raises:
            DistributionError: one is a masked array.
            ArgumentError: one does not consist of numbers.
        """
        for a in args:
            if type(a) is not float and type(a) is not Box:
                break
        else:
            return list(args)
        name = self.__name__
        return [as_operand(name, n, a) for n, a in zip(self.arguments, args, strict=True)]

    def draw_alone(self, call: Call[Any], operands: list[Any], size: Size, rng: Rng) -> Any:
        """Draw a value of a call outside a model, of `size` or of the size of the call."""
        if size is not None and call.options is not None:
            raise ArgumentError(f"{call!r} has size {call.options!r} already; give one of the two")
        if any(map(holds_box, operands)):
            raise refusal(f"{self.__name__}(...).sample()", 'call @ "name"')
        return self.draw(seeded(rng), operands, call.options if size is None else size)

    def __reduce__(self) -> Any:
        """Pickled by what it was made of, or by its name in the module of its functions."""
        return self.recipe or global_name(self, self.__module__)

    def _forms(self) -> str:
        """How it is called, in every form."""
        return repr(self)


class _Signature:
    """`__signature__` of a distribution, made when `inspect.signature` asks for it."""

    def __get__(self, fn: "Distribution | None", owner: type) -> Any:
        if fn is None:
            raise AttributeError("__signature__")
        return signature_of(fn.declared)


class Distribution(AbstractDistribution[P, R]):
    """A generative function with one choice, its value.

    `normal(mu, std) @ "y"` draws inside a generative function; `normal.log_prob(y, mu, std)` is its
    log density and `normal.sample(mu, std, rng=0)` draws, anywhere. All arguments broadcast: an
    array-valued choice is that many independent draws and its log probability is their sum. `size`
    asks for that many draws, as in numpy.
    """

    __wrapped__: Callable[..., Any]
    """The function that shows how it is called: its signature, or a user's log density."""
    __signature__: Any = _Signature()

    def __init__(self, declared: Declaration):
        self.declared = declared
        self.__name__ = declared.name
        self.__module__ = declared.draw.__module__
        self.__doc__ = docstring_of(declared)
        self.arguments = declared.arguments
        self.argument_names = list(declared.arguments)
        self.kind = declared.kind
        self._complete = -1 if declared.keyword_only else len(declared.arguments)
        self._main: Distribution = self  # of which this is another form, as bernoulli(logits=...)
        for form in declared.forms.values():
            if isinstance(form, Distribution):
                form._main = self

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        named: dict[str, Any] = kwargs
        size = named.pop("size", None) if named else None
        if not named and len(args) == self._complete:
            return Call(self, args, size)
        for keyword, form in self.declared.forms.items():
            if keyword in named:
                return form(*args, size=size, **named)
        given = arguments_in_order(self.declared, self._main.declared, args, named)
        return Call(self, given, size)

    @property
    def support(self) -> str:
        """The values that have a density, in words."""
        return self.declared.support

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        return draw_value(self.declared, rng, args, size)

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        return coerce_value(self.declared, value, args, size)

    def broadcast(self, x: Any, args: Sequence[Any], size: Any) -> Any:
        return broadcast_value(self.declared, x, args, size)

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        return log_density(self.declared, (x, *args))

    def log_probs_of(self, x: Any, args: Sequence[Any]) -> Any:
        return log_densities(self.declared, (x, *args))

    def region_of(self, args: Sequence[Any]) -> Region:
        region = self.declared.region
        if region is None:
            raise no_region(self.__name__, "the bounds of its values are not known")
        return region(*args)

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        x, args = raw(x), [raw(a) for a in args]
        entry = entry_of(self.declared, x, args)
        each = self.log_probs_of(x, args)
        return why_impossible(self.__name__, self.support, each, entry)

    def _forms(self) -> str:
        return repr(self._main)

    def __repr__(self) -> str:
        return forms_of(self.declared)
