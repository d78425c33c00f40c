"""What a person looks at is loaded only when it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest
from fits import line_fit, oring_fit


def test_a_result_prints_its_summary():
    result = oring_fit()
    assert str(result) == str(result.summary())
    assert "Maximum likelihood fit of risk" in str(result)
    assert "temp" in result._repr_html_()


@pytest.mark.parametrize("name", ["plot_fit", "plot_residuals"])
def test_a_picture_returns_its_axes(name):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, ax = pyplot.subplots()
    assert getattr(line_fit(), name)(ax=ax) is ax
    pyplot.close(figure)


def test_the_picture_of_a_profile_returns_its_axes():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, ax = pyplot.subplots()
    assert line_fit().plot_profile("slope", ax=ax) is ax
    pyplot.close(figure)


def test_a_result_without_a_summary_loads_neither_tables_nor_pictures():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import fits\n"
        "fits.line_fit().conf_int()\n"
        "loaded = [m for m in sys.modules if m.startswith('genparams.plotting')]\n"
        "assert not loaded and 'matplotlib' not in sys.modules and 'pandas' not in sys.modules\n"
        "assert 'scipy.optimize' not in sys.modules"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, here], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
