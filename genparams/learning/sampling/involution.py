"""The involutive form of Metropolis-Hastings, and the checks of an involution.

A proposal draws choices u, and an involution f maps the trace t and u to other choices t' of the
model and u' of the proposal, so that f(t', u') = (t, u). The move is accepted with probability

    min(1, p(t') q(u'; t') / (p(t) q(u; t)) |det df(t, u)/d(t, u)|)

Reference: Green, 1995, Biometrika 82; Cusumano-Towner, Lew and Mansinghka, 2020,
https://arxiv.org/abs/2007.09871.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, NotInvolution
from genparams.learning.sampling.kernels import decided
from genparams.learning.sampling.moved import Moved
from genparams.text import brief
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import Trace
from genparams.types import Address, Array, show

STEP = 1e-6
"""The step of a central difference, as a part of a number of size 1 or more."""
CLOSE = 1e-4
"""How far log |det| may be from that of differences."""
RETURNED = 1e-8
"""How far a number may be from where it began, as a part of a number of size 1 or more."""


@dataclass(frozen=True, slots=True)
class Involution:
    """An involution, with the proposal whose choices it takes."""

    proposal: Any
    args: tuple[Any, ...]
    function: Callable[..., Any]

    def __call__(self, trace: Trace, u: ChoiceMap, retval: Any) -> "Image":
        """New values for the model, the choices that lead back, and the log determinant."""
        found = self.function(trace, u, retval, self.args)
        good = isinstance(found, tuple) and len(found) == 3
        if not good or not all(isinstance(part, Mapping) for part in found[:2]):
            raise NotInvolution(
                "an involution returns constraints, back, log_abs_det: two dictionaries by address "
                f"and a number, got {brief(found)}"
            )
        return Image(ChoiceMap(found[0]), ChoiceMap(found[1]), _finite(found[2]))

    def propose(self, trace: Trace, rng: np.random.Generator) -> tuple[ChoiceMap, float, Any]:
        return self.proposal.propose((trace, *self.args), rng)

    def assess(self, trace: Trace, u: ChoiceMap) -> tuple[float, Any]:
        return self.proposal.assess((trace, *self.args), u)


@dataclass(frozen=True, slots=True)
class Image:
    """What an involution returns."""

    constraints: ChoiceMap
    back: ChoiceMap
    log_abs_det: float

    def applied(self, trace: Trace) -> tuple[Trace, float, ChoiceMap]:
        """The new trace, log p(t') - log p(t), and the values that it does not have.

        Raises:
            NotInvolution: the new trace has a choice that is given by nothing.
        """
        new, weight, discard = trace.update(self.constraints, rng=0)
        added = sum(a not in trace.choices for a in self.constraints)
        gone = sum(a not in new.choices for a in discard)
        if len(new.choices) > len(trace.choices) + added - gone:
            drawn = next(
                a for a in new.choices if a not in self.constraints and a not in trace.choices
            )
            raise NotInvolution(
                f"the new trace visits {show(drawn)}, for which the involution gives no value; "
                "return one in its constraints, made of the choices of the proposal"
            )
        return new, weight, discard


def _finite(log_abs_det: Any) -> float:
    try:
        found = float(log_abs_det)
    except (TypeError, ValueError):
        found = np.nan
    if not np.isfinite(found):
        raise InvalidValue(
            "the third value of an involution is log |det J|, a finite number, got "
            f"{brief(log_abs_det)}; write 0.0 where the map only exchanges values"
        )
    return found


def involutive(
    trace: Trace,
    proposal: Any,
    proposal_args: tuple[Any, ...],
    function: Callable[..., Any],
    check: bool,
    rng: np.random.Generator,
) -> Moved:
    """One step of the involutive form; see `metropolis_hastings`."""
    involution = Involution(proposal, proposal_args, function)
    u, log_forward, retval = involution.propose(trace, rng)
    image = involution(trace, u, retval)
    new, weight, discard = image.applied(trace)
    log_back, back_retval = involution.assess(new, image.back)
    if check:
        _check_return(involution, trace, u, image, new, back_retval)
        _check_determinant(involution, trace, u, image, discard)
    return decided(rng, trace, new, weight + image.log_abs_det + log_back - log_forward)


# --- Checks


def _check_return(
    involution: Involution, trace: Trace, u: ChoiceMap, image: Image, new: Trace, retval: Any
) -> None:
    """Refuse an involution that, applied twice, does not lead back."""
    second = involution(new, image.back, retval)
    old, _, _ = second.applied(new)
    _refuse_other("the model", trace.choices, old.choices)
    _refuse_other("the proposal", u, second.back)
    total = image.log_abs_det + second.log_abs_det
    if abs(total) > CLOSE * (1.0 + abs(image.log_abs_det)):
        raise NotInvolution(
            f"log |det J| is {image.log_abs_det:.6g} there and {second.log_abs_det:.6g} on the way "
            "back; they add to 0 where the map is its own inverse"
        )


def _refuse_other(whose: str, first: ChoiceMap, second: ChoiceMap) -> None:
    for address in {**first, **second}:
        here, there = _at(first, address), _at(second, address)
        if here is None or there is None or not _is_close(here, there):
            raise NotInvolution(
                f"applied twice, the involution does not lead back: {show(address)} of {whose} was "
                f"{_found(here)} and is {_found(there)}"
            )


def _at(choices: ChoiceMap, address: Address) -> Any:
    return choices[address] if address in choices else None  # noqa: SIM401  # `get` gives a view


def _found(value: Any) -> str:
    return "not visited" if value is None else brief(value)


def _is_close(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_is_close, a, b))
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return bool(np.all(a == b))
    size = np.maximum(np.abs(a.astype(float)), 1.0)
    return bool(np.all(np.abs(a.astype(float) - b.astype(float)) <= RETURNED * size))


def _check_determinant(
    involution: Involution, trace: Trace, u: ChoiceMap, image: Image, discard: ChoiceMap
) -> None:
    """Refuse a log determinant that is not that of central differences."""
    inputs = [_floats(discard), _floats(u)]
    start, outputs = _joined(inputs), _outputs(involution, trace, image)
    if len(start) != len(_joined(outputs)):
        raise NotInvolution(
            f"the involution maps {_sizes(inputs)} numbers to {_sizes(outputs)} (of the model and "
            "of the proposal); the totals must be equal: return in `back` what the proposal must "
            "choose to restore the choices that are gone"
        )

    def at(x: Array) -> Array:
        t, v = _split(inputs, x)
        moved, given = trace.update(t)[0], u.without([*v]).merge(v)
        _, retval = involution.assess(moved, given)
        return _joined(_outputs(involution, moved, involution(moved, given, retval)))

    steps = np.diag(STEP * np.maximum(np.abs(start), 1.0))
    rows = [(at(start + s) - at(start - s)) / (2.0 * s.sum()) for s in steps]
    sign, log_det = np.linalg.slogdet(np.reshape(rows, (len(start), len(start))))
    found = float(log_det) if sign else -np.inf
    if not abs(found - image.log_abs_det) <= CLOSE * (1.0 + abs(image.log_abs_det)):
        raise NotInvolution(
            f"the involution gives log |det J| = {image.log_abs_det:.6g}, and finite differences "
            f"give {found:.6g}"
        )


def _outputs(involution: Involution, trace: Trace, image: Image) -> list[ChoiceMap]:
    """The numbers of an image, as the model and the proposal have them."""
    new, _, _ = image.applied(trace)
    back, _ = involution.proposal.generate((new, *involution.args), image.back)
    return [_floats(new.choices.select([*image.constraints])), _floats(back.choices)]


def _floats(choices: ChoiceMap) -> ChoiceMap:
    """The choices that are made of real numbers, by which the map has derivatives."""
    return choices.select([a for a, v in choices.items() if np.asarray(v).dtype.kind == "f"])


def _joined(maps: list[ChoiceMap]) -> Array:
    return np.concatenate([m.to_array() for m in maps])


def _split(maps: list[ChoiceMap], x: Array) -> list[ChoiceMap]:
    size = len(maps[0].to_array())
    return [maps[0].from_array(x[:size]), maps[1].from_array(x[size:])]


def _sizes(maps: list[ChoiceMap]) -> str:
    return " + ".join(str(len(m.to_array())) for m in maps)
