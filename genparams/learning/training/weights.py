"""The weights of minibatches: what a gradient is multiplied by, and what a step estimates.

Every datum has one weight in all steps of an epoch, also in a shorter last minibatch. Where the
number of data is known, with `total` or the mean, the mean of the gradients of the steps of an
epoch is then the gradient of all data. Where it is not known, this is true only if all minibatches
have the same size.
"""

from typing import Any

from genparams.errors import InvalidValue
from genparams.learning.checks import one_of
from genparams.learning.training.batches import Source
from genparams.text import brief


class Weights:
    """The weights of an objective: the sum or the mean of log probabilities.

    Write n for the data in an epoch, b for its minibatches.

        sum              a gradient is the sum over a minibatch
        sum, total=N     b N / n times the sum: an estimate of the gradient of N data
        mean             b / n times the sum: an estimate of the mean gradient of a datum

    Where n is not known, n / b is `batch_size`.

    Raises:
        InvalidValue: there is no such reduction, or `total` is not a number above 0, or both are
            given.
    """

    def __init__(self, source: Source, reduction: str, total: float | None):
        one_of("reduction", reduction, ("sum", "mean"))
        if total is not None:
            _check_total(total, reduction)
        if source.data is None or source.batches is None:
            typical = 1.0 / source.batch_size
        else:
            typical = source.batches / source.data
        wanted = 1.0 if reduction == "mean" else total
        self.scale = 1.0 if wanted is None else wanted * typical
        """The factor of a gradient."""
        self._data = source.data if wanted is None else wanted

    def estimate(self, log_prob: Any, size: int) -> Any:
        """The objective of all data, from log probabilities of a minibatch of so many."""
        return log_prob if self._data is None else self._data / size * log_prob


def _check_total(total: Any, reduction: str) -> None:
    if isinstance(total, bool) or not isinstance(total, int | float) or not 0 < total < 1e300:
        raise InvalidValue(f"total is the number of all data, above 0, got {brief(total)}")
    if reduction == "mean":
        raise InvalidValue(
            'total is for the sum of log probabilities; leave it out with reduction="mean"'
        )
