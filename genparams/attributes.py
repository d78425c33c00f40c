"""Classes whose objects refuse attributes that mean nothing: `update.lr = 0.5` is an error."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from genparams.errors import UnknownAttribute, nearest

Class = TypeVar("Class", bound=type)


def closed(
    *fixed: str, advice: Callable[[Any, str], str] | None = None
) -> Callable[[Class], Class]:
    """A class decorator: the objects take only attributes that the class declares.

    An attribute is declared by an annotation or a slot. The attributes of a frozen dataclass, and
    the names in `fixed`, are set when the object is made and never again.

    Args:
        advice: From the object and the name to what to write instead; None for the nearest name.
    """

    def close(cls: Class) -> Class:
        fields = getattr(cls, "__dataclass_params__", None)
        frozen = fields is not None and fields.frozen
        declared = {n for base in cls.__mro__ for n in inspect.get_annotations(base)}
        set_by_class = {
            n
            for base in cls.__mro__
            for n, v in vars(base).items()
            if (hasattr(v, "__set__") if type(v) is not property else v.fset is not None)
        }
        known = (declared | set_by_class) - {*fixed}
        public = sorted(n for n in known if not n.startswith("_"))

        def refuse_or_set(self: Any, name: str, value: Any) -> None:
            if name in known and not frozen:
                object.__setattr__(self, name, value)
                return
            what = f"{type(self).__name__} has no attribute {name!r} that can be set"
            raise UnknownAttribute(
                f"{what}; {advice(self, name) if advice else nearest(name, public)}"
            )

        cls.__setattr__ = refuse_or_set  # type: ignore[method-assign]
        return cls

    return close
