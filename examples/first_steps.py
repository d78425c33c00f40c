"""A line through made-up points, in one page: model, data, loop, result. Takes half a second."""

import numpy as np

from genparams import ADAM, ParamUpdate, gen, get_param, init_param, normal, param, positive

xs = np.linspace(-2.0, 2.0, 200)
ys = 3.0 * xs + 1.0 + 0.5 * np.random.default_rng(0).standard_normal(200)


@gen
def line(xs):
    slope, intercept, noise = param("slope"), param("intercept"), param("noise")
    return normal(slope * xs + intercept, noise) @ "ys"


init_param(line, "slope", 0.0)
init_param(line, "intercept", 0.0)
init_param(line, "noise", 1.0, constraint=positive)

update = ParamUpdate(ADAM(0.05), line=["slope", "intercept", "noise"])
trace, _ = line.generate((xs,), {"ys": ys})
for _ in range(500):
    trace.accumulate_param_gradients()
    update.apply()

print(f"{get_param(line, 'slope'):.2f}")  # 2.98
print(f"{get_param(line, 'intercept'):.2f}")  # 1.01
print(f"{get_param(line, 'noise'):.2f}")  # 0.48
