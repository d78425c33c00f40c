"""The parameters of one moment, to be sent to every worker of a step."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from genparams.dsl.parallel.contents import pack_values
from genparams.dsl.parallel.tasks import Slot, loosened
from genparams.params import Parameter, ParamStore, has_moved, lock, record_of


class Snapshot:
    """All parameters of several functions, as they are when it is made."""

    def __init__(self, owners: Mapping[ParamStore, Any]):
        self._owners = [*owners.values()]
        with lock:  # no thread moves one between the others
            parameters = [[*store.values()] for store in owners]
            self._records = [[record_of(p) for p in mine] for mine in parameters]
            self._theta = {p: p.coordinates for mine in parameters for p in mine}
        self.slots: dict[Slot, Parameter] = {
            (i, p.name): p for i, mine in enumerate(parameters) for p in mine
        }

    def __contains__(self, parameter: Parameter) -> bool:
        return parameter in self._theta

    @cached_property
    def parcel(self) -> bytes:
        """The parameters as bytes."""
        return pack_values(self._records, self._owners)

    def copies(self) -> list[list[Parameter]]:
        """The parameters of each function, for a worker in this process."""
        return loosened(self._records, self._owners)

    def is_past(self) -> bool:
        """Whether a parameter has moved since; hold the lock."""
        return any(has_moved(p, at) for p, at in self._theta.items())
