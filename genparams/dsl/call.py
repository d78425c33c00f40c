"""Calls of generative functions, and the run in progress that performs them."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic

from genparams.errors import AddressError, ArgumentError, NotRunning, UnaddressedChoice
from genparams.mistakes import answering
from genparams.trace.address import path
from genparams.types import R

if TYPE_CHECKING:
    from genparams.dsl.interpreter import Run

current: ContextVar["Run | None"] = ContextVar("genparams_run", default=None)
"""The run in progress. Its `function` is None if it was interrupted as it ended."""


def in_progress() -> "Run | None":
    """The run in progress, if there is one."""
    run = current.get()
    return None if run is None or run.function is None else run


def running(what: str) -> "Run":
    """The run in progress.

    Raises:
        NotRunning: there is none.
    """
    run = in_progress()
    if run is None:
        raise NotRunning(
            f"{what} is outside a running generative function; decorate the function around it "
            "with @gen, or read a parameter with get_param(f, name)"
        )
    return run


@answering(
    simulate="write f.simulate(args)",
    generate="write f.generate(args, constraints)",
    assess="write f.assess(args, choices)",
    propose="write f.propose(args)",
    rsample="write sample(size=..., rng=...)",
    rvs="write sample(size=..., rng=...)",
    pdf="write log_prob(x)",
    logpdf="write log_prob(x)",
)
class Call(Generic[R]):
    """A generative function and its arguments, not yet run; `call @ address` runs it there.

    `Call[float]` is the type of a call whose value is a float.
    """

    __slots__ = ("args", "fn", "options")

    def __init__(self, fn: Any, args: tuple[Any, ...], options: Any):
        self.fn: Any = fn
        self.args: tuple[Any, ...] = args
        self.options: Any = options

    def __matmul__(self, address: Any) -> R:
        run = current.get()
        if run is None or run.function is None:
            raise NotRunning(
                f"{self!r} @ {address!r} is outside a running generative function; "
                "decorate the function around it with @gen and run it with simulate or generate"
            )
        kind = type(address)
        key = (address,) if kind is str or kind is int else path(address)
        if not key:
            raise AddressError(f'{self!r} @ () has no address; write a key such as "y"')
        return self.fn.perform(run, self, key)

    def log_prob(self, x: Any) -> Any:
        """log p(x) of a distribution's call, summed over the batch; -inf outside the support."""
        fn, operands = self._distribution("assess(args, choices)")
        return fn.log_prob_of(fn.broadcast(x, operands, self.options), operands)

    def log_probs(self, x: Any) -> Any:
        """log p of each entry of the batch of a distribution's call."""
        fn, operands = self._distribution("assess(args, choices)")
        return fn.log_probs_of(fn.broadcast(x, operands, self.options), operands)

    def sample(self, size: Any = None, rng: Any = None) -> Any:
        """Draw a value from a distribution's call; `rng` is a generator, a seed, or None."""
        fn, operands = self._distribution("simulate(args)")
        return fn.draw_alone(self, operands, size, rng)

    def _distribution(self, instead: str) -> tuple[Any, list[Any]]:
        """The distribution that is called, and its arguments in the types that it computes with."""
        if not hasattr(self.fn, "log_probs_of"):
            raise ArgumentError(
                f"{self!r} calls a generative function, not a distribution; write "
                f"{self.fn.__name__}.{instead}"
            )
        return self.fn, self.fn.operands(self.args)

    def __repr__(self) -> str:
        return f"{self.fn.__name__}(...)"

    def _used(self, *args: Any, **kwargs: Any) -> Any:
        raise UnaddressedChoice(
            f'{self!r} was used as a value before it was run; write {self!r} @ "name"'
        )

    __hash__ = None  # type: ignore[assignment]  # so that a call cannot be an address
    if not TYPE_CHECKING:  # a type checker reports these operations as missing
        __eq__ = __ne__ = __mod__ = __floordiv__ = __round__ = _used
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _used
        __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __neg__ = __abs__ = _used
        __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __index__ = __bool__ = _used
        __format__ = __and__ = __or__ = __iter__ = __len__ = __getitem__ = __rmatmul__ = _used
        __array__ = __array_ufunc__ = __array_function__ = _used
