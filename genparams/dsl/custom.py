"""Functions whose gradients the user gives.

    square = custom_gradient(lambda x: x * x, lambda args, r, g: (2.0 * args[0] * g,))

A gradient given here is used verbatim; only its count and shapes are checked. `check_gradients`
compares it, and that of any model, with differences.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from genparams.autodiff import Box, operand, raw, shape_of, strip
from genparams.dsl.distributions.base import once
from genparams.dsl.distributions.domains import Kind
from genparams.dsl.gen import GenerativeFunction, GenFunction, gen_function
from genparams.dsl.interpreter import Call, Run, param
from genparams.errors import ArgumentError, GradientShapeError
from genparams.params import ParamStore
from genparams.registry import register
from genparams.trace.choices import frozen
from genparams.types import Address, global_name


def custom_gradient(
    apply: Callable[..., Any], gradient: Callable[..., Sequence[Any]], params: Iterable[str] = ()
) -> GenFunction:
    """A deterministic generative function with a gradient by hand.

    Args:
        apply: `apply(*args, *params)` returns a number or an array.
        gradient: `gradient(inputs, r, g)` gets the inputs of `apply`, what it returned, and the
            gradient g of some function by that; it returns the gradient by each input in turn,
            None where there is none.
        params: The names of parameters of its own, which follow the arguments.

    Raises:
        ArgumentError: there are more parameters than inputs.
        GradientShapeError: when it is used and has another count or shape than the inputs.
    """
    inputs = list(inspect.signature(apply).parameters.values())
    names = _names(params, apply, len(inputs))
    signature = inspect.Signature(inputs[: len(inputs) - len(names)])

    @functools.wraps(apply)
    def body(*args: Any, **named: Any) -> Any:
        bound = signature.bind(*args, **named)
        bound.apply_defaults()
        return _with_gradient(apply, gradient, (*bound.args, *map(param, names)), body.__name__)

    body.__signature__ = signature  # type: ignore[attr-defined]
    return gen_function(body, ())


def _names(params: Iterable[str], function: Callable[..., Any], count: int) -> tuple[str, ...]:
    """The names of the parameters with which a function's inputs end."""
    if isinstance(params, str):
        raise ArgumentError(f"params is a tuple of names, got {params!r}; write ({params!r},)")
    names = tuple(params)
    if len(names) > count:
        raise ArgumentError(
            f"{function.__name__} takes {count} inputs, fewer than the parameters {names}; they "
            "follow its arguments"
        )
    return names


def _with_gradient(
    apply: Callable[..., Any], gradient: Callable[..., Any], inputs: Sequence[Any], name: str
) -> Any:
    """`apply(*inputs)`, recorded with the user's pullback."""
    tape, values = strip(inputs)
    result = apply(*values)
    if tape is None:
        return result
    result = operand(result)
    gradients = once(lambda g: _checked(gradient(tuple(values), result, g), values, name))

    def pull(place: int) -> Callable[[Any], Any]:
        def back(g: Any) -> Any:
            found = gradients(g)[place]
            return 0.0 * values[place] if found is None else found

        return back

    places = [i for i, v in enumerate(inputs) if type(v) is Box and v.tape is tape]
    return tape.record(result, [(inputs[i], pull(i)) for i in places])


def _checked(given: Any, values: Sequence[Any], name: str) -> list[Any]:
    """A user's gradients, one for each value, of the same shapes."""
    if not isinstance(given, (tuple, list)) or len(given) != len(values):
        count = len(given) if isinstance(given, (tuple, list)) else given
        raise GradientShapeError(
            f"the gradient of {name} must be a tuple of {len(values)}, one for each input, "
            f"got {count!r}"
        )
    checked = []
    for i, (g, value) in enumerate(zip(given, values, strict=True)):
        g = None if g is None else operand(g)
        if g is not None and shape_of(g) != shape_of(value):
            raise GradientShapeError(
                f"the gradient of {name} by its input {i} must have shape {shape_of(value)}, "
                f"got {shape_of(g)}"
            )
        checked.append(g)
    return checked


class CustomRandom(GenerativeFunction):
    """A random function of one choice with its own parameters, and gradients by hand."""

    verbatim = True

    def __init__(
        self,
        sample: Callable[..., Any],
        log_prob: Callable[..., float],
        gradients: Callable[..., Sequence[Any]],
        params: Iterable[str],
        name: str,
    ):
        self.__name__ = name
        self.__doc__ = log_prob.__doc__
        self.params = ParamStore()
        self.params.owner = name
        self.seen: dict[tuple[ParamStore, str], None] = {}
        self.grad_places: list[int] = []
        inputs = list(inspect.signature(log_prob).parameters)[1:]
        self.param_names = _names(params, log_prob, len(inputs))
        self.arguments = dict.fromkeys(inputs)
        self.argument_names = inputs[: len(inputs) - len(self.param_names)]
        self.kind = Kind(0, frozen, continuous=True)
        self._sample, self._log_prob, self._gradients = sample, log_prob, gradients

    def __call__(self, *args: Any) -> Call:
        return Call(self, args, None)

    def complete(self, args: tuple[Any, ...]) -> Call:
        if len(args) != len(self.argument_names):
            raise ArgumentError(f"{self!r} was given {len(args)} arguments")
        return Call(self, args, None)

    def perform(self, run: Run, call: Call, key: Address) -> Any:
        own = [run.parameter(self, name) for name in self.param_names]
        return run.choice(self, (*self.complete(call.args).args, *own), None, key)

    def __reduce__(self) -> Any:
        self.__module__ = self._log_prob.__module__
        return global_name(self, self.__module__, self.__name__)

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        """A value, which cannot be written to."""
        return frozen(self._sample(rng, *map(raw, args)))

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        """A value from outside, as it is."""
        return frozen(value)

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        """The user's log probability, as one node with the user's gradients."""
        inputs = (x, *args)
        tape, values = strip(inputs)
        log_prob = operand(self._log_prob(*values))
        if shape_of(log_prob):
            raise GradientShapeError(
                f"the log probability of {self.__name__} must be one number, got shape "
                f"{shape_of(log_prob)}"
            )
        if tape is None:
            return log_prob
        grads = _checked(self._gradients(*values), values, self.__name__)
        edges = [
            (v, 0.0 * v.value if g is None else g)
            for v, g in zip(inputs, grads, strict=True)
            if type(v) is Box and v.tape is tape
        ]
        return tape.record(log_prob, edges)

    def __repr__(self) -> str:
        return f"<random function {self.__name__}({', '.join(self.argument_names)})>"


def custom_random(
    sample: Callable[..., Any],
    log_prob: Callable[..., float],
    gradients: Callable[..., Sequence[Any]],
    params: Iterable[str] = (),
    name: str | None = None,
) -> CustomRandom:
    """A random function of one choice, of any shape, whose gradients are given by hand.

    Args:
        sample: `sample(rng, *args, *params)` draws the value.
        log_prob: `log_prob(x, *args, *params)` is its log probability, one number.
        gradients: `gradients(x, *args, *params)` returns the gradients of that number by x, by each
            argument and by each parameter in turn, None where there is none.
        params: The names of parameters of its own.
        name: What it is known by; the name of `log_prob`, unless given.

    Raises:
        ArgumentError: there are more parameters than inputs.
        GradientShapeError: when it is used and a gradient has another count or shape.

    The choice stands at the address of the call. Traces, accumulators and updates work on it as on
    any function of `@gen`: `init_param(f, name, value)`, `ParamUpdate(rule, f)`.
    """
    made = CustomRandom(sample, log_prob, gradients, params, name or log_prob.__name__)
    register(made)
    return made
