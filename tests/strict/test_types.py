"""Types: what a strict type checker and an editor know of a model, and of each distribution.

`models.py` is checked as a user's file in a folder of its own, with an installed copy of the
library. The whole takes a few seconds; without pyright these tests are skipped.
"""

import inspect
import json
import os
import shutil
import subprocess
import sys
import typing
import venv
from pathlib import Path

import numpy as np
import pytest

import genparams
from genparams import Call, Distribution, distribution, gen, map_, mixture, normal
from genparams.errors import GenParamsError
from genparams.types import Numbers, Size

HERE = Path(__file__).parent
STRICT = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "reportUnusedExpression": False}
PUBLIC = {n: d for n in genparams.__all__ if isinstance(d := getattr(genparams, n), Distribution)}
ALL = {n for d in PUBLIC.values() for n in inspect.signature(d).parameters}
each_distribution = pytest.mark.parametrize("name", PUBLIC)


def pyright(*args, path, cwd):
    """What pyright says, as a dictionary."""
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", *args],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"},
    )
    assert ran.stdout, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A folder of a user, and the programs of an environment in which the library is installed."""
    pytest.importorskip("pyright")
    folder = tmp_path_factory.mktemp("user")
    venv.create(folder / "env", symlinks=True)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    shutil.copytree(Path(genparams.__file__).parent, site / "genparams")
    (site / "numpy").symlink_to(Path(np.__file__).parent)
    (folder / "models").mkdir()
    (folder / "models" / "pyrightconfig.json").write_text(json.dumps(STRICT))
    return folder / "models", folder / "env" / "bin"


def test_a_strict_type_checker_reports_nothing_of_ten_models_and_every_mistake(user):
    folder, programs = user
    shutil.copy(HERE / "models.py", folder)
    text = (HERE / "mistakes.py.txt").read_text()
    (folder / "mistakes.py").write_text(text)
    said = pyright("--pythonpath", str(programs / "python"), path=programs, cwd=folder)
    assert said["summary"]["filesAnalyzed"] == 2
    found = {}
    for report in said["generalDiagnostics"]:
        lines = found.setdefault(Path(report["file"]).name, {})
        lines.setdefault(report["range"]["start"]["line"] + 1, report["message"])
    assert found.get("models.py", {}) == {}
    wanted = [i for i, line in enumerate(text.splitlines(), 1) if line.endswith("# reported")]
    assert len(wanted) == 14
    assert sorted(found["mistakes.py"]) == wanted


def test_most_of_the_types_of_the_package_are_declared(user):
    folder, programs = user
    said = pyright("--verifytypes", "genparams", "--ignoreexternal", path=programs, cwd=folder)
    count = said["typeCompleteness"]
    assert count["exportedSymbolCounts"]["withKnownType"] > 1000
    assert count["completenessScore"] > 0.79


def takes(d, *args, **named):
    try:
        d(*args, **named)
    except GenParamsError:
        return False
    return True


@each_distribution
def test_a_distribution_takes_the_arguments_that_its_signature_declares(name):
    d, names = PUBLIC[name], list(PUBLIC[name].arguments)
    declared = inspect.signature(d).parameters
    assert [n for n in declared if n in names] == names
    every, but_last = dict.fromkeys(names, 1), dict.fromkeys(names[:-1], 1)
    for name, given in ((n, {n: ["one"] if n == "labels" else 1}) for n in ALL):
        taken = takes(d, **{**every, **given}) or takes(d, **{**but_last, **given})
        assert taken == (name in declared), name
    by_place = [p.name for p in declared.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_place == names[: len(by_place)]
    for k in range(len(names) + 1):
        assert takes(d, *[1] * k, **dict.fromkeys(names[k:], 1)) == (k <= len(by_place))
    others = {*declared} - {*names, "size"}
    optional = {n for n, p in declared.items() if p.default is not p.empty}
    assert optional == {"size", *others, *(names[-1:] if others else ())}
    assert declared["size"].kind is inspect.Parameter.KEYWORD_ONLY


@each_distribution
def test_a_distribution_has_the_annotations_and_the_doc_of_what_is_declared(name):
    d = PUBLIC[name]
    assert d.__wrapped__.__annotations__ == d.__annotations__
    hints = typing.get_type_hints(d.__wrapped__)
    assert hints["size"] == Size
    assert all(hints[n] == Numbers for n in d.arguments)
    assert d.__name__ == name
    assert "log p(x)" in (d.__doc__ or "")


@pytest.mark.parametrize(
    "call",
    [
        genparams.dirichlet(np.ones(3)),
        genparams.multinomial(5, [0.2, 0.8]),
        genparams.mvnormal(np.zeros(2), np.eye(2)),
        genparams.mvnormal(np.zeros(2), np.eye(2), size=(3, 4)),
    ],
    ids=str,
)
def test_a_value_of_vectors_has_the_declared_type(call):
    declared = typing.get_type_hints(call.fn.__wrapped__)["return"]
    value = call.sample(rng=0)
    assert type(value) is typing.get_origin(declared)
    assert value.dtype.type is typing.get_args(typing.get_args(declared)[1])[0]


def test_a_generative_function_has_the_signature_the_doc_and_the_types_of_its_body():
    def body(xs, n: int = 1, *, flag: bool = False) -> float:
        """What it does."""
        return normal(0.0, 1.0) @ "y"

    f = gen(body)
    assert f.__wrapped__ is body
    assert inspect.signature(f) == inspect.signature(body)
    assert (f.__name__, f.__doc__, f.__module__) == ("body", "What it does.", __name__)
    assert f.__annotations__ == body.__annotations__
    assert inspect.signature(map_(f)) == inspect.signature(body)


def test_a_distribution_of_ones_own_has_the_signature_of_its_log_density():
    def log_p(x, loc, scale=1.0):
        return -abs(x - loc) / scale

    made = distribution(lambda rng, loc, scale, size: rng.laplace(loc, scale, size), log_p)
    assert made.__wrapped__ is log_p
    assert str(inspect.signature(made)) == "(loc, scale=1.0, *, size=None)"


def test_a_distribution_of_others_says_that_it_takes_any_arguments():
    of_two = mixture([0.5, 0.5], [normal(0.0, 1.0), normal(1.0, 1.0)]).fn
    assert "args" in inspect.signature(of_two).parameters


def test_types_can_be_written_with_and_without_parameters():
    assert typing.get_origin(Call[float]) is Call
    assert typing.get_origin(genparams.GenerativeFunction[[float], int]) is not None
    assert typing.get_origin(Distribution[..., float]) is Distribution
