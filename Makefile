# Raven Scan: `make demo` does the main job on a sample dataset, `make test` checks everything.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A demo of its own, which later times find.
SCREENSHOTS := /tmp/raven-scan-screenshots
PYTEST := $(BIN)/python -m pytest
# Half of what the tests do is to wait for processes of their own.
TEST_PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help install demo serve screenshots texts test test-unit test-long check format lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(STAMP) ## Make the environment in .venv

$(STAMP): requirements/lock.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed: on Debian, apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; $(PYTHON) is older. Say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo "Python's venv module is missing: on Debian, apt-get install python3-venv"; exit 1; }
	@echo "==> Making the environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@echo "==> Installing the locked packages (PyTorch is 5 GB: a few minutes)"
	@$(BIN)/python -m pip install --no-deps --no-compile --progress-bar on -r requirements/lock.txt | grep -vE '^Requirement already satisfied' || test $${PIPESTATUS[0]} -eq 0
	@# What pip does on one core. Some packages carry templates that are no Python.
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true
	@# Canaille's wheel brings its own package `tests`, which would hide ours.
	@rm -rf $(VENV)/lib/python3*/site-packages/tests
	@echo "==> Installing Raven Scan"
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

demo: $(STAMP) ## Train on a sample dataset, and show what comes out (6 minutes on 2 cores)
	$(BIN)/raven demo

serve: $(STAMP) ## Start the server, with a worker inside
	$(BIN)/raven serve

screenshots: $(STAMP) ## Take the pictures of the screens in docs/ anew (8 minutes; needs Chromium)
	RAVEN_HOME=$(SCREENSHOTS)/home $(BIN)/raven models show raven-demo --json > /dev/null 2>&1 || RAVEN_HOME=$(SCREENSHOTS)/home $(BIN)/raven demo --folder $(SCREENSHOTS)/sample
	$(BIN)/python scripts/make_screenshots.py $(SCREENSHOTS)/home

texts: $(STAMP) ## Gather what the screens say, for translators
	$(BIN)/pybabel -q extract -F src/raven_scan/web/texts/babel.cfg -k t -k texts -k later --no-location --omit-header --sort-output \
		-o src/raven_scan/web/texts/messages.pot src/raven_scan/web

test: check test-unit ## Check the style and run all tests but the long ones

test-unit: $(STAMP)
	@$(BIN)/python -m pip list --format freeze | grep -iE '^opencv' | grep -vx 'opencv-python-headless==.*' && { echo "Only opencv-python-headless may be installed"; exit 1; } || true
	$(PYTEST) -m "not long" -n $(TEST_PROCESSES) --dist worksteal

test-long: $(STAMP) ## Run the tests that take minutes
	$(PYTEST) -m long

check: $(STAMP) ## Style, types, and the rules of the house
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/pyright

format: $(STAMP) ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: ## Resolve the dependencies anew
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet pyproject.toml --group dev --override requirements/overrides.txt --constraint requirements/constraints.txt --python-version 3.11 --universal --no-header --no-annotate --no-emit-index-url --upgrade --output-file requirements/lock.txt

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
