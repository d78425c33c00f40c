"""Runs at given parameter values; no parameter moves."""

from collections.abc import Mapping
from typing import Any

from genparams.dsl.execution import Rng, drawn, execute
from genparams.dsl.interpreter import Choose, Read, Run
from genparams.dsl.likelihood.sites import Site, recording
from genparams.params import Parameter
from genparams.trace.trace import Trace


def simulate_at(
    function: Any, args: tuple[Any, ...], values: Mapping[Parameter, Any], rng: Rng
) -> Trace:
    """A trace of a run that draws every choice, with the parameters at these natural values."""
    return execute(function, args, drawn(rng), given=values)


def sites_at(function: Any, args: tuple[Any, ...], read: Read, choose: Choose) -> list[Site]:
    """The choices of a run, with the arguments of their distributions."""
    sites: list[Site] = []
    run = Run(recording(choose, sites), read)
    try:
        run.execute(function.complete(args), keep=False)
    finally:
        run.forget()
    return sites
