"""A lecture: one function learns from the choices that another one draws.

A generative function p draws its choices, and q is run on them: q sees what p made, and its
gradient moves it to give such choices a higher probability. With p the model and q a guide this is
the sleep phase of the wake-sleep algorithm; with p a teacher and q a student, distillation; with p
a prior over problems and q a network that answers them, amortised inference.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genparams.dsl.execution import Rng, answers, execute, seeded, visits
from genparams.dsl.function import GenerativeFunction
from genparams.dsl.interpreter import Operands
from genparams.errors import ArgumentError, GenParamsError, MissingChoice, nearest
from genparams.learning.checks import check_count
from genparams.mistakes import explained, refuse_other_functions
from genparams.text import brief
from genparams.trace.choices import choice_values
from genparams.trace.trace import Trace
from genparams.types import Address, show


@explained
def lecture(
    p: GenerativeFunction,
    p_args: tuple[Any, ...],
    q: GenerativeFunction,
    get_q_args: Callable[[Trace], tuple[Any, ...]],
    rng: Rng = None,
) -> float:
    """Draw a trace of p, run q on its choices, and accumulate the gradient of q.

        t ~ p(.; p_args)
        accumulator(phi) += d/d phi log q(t; get_q_args(trace of p), phi)

    In expectation this is the gradient of E_p[log q(t)], which is largest where q is nearest to p
    in the divergence KL(p || q). An update then takes the step:

        for step in range(1000):
            lecture(model, args, guide, lambda trace: (trace["y"],))
            update.apply()

    Choices of p that q does not make are ignored: a guide makes the hidden choices of a model, and
    gets the observed ones as arguments.

    Args:
        get_q_args: From the trace of p to the arguments of q, a tuple.

    Returns:
        log q of the choices of p that q makes.

    Raises:
        MissingChoice: q makes a choice that p did not make. Drawing it from q itself, as Gen does,
            would give the gradient of no probability of what p made.
        ImpossibleTrace: a choice of p lies outside the support of q.

    Reference: Cusumano-Towner et al., 2019, Gen, https://doi.org/10.1145/3314221.3314642, where
    this is `lecture!`.
    """
    refuse_other("p", p)
    refuse_other("q", q)
    refuse_other_functions("get_q_args", get_q_args, "trace")
    p_trace = p.simulate(p_args, rng)
    q_trace = run_on(q, tuple_of("get_q_args", get_q_args(p_trace), q), p_trace.choices, p.__name__)
    log_prob, _ = q_trace.accumulate_param_gradients()
    return log_prob


@explained
def lecture_batched(
    p: GenerativeFunction,
    p_args: tuple[Any, ...],
    q_batched: GenerativeFunction,
    get_q_args: Callable[[list[Trace]], tuple[Any, ...]],
    batch_size: int,
    rng: Rng = None,
) -> float:
    """Draw several traces of p, run a batched q on all their choices, and accumulate its gradient.

        t_i ~ p(.; p_args),   i = 0, ..., batch_size - 1
        accumulator(phi) += d/d phi log q_batched({i: t_i}; get_q_args(traces of p), phi)

    The choices of trace i are nested under the key i, as the choices of call i are in `map_(q)`.
    The gradient is summed over the traces, and the returned value is their mean.

    Args:
        get_q_args: From the list of traces of p to the arguments of q_batched, a tuple.

    Returns:
        log q_batched of the choices of p that it makes, divided by `batch_size`.

    Raises:
        MissingChoice: q_batched makes a choice that no trace of p gives it.
        ImpossibleTrace: a choice of p lies outside the support of q_batched.
        InvalidValue: `batch_size` is not a whole number of at least 1.
    """
    refuse_other("p", p)
    refuse_other("q_batched", q_batched)
    refuse_other_functions("get_q_args", get_q_args, "traces")
    count, generator = check_count("batch_size", batch_size), seeded(rng)
    p_traces = [p.simulate(p_args, generator) for _ in range(count)]
    given = {i: trace.choices for i, trace in enumerate(p_traces)}
    args = tuple_of("get_q_args", get_q_args(p_traces), q_batched)
    log_prob, _ = run_on(q_batched, args, given, p.__name__).accumulate_param_gradients()
    return log_prob / count


# --- What wake-sleep shares


def run_on(
    q: GenerativeFunction,
    args: tuple[Any, ...],
    choices: Mapping[Any, Any],
    source: str,
    error: type[GenParamsError] = MissingChoice,
) -> Trace:
    """The trace of q with every choice taken from `choices`, which may hold more.

    Args:
        source: The name of the function that made the choices.

    Raises:
        MissingChoice, or `error`: q makes a choice that is not there.
        UnusedConstraint: q has a call at the address of a choice, or nests one under it.
    """
    given = choice_values(choices)

    def missing(address: Address, distribution: Any, x: Operands, size: Any) -> Any:
        raise error(
            f"{q.__name__} makes a choice at {show(address)}, where the run of {source} made none; "
            f"{nearest(show(address), map(show, given))}. Let {source} make it too, or sum it out "
            f"in {q.__name__}"
        )

    return execute(q, args, answers(given, missing), visits(given, strict=False))


def refuse_other(what: str, function: Any) -> None:
    """Refuse what is not a generative function.

    Raises:
        ArgumentError: it is not.
    """
    if not isinstance(function, GenerativeFunction):
        raise ArgumentError(
            f"{what} is a generative function, got {brief(function)}; write @gen above its def"
        )


def tuple_of(what: str, args: Any, function: GenerativeFunction) -> tuple[Any, ...]:
    """The arguments that a function of the user gives.

    Raises:
        ArgumentError: they are no tuple.
    """
    if not isinstance(args, tuple):
        names: Sequence[str] = function.argument_names
        write = f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"
        raise ArgumentError(
            f"{what} returns the arguments of {function.__name__} as a tuple, {write}, got "
            f"{brief(args)}"
        )
    return args
