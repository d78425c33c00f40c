"""A static function: Python's walk through a model is recorded once, and replayed as arithmetic.

    flow of a year ~ normal(level, sqrt(var_eps))      change of level ~ normal(0, sqrt(var_eta))

Kalman's filter is written as a loop over the years. With `static=True` the gradient of the first
trace is recorded, with its way back through the loop, and replayed as straight-line code, many
steps of training in one call. This prints the code, trains the same parameters both ways, and says
how much faster a step is. `@gen(static=True)` does the same for every use of a function. Takes five
seconds.

Reference: Durbin and Koopman, 2001, Time Series Analysis by State Space Methods, Oxford, chapter 2.
"""

from checking import compare

from genparams import ADAM, ParamUpdate, gen, init_param, normal, param, positive, train
from genparams.datasets import nile


@gen
def local_level(first, years):
    var_eps, var_eta = param("var_eps"), param("var_eta")
    level, variance = first, var_eps + var_eta
    for t in range(1, years):
        F = variance + var_eps
        y = normal(level, F**0.5) @ ("y", t)
        gain = variance / F
        level = level + gain * (y - level)
        variance = variance * (1.0 - gain) + var_eta


def trained(args, data, steps, **options):
    """The parameters after training, and the seconds of a step."""
    init_param(local_level, "var_eps", 10000.0, constraint=positive)
    init_param(local_level, "var_eta", 1000.0, constraint=positive)
    update = ParamUpdate(ADAM(0.05), local_level)
    history = train(local_level, [(args, data)], update, steps=steps, history_every=100, **options)
    return {name: p.value for name, p in local_level.params.items()}, history.seconds[-1] / steps


def main(steps=800):
    table = nile()
    first, *flows = table["flow"]
    args, data = (first, len(table["flow"])), {("y", t): y for t, y in enumerate(flows, start=1)}

    found, slow = trained(args, data, steps)
    same, fast = trained(args, data, steps, static=True)
    print(local_level.program(args, data))
    print(f"a step is {slow / fast:.0f} times as fast as it is interpreted\n")

    compare(
        {f"static {name}": value for name, value in same.items()},
        {f"static {name}": value for name, value in found.items()},
        tolerance=1e-9,
    )
    compare(same, table.fits["local_level"].estimates)
    return {"faster": slow / fast, **same}


if __name__ == "__main__":
    main()
