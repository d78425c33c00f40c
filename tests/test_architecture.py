"""The house: imports go down only, and what is heavy stays outside."""

import ast
import inspect
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import genparams

ROOT = Path(genparams.__file__).parent
FLOORS = {
    "errors": 0,
    "mistakes": 0,
    "vocabulary": 0,
    "types": 0,
    "numeric": 0,
    "program": 0,
    "text": 0,
    "structure": 0,
    "autodiff": 0,
    "trace": 1,
    "params": 1,
    "registry": 1,
    "constraints": 1,
    "dsl": 2,
    "update": 2,
    "compiled": 3,
    "learning": 4,
    "plotting": 5,
    "reporting": 5,
    "datasets": 5,
}
FOUNDATIONS = {"errors", "types", "numeric", "program", "text", "structure", "vocabulary"}
"""What anyone may import, on the lowest floor too."""

FILES = sorted(path for path in ROOT.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@cache
def tree(path):
    """The syntax tree of a file."""
    return ast.parse(path.read_text())


@cache
def imports(path):
    """Every import of a file: the module, the name, and the name that it has in the file."""
    return list(_imports(path))


def _imports(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from ((node.module or "", a.name, a.asname or a.name) for a in node.names)


def part(path):
    """The part of the house that a file belongs to; None for the front door."""
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return None if first == "__init__" else first


def parts_imported(path):
    """The parts of the house that a file imports."""
    for module, name, _ in imports(path):
        steps = module.split(".")
        if steps[0] == "genparams":
            yield steps[1] if len(steps) > 1 else str(name)


@each_file
def test_every_file_has_a_floor(path):
    assert part(path) is None or part(path) in FLOORS


@each_file
def test_imports_go_down_only(path):
    here = part(path)
    if here is None:
        return
    for other in parts_imported(path):
        allowed = (
            other == here
            or FLOORS[other] < FLOORS[here]
            or (FLOORS[here] == 0 and other in FOUNDATIONS)
        )
        assert allowed, f"{path.relative_to(ROOT)} on floor {FLOORS[here]} imports {other}"


def test_the_foundations_do_not_import_each_other_in_a_circle():
    assert set(parts_imported(ROOT / "errors.py")) == set()
    assert set(parts_imported(ROOT / "types.py")) <= {"errors", "text"}
    assert set(parts_imported(ROOT / "text.py")) == set()
    assert set(parts_imported(ROOT / "numeric.py")) <= {"errors", "types"}


@each_file
def test_only_autodiff_imports_autograd(path):
    if part(path) == "autodiff":
        return
    assert not [m for m, _, _ in imports(path) if m.split(".")[0] == "autograd"]


@each_file
def test_no_file_imports_scipy_stats(path):
    for module, name, _ in imports(path):
        assert not module.startswith("scipy.stats")
        assert (module, name) != ("scipy", "stats")


@each_file
def test_no_file_has_numpy_from_two_places(path):
    if part(path) == "autodiff":
        return
    sources = {
        module
        for module, name, called in imports(path)
        if (module == "genparams.autodiff" and name == "np")
        or (module == "numpy" and name is None and called in ("np", "numpy"))
    }
    assert len(sources) <= 1


@each_file
def test_every_module_says_what_it_is(path):
    assert path.name == "__init__.py" or ast.get_docstring(tree(path))


@pytest.mark.parametrize("module", ["scipy.stats", "scipy.optimize", "matplotlib", "autograd"])
def test_importing_the_library_does_not_import_what_is_heavy(module):
    code = f"import sys, genparams; assert {module!r} not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", genparams.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(genparams, name)
    assert inspect.getdoc(value)
    own = inspect.isroutine(value) or inspect.isclass(value)
    assert not own or value.__doc__


def test_every_distribution_has_words_of_its_own():
    named = {n: getattr(genparams, n) for n in genparams.__all__}
    found = {n: d for n, d in named.items() if isinstance(d, genparams.Distribution)}
    assert found
    for name, d in found.items():
        assert d.__doc__, name
        assert d.__doc__ != genparams.Distribution.__doc__, name


# --- Tests, benchmarks and examples use what users have

USERS = sorted(
    path
    for folder in ("tests", "benchmarks", "examples")
    for path in (ROOT.parent / folder).rglob("*.py")
)
each_user = pytest.mark.parametrize(
    "path", USERS, ids=lambda path: str(path.relative_to(ROOT.parent))
)


NOT_PRIVATE = {"_fields"}  # Python's own name for the fields of a named tuple


def is_private(name):
    """Whether a name is for the inside of a module or class; `_repr_html_` is a protocol."""
    return name.startswith("_") and not name.endswith("_") and name not in NOT_PRIVATE


def root(node):
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def ours(code):
    """The names that code gives to parts of the library."""
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("genparams"):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("genparams"):
                    yield alias.asname or "genparams"


def private_access(code):
    """Each use of a private name, and each change of an attribute of an imported part of ours.

    A class may use the private names of its own `self`.
    """
    names = set(ours(code))
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom):
            yield from (node for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute):
            changes = not isinstance(node.ctx, ast.Load) and root(node) in names
            if changes or (is_private(node.attr) and root(node) != "self"):
                yield node
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            function, target = ast.unparse(node.func), node.args[0]
            texts = [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
            inside = root(target) in names or any(t.startswith("genparams.") for t in texts)
            changes = function.endswith(("setattr", "delattr")) and inside
            if changes or any(map(is_private, texts)):
                yield node


@each_user
def test_no_test_benchmark_or_example_uses_a_private_name(path):
    found = [f"line {n.lineno}: {ast.unparse(n)}" for n in private_access(tree(path))]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "from genparams.update.runs import _has_numba",
        "p._grad",
        "p._at[0]",
        "p.store._version = 2",
        "getattr(p, '_grad')",
        "from genparams.update import runs\nruns.CACHE = 8",
        "from genparams.update import runs\nmonkeypatch.setattr(runs, 'CACHE', 8)",
        "from genparams.autodiff import Tape\nmonkeypatch.setattr(Tape, 'gradients', None)",
        "import genparams.update\ngenparams.update.runs.CACHE += 1",
        "import genparams as gp\ndel gp.update.runs.CACHE",
        "monkeypatch.setattr('genparams.update.runs.CACHE', 8)",
    ],
)
def test_private_access_is_found(code):
    assert list(private_access(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "theta._repr_html_()",
        "self._kept = f.__name__",
        "update.learning_rate = 0.5",
        "import os\nmonkeypatch.setattr(os, 'replace', None)",
        "import genparams\ngetattr(genparams, name)",
    ],
)
def test_what_users_do_is_no_private_access(code):
    assert not list(private_access(ast.parse(code)))
