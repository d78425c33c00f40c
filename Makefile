# Each target works from a fresh clone: it makes its own environment in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test docs oldest oracles lint types benchmark clean

demo: .venv/ready  ## fit a mixture to Old Faithful's waits, draw it and print its summary
	$(BIN)/python examples/old_faithful.py --plot old_faithful.png

test: .venv/ready  ## run every test, in two processes
	$(BIN)/python -m pytest -n 2

docs: .venv/ready  ## write the pages that are made from docstrings and from tests
	$(BIN)/python tests/reference_page.py
	$(BIN)/python tests/autodiff/numpy_page.py

oldest:  ## run every test with the oldest numpy, scipy and autograd that pyproject.toml allows
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --editable . numpy==2.1.0 scipy==1.13.0 autograd==1.9.0 pytest hypothesis mpmath matplotlib scikit-learn pandas tqdm
	.venv-oldest/bin/python -m pytest

oracles: .venv/ready  ## run the tests of updates and of compiled functions beside optax and numba
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,oracles]'
	$(BIN)/python -m pytest -n 2 tests/update tests/compiled/test_numba_code.py tests/compiled/test_cache_folder.py tests/compiled/test_static_numba.py tests/compiled/test_static_training.py tests/dsl/distributions/sequences/test_recorded_sequences.py

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/pyright

benchmark: .venv/ready  ## training steps, updates and fits against the same by hand and in other packages
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/combinators.py
	$(BIN)/python benchmarks/choices.py
	$(BIN)/python benchmarks/update.py
	$(BIN)/python benchmarks/fit.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/edits.py
	$(BIN)/python benchmarks/hmc.py
	$(BIN)/python benchmarks/variational.py
	$(BIN)/python benchmarks/parallel.py
	$(BIN)/python benchmarks/static.py
	$(BIN)/python benchmarks/hidden_markov.py
	$(BIN)/python benchmarks/state_space.py
	$(BIN)/python benchmarks/processes.py

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-oldest .pytest_cache .ruff_cache .hypothesis build dist
