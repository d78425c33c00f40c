"""Functions whose gradients the user gives.

    square = custom_gradient(lambda x: x * x, lambda args, r, g: (2.0 * args[0] * g,))

A gradient given here is used as it is: only the number of gradients and their shapes are checked.
`check_gradients` compares the gradients of a function or a model with differences.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

from genparams.autodiff import Box, by_row, holds_box, np, operand, raw, shape_of, unbox
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import SingleChoice
from genparams.dsl.distributions.declaration import once
from genparams.dsl.distributions.domains import ValueKind
from genparams.dsl.distributions.regions import WHOLE_LINE, Region
from genparams.dsl.gen import GenFunction, gen_function
from genparams.dsl.interpreter import Run, param
from genparams.errors import (
    ArgumentError,
    DistributionError,
    GenParamsError,
    GradientShapeError,
    TracedValueError,
)
from genparams.mistakes import explained, refuse_other_functions
from genparams.params import ParamStore
from genparams.registry import register
from genparams.text import brief
from genparams.trace.choices import frozen
from genparams.types import Address, P, R, calling_module, global_name


def recorded(
    name: str,
    function: Callable[..., Any],
    gradients: Callable[[Sequence[Any], Any, list[int]], Sequence[Any]],
    inputs: Sequence[Any],
) -> Any:
    """`function(*inputs)`, recorded with gradients by hand on each tape of the inputs.

    Args:
        function: It is called with inputs that are on no tape.
        gradients: `gradients(values, result, places)` returns a gradient, a pullback or None for
            each input. `places` are the places of the inputs whose gradients are wanted.

    Raises:
        TracedValueError: the result depends on a traced value that is not an input.
    """
    tape, values = unbox(inputs)
    if tape is None:
        return function(*values)
    result = recorded(name, function, gradients, values)
    if type(result) is Box and result.tape is tape:
        raise TracedValueError(
            f"{name} uses a value that is being differentiated and is not one of its inputs, so "
            "that no gradient is given by this value; give it as an argument"
        )
    places = [i for i, v in enumerate(inputs) if type(v) is Box and v.tape is tape]
    each = gradients(values, result, places)
    return tape.record(result, [(inputs[i], each[i]) for i in places if each[i] is not None])


def one_for_each(
    given: Any, count: int, what: str, each: str, error: type[GenParamsError]
) -> Sequence[Any]:
    """The gradients that the user gives, if they are a tuple of `count`, one for `each`."""
    if isinstance(given, (tuple, list)) and len(given) == count:
        return given
    found = len(given) if isinstance(given, (tuple, list)) else brief(given)
    raise error(f"{what} must be a tuple of {count}, one for {each}, got {found}")


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
    """A deterministic generative function whose gradient is given by hand.

        sine = custom_gradient(np.sin, lambda inputs, r, g: (np.cos(inputs[0]) * g,))

    Args:
        apply: `apply(*args, *params)` returns a number or an array: a function of Python or numpy.
        gradient: `gradient(inputs, r, g)` is given the inputs of `apply`, its result r, and the
            gradient g of some function by r. It returns a tuple of gradients by each input, None
            where there is none.
        params: The names of its own parameters, which follow the arguments.
        arg_grads: As in `gen`. Where Python does not know the signature of `apply`, as for ufuncs,
            the inputs are named x, or x1, x2, ...

    Raises:
        ArgumentError: `apply` or `gradient` is not a function; there are more parameters than
            inputs; a name in `arg_grads` is not an input. When it is used: the result is a list,
            a tuple or a dictionary, or such an input holds numbers that are being differentiated.
        GradientShapeError: when it is used and the gradients have another count or other shapes
            than the inputs.
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
    """The positional arguments of a function after the first `skip`, and the parameters."""
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
    """The signature of a function; a ufunc or a builtin function may have names x1, x2, ..."""
    count = getattr(function, "nin", None)
    if count is None:
        try:
            return inspect.signature(function)
        except ValueError:  # a builtin function without a signature
            return inspect.Signature([inspect.Parameter("x", inspect.Parameter.VAR_POSITIONAL)])
    names = ["x"] if count == 1 else [f"x{i}" for i in range(1, count + 1)]
    return inspect.Signature(
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
    )


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _refuse_structures(name: str, inputs: Sequence[Any]) -> None:
    """Refuse traced values in a list or a dictionary, for which no gradient can be given."""
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


