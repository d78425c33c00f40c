"""`fit` with standard errors against statsmodels, scikit-learn, lmfit, and scipy by hand.

    python benchmarks/fit.py [table ...]

A row has the time of ours, the ratio to the peer, the ratio that is the target, and how much lower
than ours the log likelihood of the peer is: a peer that stopped early is no measure. A row whose
peer is not installed says so; statsmodels and lmfit are no dependencies.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable

import bench
import fit_models
import fit_peers
import numpy as np
from fit_models import Problem

from genparams import datasets
from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.params.vector import Vector

EASY = ["Misra1a", "Chwirut2", "DanWood", "Misra1b"]


def compare(
    name: str,
    target: float | None,
    problem: Problem,
    peer: Callable[[], fit_peers.Fit],
    rounds: int = 40,
    **options: str,
) -> None:
    """Print the row of a fit beside a peer's."""
    try:
        other = peer()
    except ImportError as error:
        print(f"{name:58}{error.name} is not installed", flush=True)
        return
    problem.reset()
    best, found = problem.fit(**options).log_likelihood, other()
    lower = "" if found is None else f"{best - found:.0e}"
    mine, theirs = bench.shortest(lambda: problem.fit(**options), other, rounds, problem.reset)
    row(name, mine, mine / theirs, target, lower)


def row(name: str, seconds: float, ratio: float, target: float | None, lower: str = "") -> None:
    wanted = "" if target is None else f"<= {target}"
    print(f"{name:58}{1e3 * seconds:>10.2f}{ratio:>10.2f}{wanted:>10}{lower:>10}", flush=True)


# --- Tables


def peers() -> None:
    """Small models in the packages that have them."""
    problem = fit_models.oring()
    (temp,), y = problem.args, problem.constraints["distress"]
    x = np.column_stack([np.ones(len(temp)), temp])
    compare("O-ring logit / statsmodels", 3.0, problem, lambda: fit_peers.logit(x, y))
    problem = fit_models.old_faithful()
    points = problem.constraints["eruptions"]
    for tol, target in (1e-10, 3.0), (1e-3, None):
        compare(
            f"Old Faithful, 2 normals / scikit-learn, tol={tol:.0e}",
            target,
            problem,
            lambda tol=tol: fit_peers.sklearn_mixture(points, dict(problem.start), tol),
        )
    for name in EASY:
        data = datasets.nist(name)
        problem = fit_models.nist(name)
        for peer, kind, target in (
            (fit_peers.likelihood_model, "statsmodels", 3.0),
            (fit_peers.lmfit_curve, "lmfit, least squares", None),
            (fit_peers.curve_fit, "scipy, least squares", None),
        ):
            compare(f"{name} / {kind}", target, problem, lambda: peer(data), 15)  # noqa: B023


def by_hand() -> None:
    """`fit` against a call of scipy.optimize on our gradients."""
    named = {"O-ring": fit_models.oring, **{n: lambda n=n: fit_models.nist(n) for n in EASY}}
    for name, make in named.items():
        for method in "BFGS", None:
            problem = make()
            hand = fit_models.by_scipy(problem, "BFGS")
            title = f"{name}, {method or 'the default method'} / BFGS by hand"
            options = {} if method is None else {"method": method}
            compare(title, 1.5, problem, lambda: _valued(problem, hand), 15, **options)  # noqa: B023


def _valued(problem: Problem, hand: Callable[[], object]) -> fit_peers.Fit:
    def once() -> float:
        problem.reset()
        return -hand().fun  # type: ignore[attr-defined]

    return once


def hessians() -> None:
    """A Hessian of p parameters against p gradients."""
    for p in 2, 5, 20, 50:
        problem = fit_models.logistic(1000, p)
        trace = problem.trace()
        vector = Vector(problem.model.params.values())
        likelihood = Likelihood([trace], vector, {})
        x = vector.now()
        second = lambda: likelihood.hessian(x)  # noqa: B023, E731
        mine, theirs = bench.shortest(second, trace.param_gradients, 40)
        row(f"Hessian, 1000 x {p} / {p} gradients", mine, mine / theirs / p, 1.5)


def large() -> None:
    """Logistic regression to convergence."""
    problem = fit_models.logistic(100_000, 50)
    (x,), y = problem.args, problem.constraints["y"].astype(float)
    title = "logistic regression, 100 000 x 50 / "
    for name, target, peer in (
        ("scikit-learn's lbfgs", 1.5, lambda: fit_peers.sklearn_logistic(x, y, 1e-4)),
        ("scikit-learn's lbfgs, tol=1e-10", None, lambda: fit_peers.sklearn_logistic(x, y, 1e-10)),
        ("statsmodels", 1.0, lambda: fit_peers.logit(x, y)),
    ):
        compare(title + name, target, problem, peer, 3)


OURS = """
from genparams import bernoulli, datasets, fit, gen, param
table = datasets.oring()
@gen
def oring(temp):
    return bernoulli(logits=param("intercept", 0.0) + param("slope", 0.0) * temp) @ "distress"
print(fit(oring, (table["temp"],), {"distress": table["distress"]}).summary())
"""
THEIRS = """
import numpy as np
import statsmodels.api as sm
temp, distress = np.array(%r), np.array(%r)
print(sm.Logit(distress, sm.add_constant(temp)).fit(disp=0).summary())
"""


def cold() -> None:
    """A process from its start to a printed summary."""
    table = datasets.oring()
    theirs = THEIRS % (table["temp"].tolist(), table["distress"].tolist())
    name = "a process that prints the O-ring summary / statsmodels"
    if subprocess.run([sys.executable, "-c", "import statsmodels"], capture_output=True).returncode:
        print(f"{name:58}statsmodels is not installed")
        return
    mine, other = bench.shortest(_process(OURS), _process(theirs), 4)
    row(name, mine, mine / other, 0.6)


def _process(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


TABLES = [peers, by_hand, hessians, large, cold]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help=f"of {', '.join(t.__name__ for t in TABLES)}")
    only = parser.parse_args().only
    columns = ["ms", "ratio", "target", "lower"]
    print(f"{'fit / peer':58}" + "".join(f"{c:>10}" for c in columns))
    for table in TABLES:
        if not only or table.__name__ in only:
            table()


if __name__ == "__main__":
    main()
