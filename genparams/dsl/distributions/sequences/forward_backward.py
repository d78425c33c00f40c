"""The likelihood of a hidden Markov model and its gradient, by the forward-backward algorithm.

With initial probabilities pi, transition matrices A_t and emission densities e_t(k),

    alpha_0(j) = pi(j) e_0(j)        alpha_t(j) = sum_i alpha_{t-1}(i) A_t(i, j) e_t(j)
    beta_T-1(i) = 1                  beta_t(i) = sum_j A_{t+1}(i, j) e_{t+1}(j) beta_{t+1}(j)
    p = sum_j alpha_T-1(j)

    d log p / d log e_t(j) = alpha_t(j) beta_t(j) / p, the probability of state j at step t
    d log p / d A_t(i, j) = alpha_{t-1}(i) e_t(j) beta_t(j) / p
    d log p / d pi(j) = e_0(j) beta_0(j) / p

Both recursions multiply a vector by a matrix, again and again. They run side by side, in one of
three ways:

- By blocks. The steps are cut into blocks of about sqrt(T / 2). All blocks multiply their matrices
  together at the same time, one matrix of each block after the other. Then a vector goes from block
  to block, and at last one vector goes through each block, all at the same time. This takes about
  5 sqrt(T) operations of numpy in place of T, and K times the arithmetic.
- By steps, with vectors that are scaled to the sum 1.
- By steps in logarithms, which is slower and right for every input.

The first two ways find out whether a number that counts may have underflowed: a state that is as
good as impossible at one step may still be the right one, where the states that are likely then
cannot lead to what is observed later. The next way is used then.

Everything is written in functions that can be differentiated, for second derivatives.

Reference: Rabiner, 1989, A tutorial on hidden Markov models; section V.A for the scaling.
"""

import math
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

from genparams.autodiff import np, raw
from genparams.dsl.distributions.sequences import loops_forward_backward
from genparams.numeric import quiet
from genparams.program.recorded import recordable

NEVER = -1e300
"""The logarithm of 0: finite, so that no difference of logarithms is NaN."""
ALWAYS = 1e200
"""The largest log density; an infinite density has it."""
FAINT = 1e-140
"""Beside a scale above this number, no number that underflows counts."""
STEEPEST = 600.0
"""The largest logarithm of a derivative by a probability of 0."""
FEW = 1500
"""The multiplications of a step up to which blocks are faster."""
LONGEST = 50
"""The longest block: within a block nothing is scaled."""


@recordable(loops_forward_backward.forward_backward)
@quiet
def forward_backward(initial: Any, transition: Any, log_emissions: Any) -> tuple[Any, ...]:
    """log p of N sequences of T steps and K states, and its gradients for each sequence.

    Args:
        initial: The probabilities of the first state, of shape (N, K) or (1, K).
        transition: Of shape (N or 1, T - 1 or 1, K, K).
        log_emissions: log p(y_t | state k), of shape (N, K, T).

    Returns:
        log p, of shape (N,), and its gradients by the initial probabilities, (N, K), by the
        transitions, (N, T - 1 or 1, K, K), and by the log emissions, (N, K, T). Where p is 0 or
        infinite, the gradients are finite numbers without a meaning.
    """
    log_e = np.minimum(np.maximum(log_emissions, NEVER), ALWAYS)
    count, states, length = log_e.shape
    if count == 0:
        by_initial, by_transition = np.zeros((0, states)), np.zeros((0, *transition.shape[1:]))
        return np.zeros(0), by_initial, by_transition, log_e
    found = _one_step(initial, transition, log_e) if length == 1 else None
    if found is None and count * states**3 <= FEW and length > 16:
        found = scaled(initial, transition, log_e, by_blocks)
    if found is None:
        found = scaled(initial, transition, log_e, by_steps)
    log_p, *gradients = found or by_logs(initial, transition, log_e)
    level = raw(log_p)
    ends = np.where(level < 0.1 * NEVER, -np.inf, np.where(level > 0.1 * ALWAYS, np.inf, 0.0))
    return log_p + ends, *gradients


def _one_step(initial: Any, transition: Any, log_e: Any) -> tuple[Any, ...]:
    first = log_e[..., 0]
    log_joint = _log(initial) + first
    log_p = _log_sum(log_joint, 1)
    by_transition = np.zeros((log_e.shape[0], *transition.shape[1:]))
    posterior = np.exp(log_joint - log_p[:, None])
    return log_p, _exp(first - log_p[:, None]), by_transition, posterior[..., None]


# --- With scaled probabilities


