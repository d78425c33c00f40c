from dataclasses import dataclass
from typing import Any


@dataclass
class FitResult:
    maximum: Any

    @classmethod
    def of(cls, maximum, labels=None, kind="observed"):
        return cls(maximum)
