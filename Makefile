# Everything a fresh machine needs: `make demo` shows coldsend at work, `make test` proves it.
# Both set up .venv from requirements/ themselves; a second run finds the stamp and starts at once.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A tree without caches compiles coldsend and its tests anew in each of a thousand processes.
unexport PYTHONDONTWRITEBYTECODE
# Test processes: most tests wait for servers and timers more than they compute.
JOBS ?= 3
TESTS ?= tests

# The first interpreter that is new enough; `make PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
COMPILE := CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/pip-compile --quiet --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --strip-extras --allow-unsafe

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 16

.PHONY: demo
demo: $(STAMP)  ## a whole campaign on loopback, from installation to report
	@$(BIN)/coldsend demo

.PHONY: test
test: $(STAMP) servers lint  ## everything: lint, types, architecture, all tests on SQLite and MariaDB
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

.PHONY: soak
soak: $(STAMP) servers  ## the fault suite's long variants, each for SOAK_MINUTES (10)
	SOAK_MINUTES=$${SOAK_MINUTES:-10} $(BIN)/python -m pytest -q -m soak --timeout 0 $(TESTS)

.PHONY: bench
bench: $(STAMP)  ## every benchmark, half an hour, one table in docs/performance.md; BENCH=quick: five minutes
	@requirements/install-servers benchmarks.txt
	$(BIN)/python -m benchmarks.run $(if $(filter quick,$(BENCH)),--quick)

.PHONY: check
check: $(STAMP) lint  ## lint and what is quickly tested without servers, in a minute
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m "not servers and not slow and not costly" $(TESTS)

.PHONY: lint
lint: $(STAMP)  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: venv
venv: $(STAMP)  ## .venv with the pinned dependencies and coldsend itself, editable

$(STAMP): requirements/dev.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "coldsend needs Python 3.11 or later: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@if [ ! -x $(BIN)/python ]; then \
		"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot create virtual environments: install its venv package (Debian: python3-venv)" >&2; exit 1; }; fi
	@echo "installing the pinned dependencies into $(VENV) .."
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: servers
servers:  ## the servers that tests start for themselves (Debian packages, as root, only what is missing)
	@requirements/install-servers

.PHONY: requirements
requirements: $(STAMP)  ## pin the newest versions that pyproject.toml allows
	$(COMPILE) --upgrade --output-file requirements/run.txt pyproject.toml
	$(COMPILE) --upgrade --extra dev --constraint requirements/run.txt \
		--output-file requirements/dev.txt pyproject.toml

.PHONY: schema
schema: $(STAMP)  ## write the snapshots schema/mysql.sql and schema/sqlite.sql
	$(BIN)/python schema/snapshot.py

.PHONY: docs
docs: $(STAMP)  ## write docs/cli.md and the tables of docs/events.md, docs/metrics.md and docs/apply.md
	$(BIN)/python docs/write_cli.py
	$(BIN)/python docs/write_tables.py

.PHONY: clean
clean:  ## remove .venv, caches and what builds and the demo left behind
	rm -rf $(VENV) build dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find coldsend schema tests -name __pycache__ -type d -prune -exec rm -rf {} +
