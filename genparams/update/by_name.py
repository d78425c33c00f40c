"""Update rules by name, as a configuration file or a command line gives them.

The names are the functions in `named_rules`, in any case, and the settings are their arguments.
"""

import inspect
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, get_args

from genparams.errors import InvalidValue, nearest
from genparams.mistakes import explained, instead
from genparams.text import brief
from genparams.update import named_rules
from genparams.update.rule import Rule

_MAKERS: dict[str, Callable[..., Rule]] = {
    name.lower(): make
    for name, make in vars(named_rules).items()
    if inspect.isfunction(make)
    and make.__module__ == named_rules.__name__
    and not name.startswith("_")
}


@explained
def known_rules() -> tuple[str, ...]:
    """The names that `by_name` takes.

    >>> known_rules()[:4]
    ('adabelief', 'adadelta', 'adagrad', 'adam')
    """
    return tuple(sorted(_MAKERS))


@explained
def by_name(name: str, /, **settings: Any) -> Rule:
    """The rule of that name, in upper or lower case, with these settings.

    >>> by_name("adamw", learning_rate="1e-2", beta1=0.8)
    AdamW(learning_rate=0.01, beta1=0.8, beta2=0.999, epsilon=1e-08, weight_decay=0.01)

    Text is converted to the type that the rule takes: a number, or true or false (also yes or no,
    on or off, 1 or 0). Where None is allowed, "none" and "" are None.

    Raises:
        InvalidValue: there is no such rule or setting, a setting that is needed is missing, or text
            cannot be converted.
    """
    if not isinstance(name, str) or name.lower() not in _MAKERS:
        raise InvalidValue(f"there is no update rule {name!r}; {nearest(str(name), known_rules())}")
    make = _MAKERS[name.lower()]
    parameters = inspect.signature(make).parameters
    for setting in settings:
        if setting not in parameters:
            raise InvalidValue(
                f"{make.__name__} has no setting {setting!r}; "
                f"{instead(setting, parameters, settings)}"
            )
    for p in parameters.values():
        if p.default is p.empty and p.name not in settings:
            raise InvalidValue(f"{make.__name__} needs {p.name}; write {p.name}=0.1")
    return make(**{k: _read(make, parameters[k], v) for k, v in settings.items()})


@explained
def from_hyperparameters(mapping: Mapping[str, Any]) -> Rule:
    """The rule that a mapping describes: "optimizer" is its name, the rest are its settings.

    >>> from_hyperparameters({"optimizer": "sgd", "learning_rate": "0.5", "decay_by_root": "yes"})
    SGD(learning_rate=0.5, decay_by_root=True)

    Without "optimizer" the rule is ADAM, which has no weight decay. Text is converted as in
    `by_name`.

    Raises:
        InvalidValue: there is no such rule or setting, a setting that is needed is missing, or text
            cannot be converted.
    """
    if not isinstance(mapping, Mapping) or not all(isinstance(key, str) for key in mapping):
        raise InvalidValue(
            "hyperparameters are a dictionary such as {'optimizer': 'adamw', 'learning_rate': "
            f"0.001}}, got {brief(mapping)}"
        )
    settings = {key: value for key, value in mapping.items() if key != "optimizer"}
    return by_name(mapping.get("optimizer", "adam"), **settings)


# --- Reading text


_TRUTHS: dict[str, bool] = dict.fromkeys(("true", "yes", "on", "1"), True)
_TRUTHS |= dict.fromkeys(("false", "no", "off", "0"), False)
_READERS: dict[type, tuple[Callable[[str], Any], str]] = {
    bool: (_TRUTHS.__getitem__, "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
}


def _read(make: Callable[..., Rule], parameter: inspect.Parameter, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    kinds = get_args(parameter.annotation) or (parameter.annotation,)
    text = value.strip().lower()
    if NoneType in kinds and text in ("", "none"):
        return None
    for kind, (read, words) in _READERS.items():
        if kind in kinds:
            try:
                return read(text)
            except (ValueError, KeyError):
                raise InvalidValue(
                    f"{make.__name__}: {parameter.name} must be {words}, got {brief(value)}"
                ) from None
    return value
