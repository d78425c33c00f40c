"""What the examples share: a file for their picture, if `--plot` asks for one."""

import argparse
from contextlib import contextmanager


def plot_path(doc):
    """The path after `--plot` on the command line; None if there is none.

    Args:
        doc: The docstring of the example, whose first line is shown by `--help`.
    """
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--plot", metavar="PATH", help="save a picture of the fit there")
    return parser.parse_args().plot


@contextmanager
def picture(path, panels=1):
    """Axes to draw on, or as many as there are panels; the figure is saved at the end."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit("the picture needs matplotlib: pip install genparams[plot]") from None
    figure = Figure(figsize=(6.0 * panels, 4.0), layout="constrained")
    yield figure.subplots(1, panels)
    figure.savefig(path, dpi=150)
    print(f"\nThe picture is in {path}")
