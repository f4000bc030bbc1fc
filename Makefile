# The commands of this project; `make help` lists them. They need make and a Python of at least 3.11;
# `make test` also Java 17 and Maven, or a broker of yours (CONTRIBUTING.md).
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

VENV := .venv
DOCS_VENV := .venv-docs
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check --no-input
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header
ARGS ?=
JOBS ?= 2
SEEDS ?= 100000
START ?= 0

.PHONY: help demo test check docs simulate bench chaos mutants dist clean lock

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## stream a year of flights through a service, on an embedded broker
	@$(PY) examples/flights/demo.py $(ARGS)

test: $(VENV)/.dev $(VENV)/.demo ## run all tests, those on a real Apache Kafka too; ARGS="-k name" runs some
	@[ -n "$${HUMUS_TEST_KAFKA:-}" ] || $(PY) -m tests.kafka.distribution
	@$(PY) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev $(VENV)/.demo ## lint, format and types: ruff, mypy, pyright
	@$(VENV)/bin/ruff check --quiet
	@$(VENV)/bin/ruff format --check --quiet || { echo "some files are not formatted: run $(VENV)/bin/ruff format" >&2; exit 1; }
	@$(VENV)/bin/mypy
	@$(VENV)/bin/pyright --pythonpath $(PY)

docs: $(DOCS_VENV)/.docs ## build the documentation into site/, strictly; ARGS="serve" shows it while you write
	@PYTHONDONTWRITEBYTECODE=1 NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs $(if $(ARGS),$(ARGS),build --strict --quiet)
	@$(if $(ARGS),,echo "open site/index.html")

simulate: $(VENV)/.dev ## run the core through simulated storms: SEEDS=1000000 START=0; ARGS=--help says more
	@$(PY) -m tests.simulation --seeds $(SEEDS) --start $(START) $(ARGS)

mutants: $(VENV)/.dev ## put faults into the source, one at a time: each must fail its test; ARGS=--help says more
	@$(PY) -m tests.mutants $(ARGS)

bench: $(VENV)/.dev ## measure against the bare client and other runtimes, on a real Apache Kafka; ARGS=--help says more
	@[ -n "$${HUMUS_TEST_KAFKA:-}" ] || $(PY) -m tests.kafka.distribution
	@$(PY) -m bench $(ARGS)

chaos: $(VENV)/.dev ## three chained groups on three brokers, while members and brokers come, go, die and freeze
	@$(PY) -m tests.kafka.distribution
	@$(PY) -m tests.chaos $(ARGS)

dist: $(VENV)/.dev ## wheel and sdist of the last commit, built twice, tried in clean environments; ARGS=--help says more
	@$(PY) -m tests.release $(ARGS)

clean: ## remove the virtual environment and all that tools left here
	@rm -rf $(VENV) $(DOCS_VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## write requirements/*.txt afresh from requirements/*.in and pyproject.toml (needs uv)
	@$(LOCK) --upgrade --extra cli --extra prometheus --extra otel-config pyproject.toml requirements/dev.in -o requirements/dev.txt
	@$(LOCK) --upgrade pyproject.toml requirements/demo.in -c requirements/dev.txt -o requirements/demo.txt
	@$(LOCK) --extra prometheus --extra otel-config pyproject.toml -c requirements/dev.txt -o requirements/deploy.txt
	@$(LOCK) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	@$(LOCK) --no-deps requirements/data.in -o requirements/data.txt
	@for peer in bench/peers/requirements/*.in; do $(LOCK) --upgrade "$$peer" -o "$${peer%.in}.txt"; done
	@$(LOCK) --upgrade requirements/docs.in -o requirements/docs.txt

# One environment: demo.txt and dev.txt agree on every version (`lock` sees to it), so either may come first.
$(VENV)/.demo: requirements/demo.txt requirements/data.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing the demo into $(VENV) ..." >&2
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements/data.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing the development tools into $(VENV) ..." >&2
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DOCS_VENV)/.docs: requirements/docs.txt | $(DOCS_VENV)/bin/python
	@echo "installing the documentation's tools into $(DOCS_VENV) ..." >&2
	@$(DOCS_VENV)/bin/python -m pip --quiet --disable-pip-version-check --no-input install --require-hashes -r requirements/docs.txt
	@touch $@

# PYTHON=/path/to/python names one; else the first that is new enough.
$(VENV)/bin/python $(DOCS_VENV)/bin/python:
	@for python in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "error: $$python has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }; \
	  rm -rf $(@D:/bin=); exec "$$python" -m venv $(@D:/bin=); \
	done; \
	echo "error: no Python of at least 3.11 found (tried: $${PYTHON:-python3, python3.11 to python3.14}): install one, or run make PYTHON=/path/to/python" >&2; exit 1
