# Two commands, each enough by itself on a machine with Python 3.11 or newer, Java 17 and Maven:
#
#   make demo    a three-broker cluster, a load, and a proof that nothing is lost
#   make test    lint, types, layers, and all tests, on real clusters
#
# A third runs what users do on ten versions of Kafka, and writes what passed into docs/reliability.md, within fifteen minutes:
#
#   make versions
#
# A fourth builds what is released, but for the wheels that cibuildwheel makes (CONTRIBUTING.md):
#
#   make dist
#
# A fifth builds the site of the pages and the docstrings:
#
#   make docs
#
# A sixth tries brokers in containers, on the engine that answers or on Podman, if it is installed:
#
#   make containers
#
# A seventh has a Prometheus, if one is installed, scrape the example service, and ask all that the dashboard asks:
#
#   make monitoring
#
# They make .venv and install klife into it; a second run finds both done. PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETTINGS := setup.cfg pyproject.toml setup.py klife/core.py
# What the compiler reads: the declarations, and the modules they are of (klife/core.py).
DECLARATIONS := $(shell find klife -name '*.pxd')
CORE_SOURCES := $(DECLARATIONS) $(wildcard $(DECLARATIONS:.pxd=.py))

.PHONY: containers demo dist docs lint monitoring test versions
.DELETE_ON_ERROR:

demo: $(VENV)/.demo-installed
	$(BIN)/klife demo

test: lint $(VENV)/.core-built
	$(BIN)/python tests/both_builds.py

lint: $(VENV)/.test-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

versions: $(VENV)/.core-built
	$(BIN)/python -m tests.versions

containers: $(VENV)/.core-built
	$(BIN)/python -m tests.containers

monitoring: $(VENV)/.core-built
	$(BIN)/python -m tests.monitoring

dist: $(VENV)/.test-installed
	rm -rf dist
	$(BIN)/python setup.py --quiet sdist
	KLIFE_DISTRIBUTION=klife-pure $(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist ./supervision
	@ls dist

docs: $(VENV)/.test-installed
	$(BIN)/python -m sphinx -q -W -c docs . build/site
	@echo "The site is in build/site: open build/site/index.html, or, for the search's excerpts, python -m http.server -d build/site"

$(VENV)/.demo-installed: $(SETTINGS) | $(BIN)/pip
	@echo "Installing klife, its command line and what they need. Its core is compiled meanwhile: a minute or two, once."
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[cli]'
	touch $@

# What builds klife: with it the core can be compiled (make --jobs 2) while pip installs the rest. The pip that Python brought may
# be years old, and such a one takes three times as long to choose versions.
$(VENV)/.builder-installed: $(SETTINGS) | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip $$($(BIN)/python -c \
		'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	touch $@

# Python compiles what is imported, which is a part of what is installed. setuptools warns of editable installations as such.
$(VENV)/.test-installed: $(VENV)/.builder-installed
	@echo "Installing klife and what its tests need: about a minute, once."
	KLIFE_PURE=1 PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-compile --editable '.[dev,cli,bench]'
	touch $@

# An editable installation does not notice that a source has changed since it was compiled; so that compiles nothing, and this does.
$(VENV)/.core-built: $(CORE_SOURCES) $(VENV)/.builder-installed
	@echo "Compiling the core, those of its modules that have changed: all of them take a minute or two."
	CYTHON_CACHE_DIR=build/cython-cache $(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	touch $@

# pip is the last thing venv makes: where it is missing, an earlier attempt was cut short.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "klife needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
