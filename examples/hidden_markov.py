"""A hidden Markov model: a casino that sometimes changes its die for a loaded one.

    state[0] ~ either,   state[t] ~ transition[state[t - 1]],   roll[t] ~ emission[state[t]]

The model is written twice. `casino` makes every state and every roll a choice, and draws the data.
`rolls` is a random function of the rolls alone: the forward algorithm sums out the states, and the
gradient is written by hand, from the expected counts of the forward-backward algorithm. Both read
one store of parameters, so that training the second trains the first. The fit is checked against
expectation maximisation from the same start, the gradient against differences, and `rolls` against
the sum of what `casino` gives to every sequence of states. Takes a few seconds.

The casino is from Durbin, Eddy, Krogh and Mitchison, 1998, Biological Sequence Analysis, Cambridge
University Press, section 3.2.
"""

from itertools import product

import numpy as np
from checking import compare

from genparams import (
    ADAM,
    ChoiceMap,
    ParamUpdate,
    categorical,
    check_gradients,
    cosine_decay,
    custom_random,
    gen,
    get_param,
    init_param,
    param,
    simplex,
    train,
    unfold,
)

EITHER = np.array([0.5, 0.5])
TRUTH = {
    "transition": np.array([[0.95, 0.05], [0.1, 0.9]]),
    "emission": np.array([[1 / 6] * 6, [0.1] * 5 + [0.5]]),
}
START = {
    "transition": np.array([[0.8, 0.2], [0.3, 0.7]]),
    "emission": np.array([[1 / 6] * 6, [0.15] * 5 + [0.25]]),
}


def forward(x, transition, emission):
    """p(state[t] | rolls up to t) and p(roll[t] | rolls before t), for each t."""
    filtered, scale = np.empty((len(x), len(transition))), np.empty(len(x))
    for t, face in enumerate(x):
        joint = (filtered[t - 1] @ transition if t else EITHER) * emission[:, face]
        scale[t] = joint.sum()
        filtered[t] = joint / scale[t]
    return filtered, scale


def expected_counts(x, transition, emission):
    """How often each transition was made and each state showed each face, given the rolls."""
    filtered, scale = forward(x, transition, emission)
    moves, shown = np.zeros_like(transition), np.zeros_like(emission)
    later = np.ones(len(transition))  # p(rolls after t | state[t]) / p(rolls after t | rolls to t)
    for t in reversed(range(len(x))):
        shown[:, x[t]] += filtered[t] * later
        here = emission[:, x[t]] * later / scale[t]
        if t:
            moves += np.outer(filtered[t - 1], here) * transition
        later = transition @ here
    return moves, shown


def log_marginal(x, n, transition, emission):
    """log p(x), with the states summed out."""
    return np.log(forward(x, transition, emission)[1]).sum()


def by_hand(x, n, transition, emission):
    """The gradient of log p(x) by a factor is the factor's expected count over the factor."""
    moves, shown = expected_counts(x, transition, emission)
    return None, None, moves / transition, shown / emission


rolls = custom_random(None, log_marginal, by_hand, ["transition", "emission"], name="rolls")


@gen
def one_roll(step, state):
    state = categorical(EITHER if state is None else param("transition")[state]) @ "state"
    categorical(param("emission")[state]) @ "face"
    return state


casino = unfold(one_roll.with_params(rolls.params))


def main(n=500, steps=200, seed=4):
    """Draw `n` rolls from `casino`, and fit `rolls` to them."""
    begin(TRUTH)
    made = casino.simulate((n, None), rng=seed)
    x = np.array([made[t, "face"] for t in range(n)])

    begin(START)
    check_gradients(rolls, (20,), {(): x[:20]})
    by_casino = {"log p(six rolls)": sum_over_states(x[:6])}
    compare({"log p(six rolls)": rolls.assess((6,), {(): x[:6]})[0]}, by_casino)

    update = ParamUpdate(ADAM(cosine_decay(0.1, steps)), rolls)
    train(rolls, ((n,), {(): x}), update, steps=steps)

    found = estimates(get_param(rolls, "transition"), get_param(rolls, "emission"), x)
    reference = baum_welch(x)
    compare(found, reference, 1e-4)
    return found, reference


def begin(values):
    for name, value in values.items():
        init_param(rolls, name, value, constraint=simplex)


def estimates(transition, emission, x):
    return {
        "fair to loaded": transition[0, 1],
        "loaded to fair": transition[1, 0],
        "fair shows 6": emission[0, 5],
        "loaded shows 6": emission[1, 5],
        "log_likelihood": log_marginal(x, len(x), transition, emission),
    }


def sum_over_states(x):
    """log p(x) by `casino`: the sum over every sequence of states."""
    log_probs = []
    for states in product((0, 1), repeat=len(x)):
        rows = ChoiceMap.rows({"state": np.array(states), "face": x})
        log_probs.append(casino.assess((len(x), None), rows)[0])
    return np.logaddexp.reduce(log_probs)


def baum_welch(x, rounds=500):
    """Expectation maximisation: a row of expected counts, divided by its sum, is the next row."""
    transition, emission = START["transition"], START["emission"]
    for _ in range(rounds):
        moves, shown = expected_counts(x, transition, emission)
        transition = moves / moves.sum(axis=1, keepdims=True)
        emission = shown / shown.sum(axis=1, keepdims=True)
    return estimates(transition, emission, x)


if __name__ == "__main__":
    main()