def _with_gradient(
    apply: Callable[..., Any], gradient: Callable[..., Any], inputs: Sequence[Any], name: str
) -> Any:
    """`apply(*inputs)`, recorded with the gradient by hand."""

    def applied(*values: Any) -> Any:
        _refuse_structures(name, values)
        result = apply(*values)
        if isinstance(result, (list, tuple, dict)):
            raise ArgumentError(
                f"{name} gives one number or array, got a {type(result).__name__}; write "
                "np.stack([...]), or a function for each"
            )
        return operand(result) if traced else result

    def pullbacks(values: Sequence[Any], result: Any, places: list[int]) -> list[Any]:
        def by_inputs(g: Any) -> list[Any]:
            found = _checked(gradient(tuple(values), result, g), values, name)
            each = zip(found, values, strict=True)
            return [np.zeros(shape_of(v)) if by is None else by for by, v in each]

        found = once(by_row(by_inputs))
        return [lambda g, i=i: found(g)[i] for i in range(len(values))]

    traced = any(type(v) is Box for v in inputs)
    return recorded(name, applied, pullbacks, inputs)


def _checked(given: Any, values: Sequence[Any], name: str) -> list[Any]:
    """The user's gradients, if there is one for each value, in its shape."""
    what = f"the gradient of {name}"
    checked = []
    each = one_for_each(given, len(values), what, "each input", GradientShapeError)
    for i, (g, value) in enumerate(zip(each, values, strict=True)):
        g = None if g is None else operand(g)
        if g is not None and shape_of(g) != shape_of(value):
            raise GradientShapeError(
                f"{what} by its input {i} must have shape {shape_of(value)}, got {shape_of(g)}"
            )
        checked.append(g)
    return checked


class CustomRandom(SingleChoice[..., Any]):
    """A random function with one choice, its own parameters and gradients by hand."""

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
        self.signature, self.param_names = _inputs(log_prob, params, skip=1)
        self.argument_names = list(self.signature.parameters)
        self.arguments: dict[str, Any] = dict.fromkeys([*self.argument_names, *self.param_names])
        self.kind: ValueKind = ValueKind(0, frozen, continuous=True)
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

    def operands(self, args: Sequence[Any]) -> list[Any]:
        return list(args)

    def draw(self, rng: Any, args: Sequence[Any], size: Any) -> Any:
        if self._sample is None:
            raise DistributionError(
                f"{self.__name__} has no sample and cannot be drawn; give its value, as in "
                "generate(args, {address: value}), or custom_random(sample, ...)"
            )
        return frozen(self._sample(rng, *map(raw, args)))

    def coerce(self, value: Any, args: Sequence[Any], size: Any) -> Any:
        return frozen(value)

    def log_prob_of(self, x: Any, args: Sequence[Any]) -> Any:
        return recorded(self.__name__, self._number, self._checked_gradients, (x, *args))

    def _number(self, *values: Any) -> float:
        _refuse_structures(self.__name__, values)
        log_prob = operand(self._log_prob(*values))
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

    def _checked_gradients(
        self, values: Sequence[Any], log_prob: Any, places: list[int]
    ) -> list[Any]:
        found = _checked(self._gradients(*values), values, self.__name__)
        if 0 in places and found[0] is None:
            raise DistributionError(
                f"{self.__name__} has no derivative by its value; its gradients give None for it"
            )
        return found

    def region_of(self, args: Sequence[Any]) -> Region:
        return WHOLE_LINE

    def why_impossible(self, x: Any, args: Sequence[Any]) -> str:
        return f"log_prob of {self.__name__} is {self.log_prob_of(x, args)} for {brief(x)}"

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
    """A random function with one choice, of any shape, whose gradients are given by hand.

    Args:
        sample: `sample(rng, *args, *params)` draws the value; None if it is always given.
        log_prob: `log_prob(x, *args, *params)` is its log probability, one number.
        gradients: `gradients(x, *args, *params)` returns a tuple of gradients of `log_prob`, by x,
            by each argument and by each parameter, None where there is none.
        params: The names of its own parameters.
        name: Its name; by default the name of `log_prob`.

    Raises:
        ArgumentError: there are more parameters than inputs.
        GradientShapeError: when it is used and a gradient has another count or shape.

    The choice has the address of the call. Traces, accumulators and updates work on it as on
    any function of `@gen`: `init_param(f, name, value)`, `ParamUpdate(rule, f)`.
    """
    made = CustomRandom(sample, log_prob, gradients, params, name or _name_of(log_prob))
    register(made)
    return made
