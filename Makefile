PYTHON ?= python3
BIN := .venv/bin
LOCK := env -u PIP_FIND_LINKS $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--upgrade --no-emit-index-url --no-emit-find-links --no-header --quiet

SCREENSHOTS ?= outputs/screenshots

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults test-launchers test-browser test-docs lint format lock ui

help:  ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "expected Python 3.11 to 3.13. Received: " + sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: .venv/.installed  ## Create .venv from the lock file and install the package into it.

.venv-ray/.installed: requirements-ray.lock pyproject.toml
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-ray.lock
	.venv-ray/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup  ## Pretrain on digits 0-4, then transfer to 5-9 with all four strategies and compare them.
	$(BIN)/python scripts/demo.py

test: setup  ## Run the test suite, without network.
	$(BIN)/python -m pytest -n 2

test-faults: setup  ## Outages and kills at length: what survives what.
	$(BIN)/python -m pytest -n 2 -m faults

test-launchers: setup .venv-ray/.installed  ## Sweeps by joblib, Slurm, Ray and Optuna, where they are installed.
	$(BIN)/python -m pytest -m launchers

test-browser: setup  ## The MLflow UI in Debian's Chromium (SCREENSHOTS=... for another folder of screenshots).
	SCREENSHOTS="$(abspath $(SCREENSHOTS))" $(BIN)/python -m pytest -m browser

test-docs: setup  ## Run every command of README.md and docs/ in a copy of the repository, on small budgets.
	$(BIN)/python -m pytest -m docs

lint: setup  ## Check format, style, types and the import contract.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: setup  ## Resolve requirements.lock and requirements-ray.lock anew from pyproject.toml.
	$(BIN)/python -m pip install --quiet uv
	$(LOCK) --extra dev --extra joblib --extra slurm --extra optuna --extra browser -o requirements.lock
	$(LOCK) --extra ray -o requirements-ray.lock

ui: setup  ## Open the MLflow UI on http://127.0.0.1:5000 (PORT=... for another port).
	$(BIN)/python scripts/ui.py $(PORT)
