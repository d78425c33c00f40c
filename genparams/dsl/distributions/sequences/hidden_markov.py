"""Hidden Markov models: observations by the states of a Markov chain, which are summed out."""

from collections.abc import Sequence
from typing import Any

from genparams.autodiff import np, raw, shape_of
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Pullback, Terms, once
from genparams.dsl.distributions.domains import ValueKind, as_operand
from genparams.dsl.distributions.mixing import components_of
from genparams.dsl.distributions.parts import base_of, made_of_parts
from genparams.dsl.distributions.regions import Region, hull
from genparams.dsl.distributions.sequences.autoregressive import whole_length
from genparams.dsl.distributions.sequences.emissions import Emissions, with_missing
from genparams.dsl.distributions.sequences.hidden_markov_table import no_size, of_table
from genparams.dsl.distributions.sequences.marginal import chain_arguments, marginal
from genparams.dsl.distributions.sequences.markov_chain import check_states, draw_states
from genparams.errors import ArgumentError, ShapeError
from genparams.mistakes import explained
from genparams.types import Array, Numbers, R, Size

NAME = "hidden_markov"
FORM = "hidden_markov(initial, transition, normal(means, stds), length=len(ys))"


@explained
def hidden_markov(
    initial: Numbers,
    transition: Numbers,
    emissions: Call[R] | None = None,
    length: int | None = None,
    *,
    log_emissions: Numbers | None = None,
    size: Size = None,
) -> Call[R]:
    """A sequence of observations, each by the state of a hidden Markov chain at its step.

        s ~ markov_chain(initial, transition, length),    y_t ~ emissions of state s_t
        log p(y) = log sum_s p(s) prod_t p(y_t | s_t)

    The choice is the sequence of observations, one array of shape (length,), or (length, d) where
    an observation is a vector. The sum over all sequences of states is computed by the
    forward-backward algorithm, and so are the gradients by all arguments and by continuous
    observations:

        hidden_markov(initial, transition, normal(means, stds), length=len(ys)) @ "ys"

    Missing observations of a continuous sequence are NaN; they do not count, and the gradient by
    them is 0. A vector is missing as a whole.

    `hidden_markov_smoother` gives the probabilities of the states, `hidden_markov_states` draws of
    the states, `hidden_markov_path` the most likely sequence of states.

    Args:
        initial: The probabilities of the first state, of shape (K,).
        transition: Row i holds the probabilities of the states after state i: shape (K, K). Or one
            matrix for each step, of shape (length - 1, K, K).
        emissions: A call whose arguments' last batch axis runs over the states, as in
            `normal(means, stds)` with vectors `means` and `stds`, `mvnormal(means, covs)` with
            `means` of shape (K, d), or `categorical(probs)` with `probs` of shape (K, M). The axis
            of the steps may be in front of the axis of the states, as in `means` of shape
            (length, K), or (length, 1) where the states share it.
        length: How many observations there are; it may be left out where the shape of an argument
            says it.
        log_emissions: In place of `emissions`, log p(y_t | state k) of the observations, of shape
            (length, K), -inf where a state cannot give what is observed. Then the value of the
            choice is not used, but for its length, and cannot be drawn.
        size: The shape of a batch of independent sequences.

    Raises:
        ArgumentError: `emissions` is not a call of a distribution over numbers or vectors, or has a
            size; the length is not known; or `emissions` and `log_emissions` are both given.
        ShapeError: the shapes do not fit together.
        DistributionError: when it is used, an argument is outside its domain, or a vector is
            missing in part.

    Reference: Rabiner, 1989, A tutorial on hidden Markov models.
    """
    transition = as_operand(NAME, "transition", transition)
    varying = len(shape_of(transition)) > 2
    steps = shape_of(transition)[-3] + 1 if varying else None
    if (emissions is None) == (log_emissions is None):
        raise ArgumentError(f"{NAME} takes either emissions or log_emissions; write {FORM}")
    if emissions is None:
        if size is not None:
            raise no_size(size)
        table = as_operand(NAME, "log_emissions", log_emissions)
        if len(shape_of(table)) < 2:
            raise ShapeError(
                f"log_emissions of {NAME} has a row for each observation and a column for each "
                f"state, got shape {shape_of(table)}"
            )
        length = _length(length, [shape_of(table)[-2], steps])
        return Call(of_table(length, varying), (initial, transition, table), None)
    base = base_of(NAME, emissions, FORM)
    args = base.operands(emissions.args)
    ranks = [domain.rank for domain in base.arguments.values()]
    args = [  # an argument that all states share
        np.reshape(a, (1, *shape_of(a))) if len(shape_of(a)) == rank else a
        for a, rank in zip(args, ranks, strict=True)
    ]
    fronts = [shape_of(a)[: len(shape_of(a)) - rank] for a, rank in zip(args, ranks, strict=True)]
    timed = tuple(len(front) > 1 for front in fronts)
    times = [front[-2] for front in fronts if len(front) > 1]
    length = _length(length, [steps, *(n for n in times if n > 1)])
    return Call(_of_call(base, length, varying, timed), (initial, transition, *args), size)


