"""Generative functions with one choice, their value: what an execution asks of them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from genparams.dsl.function import GenerativeFunction
from genparams.types import P, R


class SingleChoice(GenerativeFunction[P, R]):
    """A generative function with one choice: a distribution, or a random function by hand.

    An execution makes `operands` of the arguments of a call and passes these, in order, as `args`.
    `size` is the shape of the batch that the call asks for, or None.
    """

    arguments: Any
    """A dictionary by name, of all arguments in order."""

    @abstractmethod
    def operands(self, args: Sequence[Any]) -> list[Any]:
        """The arguments of a call in the types that the other methods take."""

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
    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        """Why log p(x) is not finite, in words."""
