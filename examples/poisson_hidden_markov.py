"""A Poisson hidden Markov model: quiet and restless years of the earth.

    state[0] ~ stationary(transition),   state[t] ~ transition[state[t - 1]]
    quakes[t] ~ poisson(rates[state[t]])

for the number of earthquakes of magnitude 7 or more in each year from 1900 to 2006. The states are
never drawn. Given the years before, the count of a year is a mixture of Poisson distributions,
whose weights the forward algorithm moves from year to year: it is a few lines of numpy in the body
of the model, through which the library differentiates. The estimates are checked against the
published ones, and the log likelihood also against the sum over all sequences of states in the
first years. Takes a few seconds.

Reference: Zucchini, MacDonald and Langrock, 2016, Hidden Markov Models for Time Series, second
edition, Chapman and Hall, table 1.1 for the counts, sections 2.3 and 3.3 for the estimates.
"""

from itertools import pairwise, product
from math import exp, lgamma, log, prod

from checking import compare

from genparams import (
    ADAM,
    ParamUpdate,
    cosine_decay,
    gen,
    get_param,
    init_param,
    mixture,
    param,
    poisson,
    positive,
    simplex,
    train,
)
from genparams.autodiff import np

QUAKES = [
    *(13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11, 14, 23),
    *(18, 17, 19, 20, 22, 19, 13, 26, 13, 14, 22, 24, 21, 22, 26, 21, 23, 24, 27, 41, 31, 27, 35),
    *(26, 28, 36, 39, 21, 17, 22, 17, 19, 15, 34, 10, 15, 22, 18, 15, 20, 15, 22, 19, 16, 30, 27),
    *(29, 23, 20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15, 6, 11, 8, 7, 18, 16, 13, 12),
    *(13, 20, 15, 16, 12, 18, 15, 16, 13, 15, 16, 11, 11),
]


# As the book prints them in section 3.3.
REFERENCE = {
    "quiet": 15.472,
    "restless": 26.125,
    "quiet to restless": 0.066,
    "restless to quiet": 0.128,
}
LOG_LIKELIHOOD = -342.3183


@gen
def years(n):
    rates, transition = param("rates"), param("transition")
    states = stationary(transition)  # p(state[t] | years before t)
    for t in range(n):
        count = mixture(states, poisson(rates)) @ t
        joint = states * rates**count * np.exp(-rates)  # times what all states share
        states = (joint / np.sum(joint)) @ transition


def stationary(transition):
    """The probabilities of two states that a step of the chain does not change."""
    leave, enter = transition[0, 1], transition[1, 0]
    return np.stack([enter, leave]) / (enter + leave)


def main(n=107, steps=80):
    """Fit the first `n` years in at most so many steps."""
    init_param(years, "rates", [14.0, 28.0], constraint=positive)
    init_param(years, "transition", [[0.9, 0.1], [0.1, 0.9]], constraint=simplex)
    by_sum = {"log p(ten years)": sum_over_states(10)}
    compare({"log p(ten years)": years.assess((10,), counts(10))[0]}, by_sum)

    update = ParamUpdate(ADAM(cosine_decay(0.1, steps)), years)
    train(years, ((n,), counts(n)), update, steps=steps)
    rates, transition = get_param(years, "rates"), get_param(years, "transition")
    found = {
        "quiet": rates[0],
        "restless": rates[1],
        "quiet to restless": transition[0, 1],
        "restless to quiet": transition[1, 0],
    }
    compare(found, REFERENCE, 1e-3)
    found["log_likelihood"] = years.assess((n,), counts(n))[0]
    compare(found, {"log_likelihood": LOG_LIKELIHOOD}, 1e-6)
    return found


def counts(n):
    return dict(enumerate(QUAKES[:n]))


def sum_over_states(n):
    """log p of the first years at the present parameters: the sum over sequences of states."""
    rates, transition = get_param(years, "rates"), get_param(years, "transition")
    log_probs = [[x * log(r) - r - lgamma(x + 1.0) for r in rates] for x in QUAKES[:n]]
    total = 0.0
    for states in product((0, 1), repeat=n):
        moves = [transition[pair] for pair in pairwise(states)]
        shown = sum(log_probs[t][state] for t, state in enumerate(states))
        total += stationary(transition)[states[0]] * prod(moves) * exp(shown)
    return log(total)


if __name__ == "__main__":
    main()
