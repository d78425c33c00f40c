"""The extra numba: large arrays of every elementwise rule are stepped by its loop, as by numpy.

One fresh process steps each rule twice: on two arrays over the limit of `docs/updates.md`, one of
float64 and one of float32, and on the same numbers in small arrays. It counts the calls of
parallel loops that numba has compiled.
"""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    find_spec("numba") is None, reason="numba is not installed; make oracles installs it"
)
RULES = [
    "SGD(0.1)",
    "FixedStepGradientDescent(0.1)",
    "GradientDescent(0.1, 3.0)",
    "Momentum(0.1)",
    "Nesterov(0.1)",
    "ADAM(0.1)",
    "ADAM(0.1, decay=0.1, backoff_steps=2, clip_step=0.05)",
    "AdamW(0.1)",
    "Adamax(0.1)",
    "AMSGrad(0.1)",
    "NAdam(0.1)",
    "RAdam(0.1)",
    "AdaBelief(0.1)",
    "Yogi(0.1)",
    "RMSProp(0.1)",
    "RMSProp(0.1, momentum=0.9, nesterov=True)",
    "AdaGrad(0.1)",
    "AdaDelta(1.0)",
    "Lion(0.1)",
    "chain(scale_by_stddev(), scale(0.1))",
    "chain(clip(0.5), scale_by_adam(), elementwise(lambda g, theta: g - 0.01 * theta))",
]
STEPS = 3
PROCESS = """
import json, sys
import numba
import numpy as np
from genparams import *

njit, calls = numba.njit, 0

def counting(*args, **options):
    if not options.get("parallel"):  # a function of numba's own
        return njit(*args, **options)

    def compiled(loop):
        loop = njit(**options)(loop)
        def run(*arrays):
            global calls
            result = loop(*arrays)
            calls += 1
            return result
        return run
    return compiled

numba.njit = counting

def stepped(rule, stores):
    global calls
    calls = 0
    updates = [ParamUpdate(rule, theta) for theta in stores]
    for step in range({steps}):
        for theta, update in zip(stores, updates):
            update.apply({{n: np.cos(step + 3.0 * START[n][i]) for n, i in WHERE[theta].items()}})
    return calls

start = np.linspace(-2.0, 2.0, 300_000)
START = {{"a": start, "b": start.astype(np.float32)}}
results, counts = {{}}, {{}}
for code in json.loads(sys.argv[2]):
    parts = [slice(i, i + 75_000) for i in range(0, 300_000, 75_000)]
    stores = [ParamStore({{n: v[i] for n, v in START.items()}}) for i in [slice(None), *parts]]
    WHERE = {{s: dict.fromkeys(START, i) for s, i in zip(stores, [slice(None), *parts])}}
    large, *small = stores
    counts[code] = stepped(eval(code), [large]), stepped(eval(code), small)
    for n in START:
        results[code + n] = large[n].value
        results[code + n + " small"] = np.concatenate([theta[n].value for theta in small])
np.savez(sys.argv[1], **results)
print(json.dumps(counts))
"""


@pytest.fixture(scope="module")
def stepped(tmp_path_factory):
    """How often the loops of numba ran for each rule, and where the parameters are after it."""
    file = tmp_path_factory.mktemp("numba") / "stepped.npz"
    code = PROCESS.format(steps=STEPS)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(file), json.dumps(RULES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout), np.load(file)


@pytest.mark.parametrize("rule", RULES)
def test_large_arrays_are_stepped_by_numba_and_small_ones_are_not(stepped, rule):
    counts, _ = stepped
    assert counts[rule] == [2 * STEPS, 0]


@pytest.mark.parametrize("rule", RULES)
def test_the_loop_of_numba_leads_to_the_numbers_of_numpy(stepped, rule):
    """Within the rounding of a few operations; numba rounds those of float32 less often."""
    _, found = stepped
    for name, dtype, tolerance in (("a", np.float64, 1e-13), ("b", np.float32, 1e-5)):
        large, small = found[rule + name], found[f"{rule}{name} small"]
        assert large.dtype == small.dtype == dtype
        np.testing.assert_allclose(large, small, rtol=tolerance, atol=tolerance)
