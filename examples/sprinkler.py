"""Wake-sleep on the sprinkler network: was it the rain, or the sprinkler, that made the grass wet?

    rain ~ bernoulli(chance)
    sprinkler ~ bernoulli(0.4 without rain, 0.01 with rain)
    wet ~ bernoulli(a table of rain and sprinkler)

Each day only the grass is seen. The wake phase guesses the rain and the sprinkler of the days by
the guide, and trains the chance of rain in the model. The sleep phase draws days from the model,
where the rain and the sprinkler are known, and trains the guide to guess them. The guide is a table
of probabilities, and so it can be the posterior. It is checked against enumeration of the cases of
a day, and the chance of rain against its closed form. All days are one run, on arrays. Takes three
seconds.

Reference: Hinton, Dayan, Frey and Neal, 1995, The "wake-sleep" algorithm for unsupervised neural
networks, Science 268; Russell and Norvig, Artificial Intelligence, for the network.
"""

import numpy as np
from checking import compare

from genparams import (
    ADAM,
    ParamUpdate,
    bernoulli,
    exponential_decay,
    gen,
    init_param,
    param,
    unit_interval,
    wake_sleep,
)

SPRINKLER = np.array([0.4, 0.01])
"""The probability that the sprinkler is on, without rain and with rain."""
WET = np.array([[0.05, 0.9], [0.8, 0.99]])
"""The probability of wet grass, by rain and by sprinkler."""


@gen
def garden(days):
    rain = bernoulli(param("chance"), size=days) @ "rain"
    sprinkler = bernoulli(SPRINKLER[rain.astype(int)]) @ "sprinkler"
    return bernoulli(WET[rain.astype(int), sprinkler.astype(int)]) @ "wet"


@gen
def detective(days, observed):
    """q(rain | wet) q(sprinkler | rain, wet)"""
    wet = observed["wet"].astype(int)
    rain = bernoulli(param("rain")[wet]) @ "rain"
    bernoulli(param("sprinkler")[rain.astype(int), wet]) @ "sprinkler"


def joint(chance):
    """The probability of each case, by rain, sprinkler and wet."""
    rain = np.array([1.0 - chance, chance])[:, None, None]
    sprinkler = np.stack([1.0 - SPRINKLER, SPRINKLER], axis=1)[:, :, None]
    return rain * sprinkler * np.stack([1.0 - WET, WET], axis=2)


def exact(share):
    """The chance of rain at which this share of the days is wet, and the posterior there."""
    dry, rainy = (joint(chance)[:, :, 1].sum() for chance in (0.0, 1.0))
    p = joint((share - dry) / (rainy - dry))
    return {
        "chance of rain": (share - dry) / (rainy - dry),
        "rain given wet": p[1].sum(axis=0) / p.sum(axis=(0, 1)),
        "sprinkler given rain, wet": p[:, 1] / p.sum(axis=1),
    }


def main(days=2000, steps=800, share=0.5, seed=0, tolerance=0.03):
    """Learn from days of which a `share` is wet."""
    init_param(garden, "chance", 0.1, constraint=unit_interval)
    init_param(detective, "rain", np.full(2, 0.5), constraint=unit_interval)
    init_param(detective, "sprinkler", np.full((2, 2), 0.5), constraint=unit_interval)
    rate = exponential_decay(0.1, 0.1, steps // 2)
    history = wake_sleep(
        garden,
        detective,
        ((days,), {"wet": np.arange(days) < share * days}),
        ParamUpdate(ADAM(rate), garden),
        ParamUpdate(ADAM(rate), detective),
        steps=steps,
        rng=seed,
    )
    found = {
        "chance of rain": history.params["chance"][-1],
        "rain given wet": history.params["rain"][-1],
        "sprinkler given rain, wet": history.params["sprinkler"][-1],
    }
    compare(found, exact(share), tolerance)
    return found, exact(share)


if __name__ == "__main__":
    main()
