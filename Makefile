# Every target builds .venv/ when it is missing; nothing but Python 3.11 or newer and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check faults fix bench lock proto clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "%-8s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'authz-server needs Python 3.11 or newer: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

demo: $(STAMP) ## a benign agent and an intruder through a real Envoy; DEMO="--keep" leaves it running
	@$(BIN)/authz-server demo $(DEMO)

test: $(STAMP) ## all tests; they start what they need and leave nothing behind
	$(BIN)/pytest $(PYTEST)

check: $(STAMP) ## format, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest $(PYTEST)

faults: $(STAMP) ## the fault tests in their long form, about half an hour, and their figures
	AUTHZ_FAULTS=long $(BIN)/pytest tests/faults --timeout=900 $(PYTEST)

fix: $(STAMP) ## format, and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## microbenchmarks, then the load comparison (needs h2load)
	$(BIN)/pytest bench --benchmark-enable --benchmark-only --benchmark-columns=min,median,iqr,ops -p no:cacheprovider
	$(BIN)/python -m bench.load

proto: $(STAMP) ## renew the code of proto/
	$(BIN)/python -m tests.render_protos

lock: $(STAMP) ## renew the lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev --extra build -o requirements-dev.lock pyproject.toml

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