def scaled(
    initial: Any, transition: Any, log_e: Any, vectors: Callable[..., Any]
) -> tuple[Any, ...] | None:
    """`forward_backward` by `by_blocks` or `by_steps`; None where numbers may underflow."""
    first = _log(initial) + log_e[..., 0]
    top = np.max(raw(first), axis=1, keepdims=True)
    tops = np.max(raw(log_e)[..., 1:], axis=1, keepdims=True)
    start, e = np.exp(first - top), np.exp(log_e[..., 1:] - tops)
    a = np.moveaxis(transition, 1, -1)  # (N or 1, K, K, T - 1 or 1)
    alpha, ahead, mass, beta = vectors(start, e, a)
    before, after = alpha[..., :-1], e * beta
    joint = ahead * after
    weight = np.sum(joint, axis=1, keepdims=True)
    evidence = np.sum(ahead * e, axis=1, keepdims=True)
    size = np.max(raw(beta), axis=1)
    for scale in (mass, evidence, size, weight[:, 0] / size):
        if not np.min(raw(scale)) > FAINT:  # it may be NaN
            return None
    after = after / weight
    first_after = np.sum(a[..., 0] * after[:, None, :, 0], axis=2)
    first_mass = np.sum(start, axis=1, keepdims=True)
    return (
        np.log(first_mass[:, 0])
        + np.sum(np.log(evidence), axis=(1, 2))
        + (np.sum(tops, axis=(1, 2)) + top[:, 0]),
        _exp(log_e[..., 0] - top) * first_after / first_mass,
        (before @ np.swapaxes(after, 1, 2))[:, None]
        if a.shape[-1] == 1
        else np.moveaxis(before[:, :, None] * after[:, None], -1, 1),
        np.concatenate([(alpha[..., 0] * first_after)[..., None], joint / weight], axis=-1),
    )


def _scan(start: Any, steps: Iterable[Any], step: Callable[..., Any]) -> Any:
    """`start`, and what each step makes of the result before it, on a new first axis."""
    found = [start]
    for arguments in steps:
        found.append(step(found[-1], *arguments))
    return np.reshape(np.concatenate(found), (len(found), *start.shape))


def _packed(x: Any) -> Any:
    """The same array, with its numbers in memory in the order of its axes."""
    return np.reshape(np.reshape(x, (-1,)), x.shape)


def by_blocks(start: Any, e: Any, a: Any) -> tuple[Any, ...]:
    """The vectors of both recursions, for S = T - 1 steps.

    Args:
        start: alpha_0, of shape (N, K), but for a factor.
        e: The emissions at the steps 1, ..., S, of shape (N, K, S), each but for a factor.
        a: The transitions, of shape (N or 1, K, K, S or 1).

    Returns:
        alpha_0, ..., alpha_S, scaled to the sum 1; alpha_{t-1} A_t for t = 1, ..., S; the sums of
        alpha before they were scaled; beta_1, ..., beta_S, each but for a factor.
    """
    count, states, length = e.shape
    block = min(int(math.sqrt(length / 2)), LONGEST)
    blocks = length // block + 1

    def cut(x: Any) -> Any:
        """An array over time, with the step in a block as first and the block as last axis."""
        more = np.broadcast_to(x[..., -1:], (*x.shape[:-1], blocks * block - length))
        x = np.reshape(np.concatenate([x, more], axis=-1), (*x.shape[:-1], blocks, block))
        return _packed(np.transpose(x, (-1, *range(1, x.ndim - 2), 0, -2)))

    def uncut(x: Any) -> Any:
        return np.reshape(np.transpose(x, (2, 1, 3, 0)), (count, states, -1))

    m = (np.moveaxis(a, 0, -2) if a.shape[-1] == 1 else cut(a)) * cut(e)[:, None]
    beyond = np.reshape(np.arange(blocks * block) >= length, (blocks, block)).T
    m = np.where(beyond[:, None, None, None], np.eye(states)[..., None, None], m)
    whole = reduce(lambda x, m: (x[:, :, None] * m).sum(axis=1), m)  # (K, K, N, blocks)
    both = np.stack([whole, np.swapaxes(whole[..., ::-1], 0, 1)])
    ends = np.stack([start, np.ones((count, states))])[:, :, None]
    edges = _scan(ends, zip(_with_ones(_packed(np.transpose(both, (4, 0, 3, 1, 2))))), _scaled_step)
    front, back = np.transpose(edges[:-1, ..., 0, :], (1, 3, 2, 0))  # (K, N, blocks)
    alpha = _scan(front, zip(m[:-1]), lambda x, m: (x[:, None] * m).sum(axis=0))
    beta = _scan(back[..., ::-1], zip(m[:0:-1]), lambda x, m: (x * m).sum(axis=1))[::-1]
    alpha = uncut(alpha)[..., : length + 1]
    mass = np.sum(alpha, axis=1, keepdims=True)
    alpha = alpha / mass
    before = alpha[..., :-1]
    if a.shape[-1] == 1:
        ahead = np.swapaxes(a[..., 0], 1, 2) @ before
    else:
        ahead = np.sum(a * before[:, :, None], axis=1)
    return alpha, ahead, mass, uncut(beta)[..., :length]