def _length(length: int | None, known: Sequence[int | None]) -> int:
    """The length that is given, or the one that the shape of an argument says."""
    if length is not None:
        return whole_length(length, where=NAME)
    for steps in known:
        if steps is not None:
            return steps
    raise ArgumentError(f"{NAME} needs the number of observations; write length=len(ys)")


@made_of_parts
def _of_call(
    base: Distribution, length: int, varying: bool, timed: tuple[bool, ...]
) -> Distribution:
    emissions = Emissions(base, length, timed)
    kind = base.kind
    convert = with_missing(kind.convert, kind.rank) if kind.continuous else kind.convert
    name = f"{NAME} of {base.__name__}"

    def region(initial: Any, transition: Any, *args: Any) -> Region:
        states = components_of([(base,)], True, args, shape_of(initial)[-1])
        return hull([part.region_of(own) for ((part, own),) in states], name)

    def draw(rng: Any, initial: Any, transition: Any, *args: Any, size: tuple[int, ...]) -> Any:
        states = draw_states(rng, initial, transition, size, length, varying)
        return emissions.draw(rng, states, args)

    def terms(x: Any, initial: Any, transition: Any, *args: Any) -> Terms:
        log_e, pulls = emissions.terms(x, args, shape_of(initial)[-1])
        log_p, (by_initial, by_transition, by_log_e) = marginal(initial, transition, log_e, varying)
        by_log_e = once(by_log_e)

        def through(pull: Pullback | None) -> Pullback | None:
            return pull and (lambda g: pull(by_log_e(g)))

        by_x, *by_args = map(through, pulls)
        return log_p, (by_x, by_initial, by_transition, *by_args)

    def fit(initial: Any, transition: Any, *args: Any) -> None:
        check_states(NAME, initial, transition, length)
        emissions.check(args, shape_of(initial)[-1])

    return Distribution(
        Declaration(
            name=name,
            arguments=chain_arguments(varying) | emissions.arguments,
            kind=ValueKind(kind.rank + 1, convert, kind.continuous, kind.free),
            region=region if kind.continuous else None,
            draw=draw,
            terms=terms,
            fit=fit,
            event=lambda args: (length, *base.declared.event_shape(args[2:])),
            support=f"sequences of length {length} of {base.support}",
            doc=hidden_markov.__doc__,
        )
    )


def log_emissions_of(call: Call[Any], ys: Any) -> Array | None:
    """log p(y_t | state k), of shape (*batch, K, length), for arguments that are checked.

    None for a call of anything but `hidden_markov`.
    """
    fn = call.fn
    make, parts = getattr(fn, "recipe", None) or (None, None)
    if make is not _of_call and make is not of_table:
        return None
    args = [raw(a) for a in fn.operands(call.args)]
    x = fn.coerce(ys, args, call.options)
    fn.declared.check(args)
    if make is of_table:
        return np.swapaxes(args[2], -1, -2)
    base, length, _, timed = parts  # type: ignore[misc]
    with np.errstate(all="ignore"):
        return Emissions(base, length, timed).terms(x, args[2:], shape_of(args[0])[-1])[0]
