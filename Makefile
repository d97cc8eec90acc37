# make run: the whole pipeline; make test: all tests; make check: lint, types, layers and tests; make ui: MLflow
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ORACLES := $(VENV)/.oracles
# The lock is whole, so pip need not look for more. It compiles what it installs: where PYTHONDONTWRITEBYTECODE is set,
# as in many containers, every process would otherwise compile all that it imports
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps

.PHONY: run test check lint ui setup clean

run: $(READY)
	$(BIN)/kd run

test: $(READY) $(ORACLES)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: lint test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ui: $(READY)
	$(BIN)/kd ui

setup: $(READY)

# The lock holds exact versions; the project itself is installed editable, without asking any index
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, and $(PYTHON) is older or missing. Try: make PYTHON=python3.12 run" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.lock
	$(PIP) --no-build-isolation -e .
	$(BIN)/python -m pip check --disable-pip-version-check
	touch $@

# Not compiled: of these thousands of files the tests import a few
$(ORACLES): requirements-test.lock $(READY)
	$(PIP) --no-compile -r requirements-test.lock
	touch $@

# What can be made again at once. DVC's cache and MLflow's history stay.
clean:
	rm -rf scratch .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
