"""The functions of scipy.special that are written in Python.

A ufunc of scipy.special asks a traced argument how to compute the result. A few functions of
scipy.special are not ufuncs and do not ask. When this module is imported it replaces each of them
by a function that applies a rule to traced values and calls scipy's own function for all others.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from genparams.autodiff import reductions
from genparams.autodiff.dispatch import apply_rule
from genparams.autodiff.refusals import refusal
from genparams.autodiff.slopes import polygamma
from genparams.autodiff.tape import holds_box, operand, special
from genparams.program.recorded import holds_recorded, note


def _polygamma(n: Any, x: Any) -> Any:
    if not isinstance(n, int):
        raise refusal("the order of polygamma", "a whole number as the order")
    return special.psi(x) if n == 0 else polygamma(n, operand(x))


def _multigammaln(a: Any, d: int) -> Any:
    terms = [special.gammaln(a - 0.5 * j) for j in range(d)]
    return sum(terms[1:], terms[0]) + 0.25 * d * (d - 1) * math.log(math.pi)


RULES: dict[str, Callable[..., Any]] = {
    "logsumexp": reductions.logsumexp,
    "softmax": reductions.softmax,
    "log_softmax": reductions.log_softmax,
    "polygamma": _polygamma,
    "multigammaln": _multigammaln,
}


def _asking(function: Callable[..., Any], rule: Callable[..., Any]) -> Callable[..., Any]:
    name = f"scipy.special.{function.__name__}"

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        if any(map(holds_box, args)) or any(map(holds_box, kwargs.values())):
            return apply_rule(rule, name, args, kwargs, function)
        if any(map(holds_recorded, args)) or any(map(holds_recorded, kwargs.values())):
            return note(function, args, kwargs)
        return function(*args, **kwargs)

    apply.__module__ = "scipy.special"  # by which it pickles
    return apply


for _name, _rule in RULES.items():
    setattr(special, _name, _asking(getattr(special, _name), _rule))
