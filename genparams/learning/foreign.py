"""The constraint of a saved result that is not one of ours: only its name is known."""

from dataclasses import dataclass
from typing import Any

from genparams.errors import NoModel


@dataclass(frozen=True, slots=True)
class ForeignConstraint:
    """A user's constraint, by its text."""

    name: str

    def natural(self, theta: Any) -> Any:
        raise self._refusal()

    def coordinates(self, value: Any) -> Any:
        raise self._refusal()

    def _refusal(self) -> NoModel:
        return NoModel(
            f"this result was loaded without its model, and an interval needs the constraint "
            f"{self.name} of a parameter; fit again"
        )

    def __repr__(self) -> str:
        return self.name
