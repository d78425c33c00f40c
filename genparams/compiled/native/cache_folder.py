"""Modules of generated functions, kept in a folder with their compiled code.

A module is a file named by the hash of its text, so that a text is compiled once on a machine. The
compiled code lies beside it, where numba writes and finds it. Files of texts that are not used any
more stay until somebody deletes the folder, which is safe at any time.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from genparams.errors import CannotCache

_lock = threading.Lock()
_modules: dict[str, ModuleType] = {}


def cache_folder() -> Path:
    """The folder: GENPARAMS_CACHE, else `genparams` in the user's folder for caches."""
    given = os.environ.get("GENPARAMS_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "genparams"


def load(text: str, given: Mapping[str, Any]) -> tuple[ModuleType, bool]:
    """The module of a text, and whether it has a file.

    Args:
        given: Names that the text reads.

    Warns:
        CannotCache: the folder cannot be written; once for each folder.
    """
    name = f"genparams_{hashlib.sha256(text.encode()).hexdigest()[:24]}"
    with _lock:
        if name not in _modules:
            _modules[name] = _executed(name, text, _file(name, text), given)
        return _modules[name], _modules[name].__file__ is not None


def forget() -> None:
    """Load modules from their files again, as the next process does."""
    with _lock:
        _modules.clear()
        _warn.cache_clear()


def _executed(name: str, text: str, path: Path | None, given: Mapping[str, Any]) -> ModuleType:
    spec = importlib.util.spec_from_loader(name, None, origin=path and str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = path and str(path)
    vars(module).update(given)
    exec(compile(text, str(path or f"<{name}>"), "exec"), vars(module))
    sys.modules[name] = module
    return module


def _file(name: str, text: str) -> Path | None:
    """The file of a text, written if it is new; None if it cannot be written."""
    folder = cache_folder()
    path = folder / f"{name}.py"
    try:
        if not _holds(path, text):
            _write(path, text)
        with tempfile.TemporaryFile(dir=_beside(path)):
            return path
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        _warn(str(folder), str(error))
        return None


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def _write(path: Path, text: str) -> None:
    """Write a file at once, so that another process never reads a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False
    ) as file:
        file.write(text)
    os.replace(file.name, path)


def _beside(path: Path) -> Path:
    """The folder in which compiled code lies."""
    folder = path.parent / "__pycache__"
    folder.mkdir(exist_ok=True)
    return folder


@cache
def _warn(folder: str, why: str) -> None:
    warnings.warn(CannotCache(folder, why), stacklevel=2)
