"""The package as it is built: its version, its extras, and a README that works on other sites."""

import ast
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import genparams

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXTRAS = PROJECT["project"]["optional-dependencies"]
NAMES = {"scikit-learn": "sklearn"}


def imported(folder):
    """The packages that the files of a folder import."""
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield (node.module or "").split(".")[0]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
                named = [a.value for a in node.args if isinstance(a, ast.Constant)]
                yield from (str(name).split(".")[0] for name in named)


def test_the_version_has_one_source():
    assert re.fullmatch(r"\d+\.\d+\.\d+", genparams.__version__)
    assert "version" in PROJECT["project"]["dynamic"]
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "genparams/__init__.py"
    assert f'__version__ = "{genparams.__version__}"' in (
        ROOT / "genparams" / "__init__.py"
    ).read_text(encoding="utf-8")


def test_the_installed_version_is_the_version_of_the_package():
    try:
        installed = metadata.version("genparams")
    except metadata.PackageNotFoundError:
        pytest.skip("not installed: run from its folder")
    assert installed == genparams.__version__


def packages(extra):
    """The packages of an extra, and of the extras that it names."""
    for name in EXTRAS[extra]:
        inner = re.fullmatch(r"genparams\[([\w,]+)\]", name)
        for other in inner[1].split(",") if inner else ():
            yield from packages(other)
        if not inner:
            yield NAMES.get(name, name)


@pytest.mark.parametrize(
    ("extra", "folder"),
    [
        ("numba", "genparams"),
        ("arviz", "genparams"),
        ("pandas", "genparams"),
        ("plot", "examples"),
        ("examples", "examples"),
    ],
)
def test_an_extra_installs_what_is_imported(extra, folder):
    assert set(packages(extra)) <= set(imported(folder))


def test_the_other_extras_are_for_tests_or_are_used_if_they_are_there():
    imported_by_name = {"numba", "arviz", "pandas", "plot", "examples"}
    others = {"dask", "dev", "oracles", "progress", "tensorboard"}
    assert EXTRAS.keys() - imported_by_name == others


def test_the_readme_names_every_extra_for_users():
    assert set(re.findall(r"genparams\[(\w+)\]", README)) == EXTRAS.keys() - {"oracles"}


def test_the_links_of_the_readme_work_outside_of_the_repository():
    targets = re.findall(r"\]\(([^)]*)\)", README)
    assert all(target.startswith(("https://", "#")) for target in targets)


def test_the_paths_in_the_readme_exist():
    named = re.findall(r"`((?:docs/|examples/)[\w./]*|LICENSE|\w+\.py)`", README)
    assert len(named) > 10
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "examples" / name).exists(), name


def test_the_oldest_target_installs_the_oldest_versions():
    target = (ROOT / "Makefile").read_text(encoding="utf-8")
    for bound in PROJECT["project"]["dependencies"]:
        assert re.search(re.escape(bound.replace(">=", "==")), target), bound
