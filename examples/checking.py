"""What the examples share: compare an answer with a known one, and stop if the two differ."""

from textwrap import fill

import numpy as np

from genparams.reporting import Rounded, Table


def compare(found, reference, tolerance=1e-5, more="steps"):
    """Print what was found and the reference; stop if a difference is above tolerance (1 + |x|)."""
    rows = [
        (entry, [Rounded(float(x), 6) for x in pair])
        for name, value in reference.items()
        for entry, *pair in entries(name, found[name], value)
    ]
    print(Table(headers=("genparams", "reference"), rows=rows))
    far = [n for n, v in reference.items() if not np.allclose(found[n], v, tolerance, tolerance)]
    if far:
        raise SystemExit(f"not at the reference: {', '.join(far)}; this needs more {more}")


def entries(name, found, reference):
    """The numbers of two values of one shape, side by side under their names."""
    for at in np.ndindex(np.shape(reference)):
        label = f"{name}[{', '.join(map(str, at))}]" if at else name
        yield label, np.asarray(found)[at], np.asarray(reference)[at]


def check_fit(result, reference, names=None):
    """Stop unless a fit agrees with the reference fit of its data; say what is in print about it.

    Estimates and standard errors are compared to a part in 100 000, the log likelihood to a part in
    a million.

    Args:
        names: The entry of the result for each name of the reference, where the two differ.
    """
    estimates, errors = by_entry(result, result.estimates), by_entry(result, result.std_errors)
    places = {name: (names or {}).get(name, name) for name in reference.estimates}
    pairs = {
        "log likelihood": (result.log_likelihood, reference.log_likelihood, 1e-6),
        **{n: (estimates[places[n]], x, 1e-5) for n, x in reference.estimates.items()},
        **{f"error of {n}": (errors[places[n]], x, 1e-5) for n, x in reference.std_errors.items()},
    }
    far = [name for name, (x, y, tolerance) in pairs.items() if not np.isclose(x, y, tolerance, 0)]
    if far:
        raise SystemExit(f"{result.function} is not at the reference: {', '.join(far)}")
    print("\n" + fill(f"This agrees with the reference fit. In print: {reference.printed}.", 100))


def by_entry(result, values):
    """The numbers of arrays by the names of their entries."""
    numbers = np.concatenate([np.ravel(value) for value in values.values()])
    return dict(zip(result.entries, numbers, strict=True))
