"""A hidden Markov model: a casino that sometimes changes its die for a loaded one.

    state[0] ~ either,   state[t] ~ transition[state[t - 1]],   roll[t] ~ emission[state[t]]

The model is written twice. `casino` makes every state and every roll a choice: it tells how the
rolls come about, and draws the data. `rolls` is a random function of the rolls alone, in which the
states are summed out by the forward algorithm; its gradient is written by hand, from the expected
counts of the forward-backward algorithm. Both read one store of parameters, so that training the
second trains the first. The fit is checked against expectation maximisation from the same start.
Takes a few seconds.

The casino is taken from Durbin, Eddy, Krogh and Mitchison, 1998, Biological Sequence Analysis,
Cambridge University Press, section 3.2.
"""

import time
from itertools import product

import numpy as np

from genparams import (
    ADAM,
    ParamUpdate,
    categorical,
    check_gradients,
    custom_random,
    gen,
    get_param,
    init_param,
    param,
    simplex,
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
STAGES = ((0.1, 100), (0.02, 100))


def forward(x, transition, emission):
    """The state at each step given the rolls up to it, and each roll's probability given those
    before it, whose product is p(x)."""
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
    later = np.ones(len(transition))  # p(rolls after t | state at t), over that given those before
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
    """p(x) is a sum of products, and its log has expected counts over factors for slopes."""
    moves, shown = expected_counts(x, transition, emission)
    return None, None, moves / transition, shown / emission


def draw(rng, n, transition, emission):
    x, state = [], rng.choice(2, p=EITHER)
    for _ in range(n):
        x.append(rng.choice(6, p=emission[state]))
        state = rng.choice(2, p=transition[state])
    return np.array(x)


rolls = custom_random(draw, log_marginal, by_hand, ["transition", "emission"], name="rolls")


@gen
def one_roll(step, state):
    state = categorical(EITHER if state is None else param("transition")[state]) @ "state"
    categorical(param("emission")[state]) @ "face"
    return state


casino = unfold(one_roll.with_params(rolls.params))


def main(n=500, stages=STAGES, seed=4):
    """Fit `n` rolls; `stages` holds pairs of a learning rate and a number of steps."""
    start = time.perf_counter()
    for name, value in TRUTH.items():
        init_param(rolls, name, value, constraint=simplex)
    made = casino.simulate((n, None), rng=seed)
    x = np.array([made[t, "face"] for t in range(n)])
    for name, value in START.items():
        init_param(rolls, name, value, constraint=simplex)
    sums = check_gradients(rolls, (20,)).error, abs(summed(x[:6]) - log_marginal_today(x[:6]))

    trace, _ = rolls.generate((n,), {(): x})
    for learning_rate, steps in stages:
        update = ParamUpdate(ADAM(learning_rate), rolls)
        for _ in range(steps):
            trace.accumulate_param_gradients()
            update.apply()

    found = {name: get_param(rolls, name) for name in TRUTH}
    found["log_likelihood"], _ = rolls.assess((n,), {(): x})
    reference = baum_welch(x)
    report(found, reference, sums, time.perf_counter() - start)
    return found, reference


def log_marginal_today(x):
    return rolls.assess((len(x),), {(): x})[0]


def summed(x):
    """log p(x) once more: the sum of what `casino` says of every sequence of states."""
    log_probs = []
    for states in product((0, 1), repeat=len(x)):
        choices = {
            t: {"state": s, "face": f} for t, (s, f) in enumerate(zip(states, x, strict=True))
        }
        log_probs.append(casino.assess((len(x), None), choices)[0])
    return np.logaddexp.reduce(log_probs)


def baum_welch(x, most=2000):
    """Expectation maximisation: a row of expected counts, divided by its sum, is the next row."""
    transition, emission = START["transition"], START["emission"]
    before, now = -np.inf, log_marginal(x, len(x), transition, emission)
    while now - before > 1e-9 and (most := most - 1):
        moves, shown = expected_counts(x, transition, emission)
        transition = moves / moves.sum(axis=1, keepdims=True)
        emission = shown / shown.sum(axis=1, keepdims=True)
        before, now = now, log_marginal(x, len(x), transition, emission)
    return {"transition": transition, "emission": emission, "log_likelihood": now}


def report(found, reference, sums, seconds):
    print(f"{'':20}{'truth':>12}{'genparams':>14}{'reference':>14}")
    for name, (i, j), label in [
        ("transition", (0, 1), "fair to loaded"),
        ("transition", (1, 0), "loaded to fair"),
        ("emission", (0, 5), "fair shows 6"),
        ("emission", (1, 5), "loaded shows 6"),
    ]:
        print(f"{label:20}{TRUTH[name][i, j]:12.6f}", end="")
        print(f"{found[name][i, j]:14.6f}{reference[name][i, j]:14.6f}")
    values = found["log_likelihood"], reference["log_likelihood"]
    print(f"{'log_likelihood':32}{values[0]:14.6f}{values[1]:14.6f}")
    print(f"gradients by hand and by differences differ by {sums[0]:.1g},")
    print(f"six rolls summed over all their states and by the forward algorithm by {sums[1]:.1g}")
    print(f"in {seconds:.2f} seconds")
    if sums[1] > 1e-9:
        raise SystemExit("the two models disagree")
    if values[0] < values[1] - 1e-4:
        raise SystemExit("the fit is not at the reference: it needs more steps")


if __name__ == "__main__":
    main()