def _with_ones(m: Any) -> Any:
    """Matrices with one more column: the last entry of x m is then the sum of x."""
    return np.concatenate([m, np.ones((*m.shape[:-1], 1))], axis=-1)


def _scaled_step(x: Any, m: Any) -> Any:
    found = x @ m
    return found[..., :-1] / found[..., -1:]


def by_steps(start: Any, e: Any, a: Any) -> tuple[Any, ...]:
    """As `by_blocks`."""
    m = _with_ones(_both_ways(a))
    ahead, beta = _step_by_step(start, e, m, lambda x, e, m: _scaled_step(x * e, m), 1.0)
    later = ahead * e
    alpha = np.concatenate([start[..., None], later], axis=-1)
    mass = np.sum(alpha, axis=1, keepdims=True)
    return alpha / mass, ahead, mass, beta


def _both_ways(a: Any) -> Any:
    """The matrices of the forward and, transposed, of the backward recursion, for each step."""
    m = np.transpose(np.stack([a, np.swapaxes(a[..., ::-1], 1, 2)]), (4, 0, 1, 2, 3))
    return _packed(m)


def _step_by_step(
    start: Any, e: Any, m: Any, step: Callable[..., Any], one: float
) -> tuple[Any, Any]:
    """alpha_{t-1} A_t and beta_t for t = 1, ..., S.

    A step multiplies a vector by e_t and then by a matrix. The forward vectors begin with `start`,
    which holds e_0 already, and the backward vectors with ones.

    Args:
        one: The number 1, or its logarithm.
    """
    count, states, length = e.shape
    ones = np.full((count, states, 1), one)
    front = np.concatenate([ones, e[..., :-1]], axis=-1)
    e = _packed(np.transpose(np.stack([front, e[..., ::-1]]), (3, 0, 1, 2)))[..., None, :]
    m = np.broadcast_to(m, (length, *m.shape[1:])) if m.shape[0] < length else m
    ends = np.stack([start, ones[..., 0]])[:, :, None]
    found = np.transpose(_scan(ends, zip(e, m, strict=True), step)[..., 0, :], (1, 2, 3, 0))
    return found[0, ..., 1:], found[1, ..., -2::-1]


# --- With logarithms


def by_logs(initial: Any, transition: Any, log_e: Any) -> tuple[Any, ...]:
    """`forward_backward` by logarithms."""
    start, later = _log(initial) + log_e[..., 0], log_e[..., 1:]
    log_a = np.moveaxis(_log(transition), 1, -1)
    ahead, beta = _step_by_step(start, later, _both_ways(log_a), _log_step, 0.0)
    alpha = np.concatenate([start[..., None], ahead + later], axis=-1)
    log_p = _log_sum(alpha[..., -1], 1)
    level = log_p[:, None]
    after = later + beta - level[..., None]
    first_after = _log_sum(log_a[..., 0] + after[:, None, :, 0], 2)
    by_each = _exp(alpha[:, :, None, :-1] + after[:, None])
    joint = np.concatenate([(alpha[..., 0] + first_after)[..., None], ahead + after], axis=-1)
    return (
        log_p,
        _exp(log_e[..., 0] + first_after),
        np.sum(by_each, axis=-1)[:, None] if log_a.shape[-1] == 1 else np.moveaxis(by_each, -1, 1),
        np.exp(joint),
    )


def _log_step(x: Any, log_e: Any, log_m: Any) -> Any:
    return _log_sum(np.swapaxes(x + log_e, -1, -2) + log_m, -2)[..., None, :]


def _log(probability: Any) -> Any:
    """The logarithm, `NEVER` for 0."""
    some = raw(probability) > 0.0
    return np.log(np.where(some, probability, 1.0)) + np.where(some, 0.0, NEVER)


def _log_sum(x: Any, axis: int) -> Any:
    top = np.max(raw(x), axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis)


def _exp(x: Any) -> Any:
    """The exponential, below infinity."""
    return np.exp(np.minimum(x, STEEPEST))
