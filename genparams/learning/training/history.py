"""The history of a loop: what it recorded while it ran."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import UnknownParameter, nearest
from genparams.learning.views import frame, view
from genparams.mistakes import answering, closed, explained
from genparams.text import brackets, counted
from genparams.types import Array


class Recorded(Mapping[str, Array]):
    """The recorded values of parameters, by name.

    Args:
        why_none: Why nothing was recorded, if that is so.
    """

    def __init__(self, values: Mapping[str, Array], why_none: str = ""):
        self._values, self.why_none = dict(values), why_none

    def __getitem__(self, name: str) -> Array:
        if name not in self._values:
            raise UnknownParameter(
                self.why_none
                or f"no parameter {name!r} was recorded; {nearest(str(name), self._values)}"
            )
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shapes = (f"{name}: array {array.shape}" for name, array in self._values.items())
        return f"{{{', '.join(shapes)}}}" if self._values else f"{{}} ({self.why_none})"


@answering(
    loss="write -history.log_prob",
    losses="write -history.log_prob",
    elbo="write history.log_prob, which holds the objective: the ELBO of a variational learner",
    history="write history.log_prob, history.params[name], history.grad_norm",
)
@closed()
@dataclass(frozen=True, eq=False)
class History:
    """What a loop recorded, every step or every k steps. All arrays have a row for each record."""

    objective: str
    """What `log_prob` is, in words: "log probability", "ELBO"."""
    steps: Array
    """The numbers of the recorded steps, from 1."""
    epochs: Array
    """The number of the epoch of each, from 1."""
    log_prob: Array
    """The objective at the values before the step, estimated from the data of the step."""
    grad_norm: Array
    """The norm of the gradient that the step used, in unconstrained coordinates."""
    seconds: Array
    """The time since the loop began, without the time between a stop and its resume."""
    params: Mapping[str, Array]
    """The values after each recorded step by name, of shape (records, *value); `f.name` where two
    functions have a parameter of one name. NaN where a parameter had no value yet."""
    stopped_because: str
    """Why the loop ended, in words."""

    @explained
    def to_frame(self) -> Any:
        """A data frame of pandas with a row for each record; an entry of an array is `beta[2]`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        columns: dict[str, Any] = {
            "epoch": self.epochs,
            self.objective: self.log_prob,
            "grad_norm": self.grad_norm,
            "seconds": self.seconds,
        }
        for name, values in self.params.items():
            for index in np.ndindex(values.shape[1:]):
                columns[name + brackets(index)] = values[(slice(None), *index)]
        return frame(columns, self.steps).rename_axis(index="step")  # type: ignore[arg-type]

    @explained
    def plot(self, ax: Any = None, name: str | None = None) -> Any:
        """Draw the objective by step, or a parameter, or "grad_norm"; see `plot_history`."""
        return view("plotting", "plot_history")(self, ax=ax, name=name)

    def __repr__(self) -> str:
        if not len(self.steps):
            return f"History(no steps; stopped because {self.stopped_because})"
        return (
            f"History({counted(int(self.steps[-1]), 'step')}, {self.objective} "
            f"{self.log_prob[0]:.6g} to {self.log_prob[-1]:.6g}; stopped because "
            f"{self.stopped_because})"
        )
