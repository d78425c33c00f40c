"""Which gradient estimator each choice of a guide has: the pathwise one or the score function."""

from collections.abc import Iterable, Mapping
from typing import Any

from genparams.dsl.distributions.pathwise import PATHS, has_path
from genparams.errors import DistributionError, InvalidValue
from genparams.text import brief
from genparams.trace.selection import Selection, as_selection
from genparams.types import Address, show

SCORE, PATHWISE = "score", "pathwise"
_FORM = (
    'estimator is None, "score", "pathwise", or one of these for each choice, as in {"z": "score"}'
)


class Estimators:
    """The estimator of each choice.

    Args:
        asked: None: pathwise where the distribution has path derivatives, else the score function.
            "score" or "pathwise": this one for every choice. A mapping: by selection, or by
            address, which is for all that is nested under it too; other choices as for None.

    Raises:
        InvalidValue: it is none of these.
    """

    def __init__(self, asked: Any):
        self._default: str | None = None
        self.by_selection: list[tuple[Selection, str | None]] = []
        if isinstance(asked, Mapping):
            each = asked.items()
            self.by_selection = [(as_selection(at), _checked(name)) for at, name in each]
        else:
            self._default = _checked(asked)

    def is_pathwise(self, address: Address, distribution: Any) -> bool:
        """Whether the choice at an address has the pathwise estimator.

        Raises:
            DistributionError: it is asked for, and the distribution has no path derivatives.
        """
        asked = self._default
        for selection, name in self.by_selection:
            if selection.selects(address):
                asked = name
                break
        if asked is None and distribution in PATHS:
            return True
        if asked == SCORE:
            return False
        found = has_path(distribution)
        if asked == PATHWISE and not found:
            kind = "" if distribution.kind.continuous else "is discrete and "
            raise DistributionError(
                f"the pathwise estimator needs a draw that moves smoothly with its arguments, and "
                f"{show(address)} is a choice of {distribution.__name__}, which {kind}has no "
                f'path derivatives; write estimator={{{show(address)}: "score"}}'
            )
        return found

    def check(self, addresses: Iterable[Address]) -> None:
        """Refuse an estimator for an address that the guide never visits.

        Raises:
            UnknownAddress: a mapping names it.
        """
        for selection, _ in self.by_selection:
            selection.check(addresses)


def _checked(name: Any) -> str | None:
    if name is not None and name not in (SCORE, PATHWISE):
        raise InvalidValue(f"{_FORM}; got {brief(name)}")
    return name
