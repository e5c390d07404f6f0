PYTHON ?= python3
BIN := .venv/bin
SCREENSHOTS ?= outputs/screenshots

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults test-browser lint format lock ui

help:  ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "expected Python 3.11 to 3.13. Received: " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: .venv/.installed  ## Create .venv from the lock file and install the package into it.

demo: setup  ## Pretrain on digits 0-4, then transfer to 5-9 with all four strategies and compare them.
	$(BIN)/python scripts/demo.py

test: setup  ## Run the test suite (under 3 minutes, no network).
	$(BIN)/python -m pytest -n 2

test-faults: setup  ## Outages and kills at length: what survives what.
	$(BIN)/python -m pytest -m faults -s

test-browser: setup  ## The MLflow UI in Debian's Chromium (SCREENSHOTS=... for another folder of screenshots).
	SCREENSHOTS="$(SCREENSHOTS)" $(BIN)/python -m pytest -m browser

lint: setup  ## Check format, style, types and the import contract.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup  ## Resolve requirements.lock anew from pyproject.toml.
	$(BIN)/python -m pip install --quiet uv
	env -u PIP_FIND_LINKS $(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --upgrade \
		--no-emit-index-url --no-emit-find-links --no-header --quiet pyproject.toml -o requirements.lock

ui: setup  ## Open the MLflow UI on http://127.0.0.1:5000 (PORT=... for another port).
	$(BIN)/python scripts/ui.py $(PORT)
