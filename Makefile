# Two commands, each enough by itself on a machine with Python 3.11 or newer, Java 17 and Maven:
#
#   make demo    a three-broker cluster, a load, and a proof that nothing is lost
#   make test    lint, types, layers, and all tests, on real clusters
#
# They make .venv and install klife into it; a second run finds both done. PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETTINGS := setup.cfg pyproject.toml

.PHONY: demo test
.DELETE_ON_ERROR:

demo: $(VENV)/.demo-installed
	$(BIN)/klife demo

test: $(VENV)/.test-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

$(VENV)/.demo-installed: $(SETTINGS) | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[cli]'
	touch $@

$(VENV)/.test-installed: $(SETTINGS) | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,cli,bench]'
	touch $@

# pip is the last thing venv makes: where it is missing, an earlier attempt was cut short.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "klife needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
