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


def _results(name: str, made_by: str, parts: str) -> type[Results]:
    return type(
        name,
        (Results,),
        {"__slots__": (), "__module__": __name__, "made_by": made_by, "parts": parts},
    )


Generated = _results("Generated", made_by="generate", parts="trace, weight")
Proposed = _results("Proposed", made_by="propose", parts="choices, weight, retval")
Assessed = _results("Assessed", made_by="assess", parts="log_prob, retval")
Updated = _results("Updated", made_by="update", parts="trace, weight, discard")
Regenerated = _results("Regenerated", made_by="regenerate", parts="trace, weight")
