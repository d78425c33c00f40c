"""A bar or lines that show how far a computation is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from time import monotonic

Report = Callable[[int, str], None]
"""A function that takes how much is done, and a few words to show."""
SECONDS = 1.0
"""The shortest time between two lines, if there is no bar."""


@contextmanager
def shown(title: str, wanted: bool, total: int | None = None) -> Iterator[Report]:
    """Show progress on the standard error output: a bar if tqdm is installed, else lines."""
    if not wanted:
        yield lambda done, words: None
    elif find_spec("tqdm") is None:
        yield _lines(title)
    else:
        with import_module("tqdm.auto").tqdm(total=total, desc=title) as bar:

            def report(done: int, words: str) -> None:
                bar.set_postfix_str(words, refresh=False)
                bar.update(done - bar.n)

            yield report


@contextmanager
def shown_at_a_terminal(title: str, wanted: bool, total: int | None = None) -> Iterator[Report]:
    """The same where somebody looks: nothing unless that output is a terminal or a notebook's."""
    looks = sys.stderr.isatty() or "ipykernel" in sys.modules
    with shown(title, wanted and looks, total) as report:
        yield report


def _lines(title: str) -> Report:
    """A report that prints a line, at most one each `SECONDS`."""
    last = -SECONDS

    def report(done: int, words: str) -> None:
        nonlocal last
        if monotonic() - last >= SECONDS:
            last = monotonic()
            print(f"{title}: {done} {words}", file=sys.stderr)

    return report
