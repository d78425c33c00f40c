"""Functions whose gradients the user gives.

    square = custom_gradient(lambda x: x * x, lambda args, r, g: (2.0 * args[0] * g,))

A gradient given here is used verbatim; only its count and shapes are checked. `check_gradients`
compares it, and that of any model, with differences.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from genparams.autodiff import Box, holds_box, np, operand, raw, shape_of, unbox
from genparams.dsl.distributions.base import once
from genparams.dsl.distributions.domains import Kind
from genparams.dsl.gen import GenerativeFunction, GenFunction, gen_function
from genparams.dsl.interpreter import Call, Run, param
from genparams.errors import ArgumentError, DistributionError, GradientShapeError, TracedValueError
from genparams.mistakes import explained, refuse_other_functions
from genparams.params import ParamStore
from genparams.registry import register
from genparams.text import brief
from genparams.trace.choices import frozen
from genparams.types import Address, P, R, calling_module, global_name


@overload
def custom_gradient(
    apply: Callable[P, R],
    gradient: Callable[[Any, Any, Any], Sequence[Any]],
    *,
    arg_grads: Iterable[str] = (),
) -> GenFunction[P, R]: ...
@overload
def custom_gradient(
    apply: Callable[..., R],
    gradient: Callable[[Any, Any, Any], Sequence[Any]],
    params: Iterable[str],
    arg_grads: Iterable[str] = (),
) -> GenFunction[..., R]: ...
@explained
def custom_gradient(
    apply: Callable[..., Any],
    gradient: Callable[[Any, Any, Any], Sequence[Any]],
    params: Iterable[str] = (),
    arg_grads: Iterable[str] = (),
) -> GenFunction[..., Any]:
    """A deterministic generative function with a gradient by hand.

        sine = custom_gradient(np.sin, lambda inputs, r, g: (np.cos(inputs[0]) * g,))

    Args:
        apply: `apply(*args, *params)` returns a number or an array: a function of Python or numpy.
        gradient: `gradient(inputs, r, g)` gets the inputs of `apply`, what it returned, and the
            gradient g of some function by that; it returns the gradient by each input in turn,
            None where there is none.
        params: The names of parameters of its own, which follow the arguments.
        arg_grads: As in `gen`. The inputs of a function whose signature Python does not know, such
            as a ufunc's, are named x, or x1, x2, ...

    Raises:
        ArgumentError: `apply` or `gradient` is not a function; there are more parameters than
            inputs, or no input of a name in `arg_grads`; or, when it is used, it gives numbers
            in a list, tuple or dictionary, or is given some there by which there is a gradient.
        GradientShapeError: when it is used and has another count or shape than the inputs.
    """
    for what, function in (("apply", apply), ("gradient", gradient)):
        if not callable(function):
            raise ArgumentError(f"custom_gradient takes two functions; {what} is {brief(function)}")
    refuse_other_functions("gradient of custom_gradient", gradient, "inputs, r, g")
    signature, names = _inputs(apply, params)

    @functools.wraps(apply, updated=("__dict__",) if inspect.isfunction(apply) else ())
    def body(*args: Any, **named: Any) -> Any:
        bound = signature.bind(*args, **named)
        bound.apply_defaults()
        return _with_gradient(apply, gradient, (*bound.args, *map(param, names)), body.__name__)

    body.__signature__ = signature  # type: ignore[attr-defined]
    if not inspect.isfunction(apply):
        body.__name__ = body.__qualname__ = _name_of(apply)
        body.__module__ = calling_module()
    return gen_function(body, arg_grads)


def _inputs(
    function: Callable[..., Any], params: Iterable[str], skip: int = 0
) -> tuple[inspect.Signature, tuple[str, ...]]:
    """A function's arguments by place, without the first `skip`, and the parameters after them."""
    if isinstance(params, str):
        raise ArgumentError(f"params is a tuple of names, got {params!r}; write ({params!r},)")
    names = tuple(params)
    places = list(_signature(function).parameters.values())[skip:]
    inputs = [p for p in places if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    takes_any = inputs and inputs[-1].kind is inspect.Parameter.VAR_POSITIONAL
    if takes_any and not skip:
        return inspect.Signature(inputs), names
    if len(names) > len(inputs):
        raise ArgumentError(
            f"{_name_of(function)} takes {len(inputs)} inputs, fewer than the parameters {names}; "
            "they follow its arguments"
        )
    return inspect.Signature(inputs[: len(inputs) - len(names)]), names


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """A function's arguments; for a ufunc or a builtin function, by their number."""
    count = getattr(function, "nin", None)
    if count is None:
        try:
            return inspect.signature(function)
        except ValueError:  # a builtin function that does not say
            return inspect.Signature([inspect.Parameter("x", inspect.Parameter.VAR_POSITIONAL)])
    names = ["x"] if count == 1 else [f"x{i}" for i in range(1, count + 1)]
    return inspect.Signature(
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    )


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _refuse_structures(name: str, inputs: Sequence[Any]) -> None:
    """Refuse traced values inside of a list or a dictionary, where the gradient cannot reach."""
    for i, value in enumerate(inputs):
        if type(value) is not Box and _is_traced(value):
            raise ArgumentError(
                f"input {i} of {name} is a {type(value).__name__} with numbers that are being "
                "differentiated; give it as one array, np.stack([...]), or as several arguments"
            )


def _is_traced(value: Any) -> bool:
    """Whether a value is traced, or holds one that is."""
    if isinstance(value, (list, tuple, dict)):
        return any(map(_is_traced, value.values() if isinstance(value, dict) else value))
    return holds_box(value)


def _refuse_others(name: str, result: Any, tape: Any) -> None:
    """Refuse a result that depends on traced values which are not among the inputs."""
    if type(result) is Box and result.tape is tape:
        raise TracedValueError(
            f"{name} uses a value that is being differentiated and is none of its inputs, so that "
            "its gradients have no place for it; give it as an argument"
        )


def _with_gradient(
    apply: Callable[..., Any], gradient: Callable[..., Any], inputs: Sequence[Any], name: str
) -> Any:
    """`apply(*inputs)`, recorded with the user's pullback."""
    tape, values = unbox(inputs)
    if tape is None:
        _refuse_structures(name, inputs)
        result = apply(*values)
        if isinstance(result, (list, tuple, dict)):
            raise ArgumentError(
                f"{name} gives one number or array, got a {type(result).__name__}; write "
                "np.stack([...]), or a function for each"
            )
        return result
    result = operand(_with_gradient(apply, gradient, values, name))
    _refuse_others(name, result, tape)
    gradients = once(lambda g: _checked(gradient(tuple(values), result, g), values, name))

    def pull(place: int) -> Callable[[Any], Any]:
        def back(g: Any) -> Any:
            found = gradients(g)[place]
            return np.zeros(shape_of(values[place])) if found is None else found

        return back

    places = [i for i, v in enumerate(inputs) if type(v) is Box and v.tape is tape]
    return tape.record(result, [(inputs[i], pull(i)) for i in places])


def _checked(given: Any, values: Sequence[Any], name: str) -> list[Any]:
    """A user's gradients, one for each value, of the same shapes."""
    if not isinstance(given, (tuple, list)) or len(given) != len(values):
        count = len(given) if isinstance(given, (tuple, list)) else given
        raise GradientShapeError(
            f"the gradient of {name} must be a tuple of {len(values)}, one for each input, "
            f"got {brief(count)}"
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


class CustomRandom(GenerativeFunction[..., Any]):
    """A random function of one choice with its own parameters, and gradients by hand."""

    verbatim: bool = True

    def __init__(
        self,
        sample: Callable[..., Any] | None,
        log_prob: Callable[..., float],
        gradients: Callable[..., Sequence[Any]],
        params: Iterable[str],
        name: str,
    ):
        self.__name__ = name
        self.__doc__ = log_prob.__doc__
        self.params: ParamStore = ParamStore()
        self.params.owner = name
        self.seen: dict[tuple[ParamStore, str], None] = {}
        self.grad_places: list[int] = []
        self.signature, self.param_names = _inputs(log_prob, params, skip=1)
        self.argument_names = list(self.signature.parameters)
        self.arguments: dict[str, Any] = dict.fromkeys([*self.argument_names, *self.param_names])
        self.kind: Kind = Kind(0, frozen, continuous=True)
        self._sample, self._log_prob, self._gradients = sample, log_prob, gradients
        of = [n for n in self.arguments if not n.startswith("*")]
        if sample is not None:
            refuse_other_functions("sample of custom_random", sample, ", ".join(["rng", *of]))
        refuse_other_functions("gradients of custom_random", gradients, ", ".join(["x", *of]))

    def __call__(self, *args: Any, **named: Any) -> Call[Any]:
        try:
            bound = self.signature.bind(*args, **named)
        except TypeError as error:
            count = len(args) + len(named)
            raise ArgumentError(f"{self!r} was given {count} arguments: {error}") from None
        bound.apply_defaults()
        return Call(self, bound.args, None)

    def complete(self, args: tuple[Any, ...]) -> Call[Any]:
        return self(*args)

    def perform(self, run: Run, call: Call[Any], key: Address) -> Any:
        own = [run.parameter(self, name) for name in self.param_names]
        return run.choice(self, (*call.args, *own), None, key)

    def __reduce__(self) -> Any:
        self.__module__ = getattr(self._log_prob, "__module__", __name__)
        return global_name(self, self.__module__, self.__name__)

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        """A value, which cannot be written to."""
        if self._sample is None:
            raise DistributionError(
                f"{self.__name__} has no sample and cannot be drawn; give its value, as in "
                "generate(args, {address: value}), or custom_random(sample, ...)"
            )
        return frozen(self._sample(rng, *map(raw, args)))

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        """A value from outside, as it is."""
        return frozen(value)

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        """The user's log probability, as one node with the user's gradients."""
        inputs = (x, *args)
        tape, values = unbox(inputs)
        if tape is None:
            _refuse_structures(self.__name__, inputs)
            return self._number(self._log_prob(*values))
        log_prob = self.log_prob_of(values[0], values[1:])
        _refuse_others(self.__name__, log_prob, tape)
        grads = _checked(self._gradients(*values), values, self.__name__)
        if type(x) is Box and x.tape is tape and grads[0] is None:
            raise DistributionError(
                f"{self.__name__} has no derivative by its value; its gradients give None for it"
            )
        edges = [
            (v, g)
            for v, g in zip(inputs, grads, strict=True)
            if g is not None and type(v) is Box and v.tape is tape
        ]
        return tape.record(log_prob, edges)

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        """What the user's log probability says of a value."""
        return f"log_prob of {self.__name__} is {self.log_prob_of(x, args)} for {brief(x)}"

    def _number(self, log_prob: Any) -> float:
        log_prob = operand(log_prob)
        if shape_of(log_prob):
            raise GradientShapeError(
                f"the log probability of {self.__name__} must be one number, got shape "
                f"{shape_of(log_prob)}"
            )
        if log_prob != log_prob:
            raise DistributionError(
                f"the log probability of {self.__name__} is NaN; return -np.inf where there is none"
            )
        return log_prob

    def __repr__(self) -> str:
        return f"<random function {self.__name__}({', '.join(self.argument_names)})>"


@explained
def custom_random(
    sample: Callable[..., Any] | None,
    log_prob: Callable[..., float],
    gradients: Callable[..., Sequence[Any]],
    params: Iterable[str] = (),
    name: str | None = None,
) -> CustomRandom:
    """A random function of one choice, of any shape, whose gradients are given by hand.

    Args:
        sample: `sample(rng, *args, *params)` draws the value; None if it is always given.
        log_prob: `log_prob(x, *args, *params)` is its log probability, one number.
        gradients: `gradients(x, *args, *params)` returns the gradients of that number by x, by each
            argument and by each parameter in turn, None where there is none.
        params: The names of parameters of its own.
        name: What it is known by; the name of `log_prob`, unless given.

    Raises:
        ArgumentError: there are more parameters than inputs.
        GradientShapeError: when it is used and a gradient has another count or shape.

    The choice has the address of the call. Traces, accumulators and updates work on it as on
    any function of `@gen`: `init_param(f, name, value)`, `ParamUpdate(rule, f)`.
    """
    made = CustomRandom(sample, log_prob, gradients, params, name or _name_of(log_prob))
    register(made)
    return made
