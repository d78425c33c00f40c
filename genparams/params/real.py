"""The constraint of parameters that have none: all real numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import ConstraintError
from genparams.text import offence


@dataclass(frozen=True, slots=True)
class Real:
    """All real numbers: the value is its own coordinates."""

    name: str = "real"

    def natural(self, theta: Any) -> Any:
        return theta

    def coordinates(self, value: Any) -> Any:
        finite = np.isfinite(value)
        if not np.all(finite):
            raise ConstraintError(
                f"{offence(value, finite)} is not real: every entry must be finite"
            )
        return value

    def __repr__(self) -> str:
        return self.name


real = Real()
