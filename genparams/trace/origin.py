"""The origin of a trace: the process that made it.

A pickled trace carries the parameter values of its run and its origin. Another process uses the
trace only where its parameters have the same values and constraints.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = os.urandom(8)


@dataclass(frozen=True, slots=True)
class Origin:
    """A process, and the constraints that the parameters of a trace had there."""

    process: tuple[int, bytes]
    constraints: Mapping[tuple[Any, str], Any]

    def is_here(self) -> bool:
        """Whether this is the process."""
        return self.process == _this_process()


def origin_here(parameters: Iterable[tuple[Any, str]]) -> Origin:
    """The origin of a trace of this process that read some parameters, by function and name."""
    return Origin(
        _this_process(),
        {(f, name): f.params[name].constraint for f, name in parameters if name in f.params},
    )


def _this_process() -> tuple[int, bytes]:
    """A name of this process, which a fork of it does not have."""
    return os.getpid(), _TOKEN
