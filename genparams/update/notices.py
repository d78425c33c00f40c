"""Warnings about likely mistakes: what an update does not train and its author may have meant to.

To look for them takes time, so that an update looks at its steps 1, 2, 4, 8, ... only.
"""

import warnings
from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from genparams.errors import GradientsWaiting, ReplacedFunction, UnreadParameter, UntrainedParameter
from genparams.params import Parameter
from genparams.registry import live
from genparams.update.targets import Targets

living: WeakSet[Any] = WeakSet()
"""The updates that something still refers to."""


def warn_of_waiting(parameters: Iterable[Parameter], stacklevel: int) -> None:
    """Warn of gradients from before an update was made."""
    waiting = [p for p in parameters if p.accumulated and not p.frozen]
    if waiting:
        warnings.warn(
            f"gradients from before this update was made wait at {_listed(waiting)}, and its "
            "first step will use them; if they are not meant, empty them with "
            "zero_param_grad(f, name)",
            GradientsWaiting,
            stacklevel=stacklevel,
        )


class Notices:
    """What an update warns of: each thing once."""

    def __init__(self, targets: Targets):
        self._targets = targets
        self.next_look = 0
        """The number of steps at which to look again."""
        self._said: set[Any] = set()

    def look_for_replaced(self) -> None:
        """Warn if a function was defined again."""
        for name in self._targets.replaced():
            self._warn_once(
                (name, *map(id, live(name))),  # again for each definition
                ReplacedFunction,
                f"{name} was defined again since this update was made, which moves the parameters "
                f"of the older one; initialise the parameters of the new {name}, and make its "
                "traces and this update again",
            )

    def look(self, steps: int, accumulated: bool) -> None:
        """Warn of parameters that no run reads and, if the step uses accumulated gradients, of
        parameters that nothing trains.
        """
        left = self._untrained() if accumulated and UntrainedParameter not in self._said else []
        if left:
            self._warn_once(
                UntrainedParameter,
                UntrainedParameter,
                f"gradients wait at {_listed(left)}, which the runs read and no update moves; "
                "write ParamUpdate(..., callees=True) to train them, or freeze them: "
                f"{left[0].store.owner or 'f'}.params[{left[0].name!r}].freeze()",
            )
        for owner, name, near in self._targets.unread():
            self._warn_once(
                (owner, name),
                UnreadParameter,
                f"{owner} has a parameter {name!r} that no run has read, and its runs read "
                f"{near!r}; if that was meant, write init_param({owner}, {near!r}, value)",
            )
        self.next_look = 2 * steps + 1

    def _warn_once(self, what: Any, category: type[Warning], message: str) -> None:
        if what not in self._said:
            warnings.warn(message, category, stacklevel=4)
            self._said.add(what)  # not before: a warning may be an error

    def _untrained(self) -> list[Parameter]:
        """Parameters with waiting gradients that the runs read and no living update moves."""
        left = [p for p in self._targets.passed_over() if p.accumulated and not p.frozen]
        covered = {p for update in list(living) for p in update.covers()} if left else set()
        return [p for p in left if p not in covered]


def _listed(parameters: Iterable[Parameter]) -> str:
    names = [f"{p.store.owner or 'theta'}.{p.name}" for p in parameters]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
