"""Loggers: callbacks that write what a loop does to files."""

import os
from importlib import import_module
from types import TracebackType
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, MissingExtra
from genparams.learning.checks import check_count
from genparams.learning.training.events import Event
from genparams.mistakes import closed, explained
from genparams.text import brief

WRITERS = ("tensorboardX", "torch.utils.tensorboard")
"""The packages that write event files, in the order in which they are looked for."""
FEW = 20
"""Parameters with at most so many entries are written entry by entry."""


@explained
@closed()
class TensorBoardLogger:
    """Writes event files for TensorBoard: the objective, the gradient norm, rates and parameters.

        with TensorBoardLogger("runs/first") as logger:
            train(f, data, update, epochs=10, callbacks=[logger])

    Scalars are named `objective`, `grad_norm`, `epoch`, `learning_rate/1` and `params/beta/2`; a
    parameter with more than 20 entries is written as its norm, `params/weights_norm`. The files
    are complete after `close`, or at the end of the `with` block.

    Args:
        folder: Where the files are written; it is made if it does not exist.
        every: Every so many steps are written.

    Raises:
        MissingExtra: neither tensorboardX nor torch with tensorboard is installed.
        InvalidValue: `folder` is no path, or `every` is no whole number above 0.
    """

    folder: str
    every: int
    _writer: Any

    def __init__(self, folder: str | os.PathLike[str], every: int = 1):
        if not isinstance(folder, str | os.PathLike):
            raise InvalidValue(f"folder is a path such as 'runs/first', got {brief(folder)}")
        self.folder, self.every = os.fspath(folder), check_count("every", every)
        self._writer = _writer(self.folder)

    def __call__(self, event: Event) -> None:
        if event.step % self.every == 0:
            for name, value in _scalars(event).items():
                self._writer.add_scalar(name, value, event.step)

    def next_call(self, step: int) -> int:
        """The first step after `step` that is written."""
        return step - step % self.every + self.every

    def close(self) -> None:
        """Write what is waiting, and close the files."""
        self._writer.close()

    def __enter__(self) -> "TensorBoardLogger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TensorBoardLogger({self.folder!r}, every={self.every})"


def _writer(folder: str) -> Any:
    for package in WRITERS:
        try:
            return import_module(package).SummaryWriter(folder)
        except ImportError:
            continue
    raise MissingExtra("TensorBoardLogger", "tensorboardX", "tensorboard")


def _scalars(event: Event) -> dict[str, float]:
    """What is written of a step, by name."""
    found = {
        "objective": event.log_prob,
        "grad_norm": event.grad_norm,
        "epoch": float(event.epoch),
    }
    for i, update in enumerate(event.updates, 1):
        rates = update.learning_rates
        for place, rate in rates.items():
            found[f"learning_rate/{i}" + (f"/{place}" if len(rates) > 1 else "")] = rate
    for name, value in event.params.items():
        array = np.asarray(value)
        if array.size > FEW:
            found[f"params/{name}_norm"] = float(np.linalg.norm(array))
            continue
        for index in np.ndindex(array.shape):
            found["/".join(["params", name, *map(str, index)])] = float(array[index])
    return found
