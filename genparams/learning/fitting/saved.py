"""Results of fits as plain dictionaries and texts of JSON, and back without their models.

NaN is null, with the reason under `missing`; infinities are the texts "inf" and "-inf".
"""

import json
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from genparams.constraints import Interval, lower_cholesky, ordered, positive, simplex
from genparams.errors import GenParamsError, InvalidValue, NoModel
from genparams.learning.fitting.errors import Errors
from genparams.learning.fitting.facts import Facts
from genparams.params.numbers import read_only
from genparams.text import brief
from genparams.types import Constraint, real

FORMAT = "genparams fit 1"
NAMED: dict[str, Constraint] = {c.name: c for c in (real, positive, simplex, ordered)}
NAMED[lower_cholesky.name] = lower_cholesky


# --- Pickles


def pickled(model: Any) -> Any:
    """A model if it can be pickled, else None: its functions may be local."""
    try:
        pickle.dumps(model)
    except (pickle.PicklingError, AttributeError, TypeError, GenParamsError):
        return None
    return model


def unpickled(cls: Any, *parts: Any) -> Any:
    """A result that was pickled."""
    return cls(*parts)


# --- Dictionaries


def to_dict(facts: Facts, kind: str, by_kind: Mapping[str, Errors]) -> dict[str, Any]:
    """A result as plain types."""
    plain = {f.name: _plain(getattr(facts, f.name)) for f in fields(Facts)}
    found = {name: _plain_errors(e) for name, e in sorted(by_kind.items())}
    return {"format": FORMAT, "kind": kind, "facts": plain, "errors": found}


def from_dict(record: Mapping[str, Any]) -> tuple[Facts, str, dict[str, Errors]]:
    """The parts of a result that `to_dict` wrote.

    Raises:
        InvalidValue: it is no such dictionary.
    """
    if not isinstance(record, Mapping) or record.get("format") != FORMAT:
        raise InvalidValue(
            f"expected a dictionary that FitResult.to_dict() wrote, got {brief(record)}"
        )
    try:
        facts = _facts(record["facts"])
        return facts, record["kind"], {k: _errors(e) for k, e in record["errors"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidValue(f"this dictionary of a fit is damaged: {error!r}") from error


def to_json(record: Mapping[str, Any]) -> str:
    """A dictionary as a text."""
    return json.dumps(record, allow_nan=False)


def from_json(text: str) -> Any:
    """The dictionary of a text.

    Raises:
        InvalidValue: it is no JSON.
    """
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"this is no text of JSON: {error}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return _plain_number(float(value))
    if isinstance(value, (bool, int, str, np.integer)) or value is None:
        return int(value) if isinstance(value, np.integer) else value
    return _plain_constraint(value)


def _plain_number(value: float) -> Any:
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def _plain_constraint(constraint: Constraint) -> Any:
    if isinstance(constraint, Interval):
        return {"interval": [constraint.low, constraint.high]}
    known = NAMED.get(getattr(constraint, "name", "")) == constraint
    return {"constraint" if known else "foreign": constraint.name if known else repr(constraint)}


def _plain_errors(found: Errors) -> dict[str, Any]:
    """Standard errors without the covariance of the coordinates, which only the model uses."""
    names = ("cov", "spread", "missing", "condition", "note")
    return {name: _plain(getattr(found, name)) for name in names}


# --- And back


@dataclass(frozen=True, slots=True)
class ForeignConstraint:
    """A user's constraint of a result that was saved, which has only its text."""

    name: str

    def natural(self, theta: Any) -> Any:
        raise self._refusal()

    def coordinates(self, value: Any) -> Any:
        raise self._refusal()

    def _refusal(self) -> NoModel:
        return NoModel(
            f"this result was loaded without its model, and an interval needs the constraint "
            f"{self.name} of a parameter; fit again"
        )

    def __repr__(self) -> str:
        return self.name


def _facts(plain: Mapping[str, Any]) -> Facts:
    values = dict(plain)
    for name in ("values", "at"):
        values[name] = _array(plain[name])
    values["priors"] = tuple(plain["priors"])
    values["warnings"] = tuple(plain["warnings"])
    values["estimates"] = {k: read_only(_array(v)) for k, v in plain["estimates"].items()}
    values["constraints"] = {k: _constraint(v) for k, v in plain["constraints"].items()}
    values["scales"] = [None if v is None else _constraint(v) for v in plain["scales"]]
    return Facts(**values)


def _errors(plain: Mapping[str, Any]) -> Errors:
    missing = {int(place): reason for place, reason in plain["missing"].items()}
    size = len(plain["spread"])
    cov = _array(plain["cov"]).reshape(size, size)
    return Errors(cov, _array(plain["spread"]), missing, _number(plain["condition"]), plain["note"])


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _array(value: Any) -> Any:
    if isinstance(value, list):
        return np.array([_array(v) for v in value], dtype=float)
    return _number(value)


def _constraint(plain: Mapping[str, Any]) -> Constraint:
    if "interval" in plain:
        return Interval(*plain["interval"])
    if "foreign" in plain:
        return ForeignConstraint(plain["foreign"])
    return NAMED[plain["constraint"]]
