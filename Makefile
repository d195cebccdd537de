# All that a machine with git, make and Python >= 3.11 needs: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= mirific-demo

.PHONY: demo test test-slow test-bounds lint bench docs clean
.DELETE_ON_ERROR:

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "mirific needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,dask]'
	@touch $@

demo: $(VENV)/installed   ## simulate a programme with known issues, reduce it, write $(DEMO)/report.html
	$(BIN)/mirific demo -o $(DEMO)

lint: $(VENV)/installed-test   ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src benchmarks

test: lint   ## all tests that fit in ten minutes
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/installed-test   ## the long ones: many seeds, full frames, all filters
	$(BIN)/python -m pytest -m slow

test-bounds: $(VENV)/installed-test   ## tests of the kernels, which check that they stay within their arrays
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/build/bounds $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not oracle" \
		tests/kernels tests/measure tests/detector1 tests/image2 tests/image3 tests/issues tests/simulate

bench: $(VENV)/installed   ## official pipeline and mirific on the same files, alternating
	$(BIN)/python -m benchmarks.peers

docs: $(VENV)/installed   ## write docs/reference.md anew
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache
