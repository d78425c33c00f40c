"""The house: imports go down only, and what is heavy stays outside."""

import ast
import inspect
import subprocess
import sys
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
FOUNDATIONS = {"errors", "types", "numeric", "text", "structure", "vocabulary"}
"""What anyone may import, on the lowest floor too."""

FILES = sorted(path for path in ROOT.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imports(path):
    """Every import of a file, wherever it stands: the module, the name, and what it is called."""
    for node in ast.walk(ast.parse(path.read_text())):
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
    assert path.name == "__init__.py" or ast.get_docstring(ast.parse(path.read_text()))


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
