"""Tuples that runs and edits return, which explain how to unpack them."""

from typing import Any, ClassVar

from genparams.errors import ArgumentError, UnknownAttribute


class Results(tuple[Any, ...]):
    """A tuple whose errors explain how to unpack it, for users who take it for its first part."""

    __slots__ = ()
    made_by: ClassVar[str]
    parts: ClassVar[str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnknownAttribute(f"{self._unpacking()}; it has no attribute {name!r} itself")

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, str | tuple):
            raise ArgumentError(f"{self._unpacking()}; it has no addresses itself")
        return super().__getitem__(place)

    def _unpacking(self) -> str:
        return f"{self.made_by} returns a tuple; write {self.parts} = {self.made_by}(...)"


class Generated(Results):
    """What `generate` returns."""

    __slots__ = ()
    made_by, parts = "generate", "trace, weight"


class Proposed(Results):
    """What `propose` returns."""

    __slots__ = ()
    made_by, parts = "propose", "choices, weight, retval"


class Assessed(Results):
    """What `assess` returns."""

    __slots__ = ()
    made_by, parts = "assess", "log_prob, retval"


class Updated(Results):
    """What `Trace.update` returns."""

    __slots__ = ()
    made_by, parts = "update", "trace, weight, discard"


class Regenerated(Results):
    """What `Trace.regenerate` returns."""

    __slots__ = ()
    made_by, parts = "regenerate", "trace, weight"
