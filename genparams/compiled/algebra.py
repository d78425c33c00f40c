"""Algebra of single operations: what an operation is when its arguments are special."""

from collections.abc import Callable
from typing import Any

RULES: dict[Any, Callable[..., Any]] = {}
"""A rule takes the builder, and the arguments, options, shape and dtype of the operation. It
returns a node or a constant of that shape, or None if there is nothing to simplify."""
