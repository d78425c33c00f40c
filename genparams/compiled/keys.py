"""What a program is for: everything of a trace but the numbers of its inputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from genparams.compiled.recording import Open, is_input
from genparams.dsl.execution import fingerprint
from genparams.structure import ATOMS
from genparams.trace.trace import Trace
from genparams.types import Address

_FEW = 4096
"""The most entries of an array whose fingerprint is all of them."""


class Same:
    """An object that equals itself alone; the key that has it keeps it alive."""

    __slots__ = ("thing",)

    def __init__(self, thing: Any):
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.thing is self.thing

    def __hash__(self) -> int:
        return id(self.thing)


def key_of(trace: Trace, opened: Open) -> tuple[Any, ...]:
    """The shapes and types of the inputs of a trace, and everything else by value or identity."""
    return key_of_data(trace.args, trace.choices._values, opened)


def key_of_data(
    args: tuple[Any, ...], choices: Mapping[Address, Any], opened: Open
) -> tuple[Any, ...]:
    """The same, of the arguments and the choices of a trace."""
    return (
        opened,
        _key(args, opened >= Open.ALL),
        tuple(choices),
        _key([*choices.values()], opened >= Open.CHOICES),
    )


def _key(tree: Any, is_open: bool) -> Any:
    kind = type(tree)
    if is_open and is_input(tree):
        return kind if kind is float else (tree.shape, tree.dtype)
    if isinstance(tree, float):
        return kind, tree.hex()  # which tells 0.0 from -0.0
    if kind is np.ndarray and tree.dtype != object:
        same = None if tree.size <= _FEW else Same(tree)
        return tree.shape, tree.dtype, fingerprint(tree), same
    if kind in ATOMS and kind is not np.ndarray:
        return kind, tree
    if isinstance(tree, Mapping):
        return kind, tuple(tree), tuple([_key(part, is_open) for part in tree.values()])
    if isinstance(tree, (tuple, list)):
        return kind, tuple([_key(part, is_open) for part in tree])
    return Same(tree)
