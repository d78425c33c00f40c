"""The runner of Markov chains.

A kernel is a function `kernel(trace, rng=...)` that returns `trace, accepted`, one step of a Markov
chain whose stationary distribution is the posterior. The runner applies kernels in turn, in several
independent chains, and keeps the states after the warm-up.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.errors import ArgumentError, DivergentTrajectories, InvalidValue, NoDensity
from genparams.learning.checks import check_count
from genparams.learning.progress import Report, shown
from genparams.learning.sampling.draws import Chain, Draws
from genparams.learning.sampling.moved import Moved
from genparams.learning.sampling.shipping import results_of
from genparams.learning.sampling.warmup import Learner, Tuning
from genparams.mistakes import explained, refuse_other_functions
from genparams.text import brief
from genparams.trace.origin import settle
from genparams.trace.trace import Trace
from genparams.types import show

Kernel = Callable[..., tuple[Trace, bool]]
"""A function `kernel(trace, rng=generator)` that returns `trace, accepted`."""


@explained
def mcmc(
    kernel: Any,
    trace: Any,
    draws: int = 1000,
    warmup: int = 1000,
    chains: int = 1,
    *,
    thin: int = 1,
    executor: Any = None,
    rng: Rng = None,
    progress: bool = False,
    target_accept: float | None = None,
    metric: str = "diagonal",
) -> Draws:
    """Run Markov chains, and keep the states after the warm-up.

        step = functools.partial(metropolis_hastings, selection="mu")
        found = mcmc(step, trace, draws=1000, warmup=200, chains=4, rng=0)
        found.values["mu"]          # of shape (4, 1000)

    A kernel with an argument `step_size` or `metric` that it was not given, such as
    `functools.partial(nuts, selection=["mu", "tau"])`, learns it in the warm-up: the step size by
    dual averaging, the metric from the states in windows of increasing length, as in Stan.
    `found.adapted[chain][kernel]` is what it learnt.

    One iteration applies each kernel once, in order. Chain c draws from its own generator, seeded
    by child c of `rng`, so that its draws depend neither on the number of chains nor on the
    executor.

    Args:
        kernel: A function `kernel(trace, rng=generator)` that returns `trace, accepted`, such as a
            `functools.partial` of `metropolis_hastings` or `hmc`; or a list of kernels, which are
            applied in turn. Each must leave the posterior invariant.
        trace: Where the chains begin: one trace for all of them, or a list with one for each.
            Begin apart from each other to see whether the chains agree.
        draws: How many states of each chain are kept.
        warmup: How many iterations come before them, which are not kept.
        thin: Every how many iterations a state is kept.
        executor: Where the chains run: an object with the method `submit` of
            `concurrent.futures.Executor`, such as `LocalProcesses(4)`, or a dask `Client`. None
            means here, one after the other. The present parameters travel with each chain.
        rng: A generator, a seed, or None. A seeded run repeats to the bit.
        progress: Whether to show progress. Chains in an executor show none.
        target_accept: The mean acceptance probability at which a step size aims; None for the usual
            one, 0.8 for `hmc` and `nuts`, 0.574 for `mala`. Nearer to 1 means smaller steps, and
            fewer divergences.
        metric: The form of a metric that the warm-up estimates: "diagonal", or "dense" with all
            covariances.

    Raises:
        InvalidValue: a count is too small, `target_accept` or `metric` cannot be, or there is
            another number of traces than of chains.
        ArgumentError: a kernel is not a function of `(trace, rng=...)`, or does not return `trace,
            accepted`; or `trace` is not a trace.
        NoDensity: the log probability of a trace where a chain begins is not finite.
        NotPicklable: a chain cannot be sent to another process.
        NoStepSize: no step size fits.

    A warning, `DivergentTrajectories`, says how many draws came after a divergent trajectory.
    """
    tuning = Tuning(target_accept, metric)
    kernels = _kernels(kernel)
    check_count("draws", draws)
    check_count("warmup", warmup, 0)
    check_count("thin", thin)
    starts = _starts(trace, check_count("chains", chains))
    seeds = spawned(seeded(rng), chains)
    works = [
        ChainWork(kernels, start, draws, warmup, thin, seed, tuning)
        for start, seed in zip(starts, seeds, strict=True)
    ]
    if executor is not None:
        found = Draws(tuple(results_of(executor, run_chain, works, "a chain")))
        for trace in (trace for chain in found.traces for trace in chain):
            settle(trace)  # it was made at the parameters here
    else:
        total = chains * (warmup + draws * thin)
        with shown("mcmc", progress, total) as report:
            found = Draws(tuple([run_chain(w, report, i) for i, w in enumerate(works)]))
    _warn_of_divergences(found)
    return found


def _warn_of_divergences(found: Draws) -> None:
    count = int(np.sum(found.divergent))
    if count:
        chains, draws = found.shape
        warnings.warn(
            f"{count} of {chains * draws} draws came after a divergent trajectory: near there the "
            "posterior curves more than the steps can follow, and the draws miss a part of it. "
            "Give mcmc a target_accept nearer to 1, such as 0.95, or write the model in other "
            "coordinates, such as mu + tau * z for z of a standard normal in place of normal(mu, "
            "tau)",
            DivergentTrajectories,
            stacklevel=4,  # above `explained`
        )


def spawned(rng: np.random.Generator, n: int) -> list[np.random.SeedSequence]:
    """Independent seeds that depend on the state of a generator, and move it on."""
    return np.random.SeedSequence(rng.integers(2**32, size=4).tolist()).spawn(n)


@dataclass(frozen=True, slots=True)
class ChainWork:
    """What a chain needs; it travels to the process that runs it."""

    kernels: tuple[Kernel, ...]
    trace: Trace
    draws: int
    warmup: int
    thin: int
    seed: np.random.SeedSequence
    tuning: Tuning

    def parts(self) -> dict[str, Any]:
        """What must pickle, by what it is called in an error."""
        return {
            **{f"kernel {i}: {brief(k)}": k for i, k in enumerate(self.kernels)},
            f"the model {self.trace.gen_fn.__name__}": self.trace.gen_fn,
            "the arguments of the trace": self.trace.args,
            "the choices of the trace": self.trace.choices,
            "the return value of the trace": self.trace.retval,
            "the trace": self.trace,
        }


def run_chain(work: ChainWork, report: Report | None = None, place: int = 0) -> Chain:
    """Run one chain: the warm-up, then the draws.

    Args:
        place: Which chain it is, for the report.
    """
    rng = np.random.default_rng(work.seed)
    trace = work.trace
    settle(trace)  # its parameters have travelled with it
    per_chain = work.warmup + work.draws * work.thin

    def tell(done: int, words: str) -> None:
        if report is not None:
            report(place * per_chain + done, f"chain {place}, {words}")

    kernels, adapted, trace = warmed(work, trace, rng, tell)
    record = Record(len(kernels))
    for i in range(work.draws):
        since = []
        for _ in range(work.thin):
            since.append(swept(kernels, trace, rng))
            trace = since[-1][-1].trace
        record.keep(since)
        tell(work.warmup + (i + 1) * work.thin, "draws")
    return record.chain(adapted)


def warmed(
    work: ChainWork, trace: Trace, rng: np.random.Generator, tell: Report
) -> tuple[tuple[Kernel, ...], tuple[dict[str, Any], ...], Trace]:
    """The kernels after the warm-up, what it chose for each, and the state of the chain."""
    learners = [Learner(kernel, work.tuning, work.warmup) for kernel in work.kernels]
    for learner in learners:
        learner.begin(trace, rng)
    for i in range(work.warmup):
        for learner in learners:
            moved = stepped(learner.kernel, trace, rng)
            learner.learn(moved, rng)
            trace = moved.trace
        tell(i + 1, "warm-up")
    settled = [learner.settled() for learner in learners]
    return tuple([k for k, _ in settled]), tuple([dict(chosen) for _, chosen in settled]), trace


def swept(kernels: Sequence[Kernel], trace: Trace, rng: np.random.Generator) -> list[Moved]:
    """One iteration: a step of each kernel, in turn."""
    moves = []
    for kernel in kernels:
        moves.append(stepped(kernel, trace, rng))
        trace = moves[-1].trace
    return moves


def stepped(kernel: Kernel, trace: Trace, rng: np.random.Generator) -> Moved:
    """One step of a kernel, whose result is checked."""
    moved = kernel(trace, rng=rng)
    if type(moved) is Moved:
        return moved
    good = isinstance(moved, tuple) and len(moved) == 2 and isinstance(moved[0], Trace)
    if not good or not isinstance(moved[1], (bool, np.bool_)):
        raise ArgumentError(
            f"a kernel returns trace, accepted; {brief(kernel)} returned {brief(moved)}"
        )
    return Moved(moved[0], bool(moved[1]))


class Record:
    """The states of a chain that are kept, and what happened between them."""

    def __init__(self, kernels: int):
        self._kernels = kernels
        self._traces: list[Trace] = []
        self._accepted: list[list[float]] = []
        self._divergent: list[bool] = []
        self._stats: list[dict[str, float]] = []

    def keep(self, since: Sequence[Sequence[Moved]]) -> None:
        """Keep the last state, with what happened since the draw before: moves by iteration."""
        self._traces.append(since[-1][-1].trace)
        columns = zip(*since, strict=True)
        self._accepted.append([float(np.mean([m.accept_prob for m in c])) for c in columns])
        self._divergent.append(any(m.divergent for each in since for m in each))
        self._stats.append(named_stats(since[-1]))

    def chain(self, adapted: tuple[dict[str, Any], ...]) -> Chain:
        names = dict.fromkeys(name for row in self._stats for name in row)
        return Chain(
            traces=tuple(self._traces),
            accept_probs=np.reshape(self._accepted, (len(self._traces), self._kernels)),
            divergent=np.array(self._divergent, bool),
            stats={n: np.array([row.get(n, np.nan) for row in self._stats]) for n in names},
            adapted=adapted,
        )


def named_stats(moves: Sequence[Moved]) -> dict[str, float]:
    """The numbers of each kernel by name; with several kernels `step_size[1]` is of kernel 1."""
    if len(moves) == 1:
        return dict(moves[0].stats)
    return {f"{name}[{i}]": x for i, m in enumerate(moves) for name, x in m.stats.items()}


# --- What a user gives


def _kernels(given: Any) -> tuple[Kernel, ...]:
    kernels = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    if not kernels:
        raise ArgumentError("mcmc takes one kernel or several, got an empty list")
    for kernel in kernels:
        name = getattr(kernel, "__name__", "")
        if name in ("hmc", "mala", "nuts", "metropolis_hastings"):  # their selection is not given
            raise ArgumentError(
                f"mcmc takes a kernel that needs the trace alone; write "
                f"functools.partial({name}, selection=[...]) with the addresses of the choices"
            )
        refuse_other_functions("a kernel", kernel, "trace", rng=None)
    return kernels


def _starts(given: Any, chains: int) -> list[Trace]:
    """A trace at the present parameters for each chain."""
    traces: list[Any] = [given] * chains
    if type(given) in (list, tuple):
        traces = list(given)
        if len(traces) != chains:
            raise InvalidValue(
                f"there are {chains} chains and {len(traces)} traces; give one trace for all "
                f"chains, or write chains={len(traces)}"
            )
    for trace in traces:
        if not isinstance(trace, Trace):
            raise ArgumentError(
                "a chain begins at a trace, as in trace, weight = model.generate(args, "
                f"observations), got {brief(trace)}"
            )
    fresh = [trace.rescored() if trace.is_stale else trace for trace in traces]
    for trace in fresh:
        refuse_without_density(trace, "a chain cannot begin at this trace")
    return fresh


def refuse_without_density(trace: Trace, what: str) -> None:
    """Refuse a trace whose log probability is not finite.

    Raises:
        NoDensity: naming the first choice without a density.
    """
    for address, log_prob in trace.log_probs.items():
        if not np.isfinite(log_prob):
            raise NoDensity(trace.gen_fn.__name__, show(address), float(log_prob), what)
