# Everything from nothing but Python 3.11+, pip and make. Each target prepares what it needs, once.
#   make run     the embedded exchange behind real sockets, strategies trading it, a report
#   make test    the per-commit test suite (ARGS="-k book" is passed on to pytest)
#   make bench   benchmarks beside their peers (ARGS="NAME... --json")
#   make lint    style, types, floors and the determinism lint
#   make docs    the documentation site, in site/
#   make lock    resolve the pinned versions again (needs uv)

# The first interpreter that is new enough; PYTHON=... comes first.
CANDIDATES := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11
PYTHON_FOUND = $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# NautilusTrader 1.221 has no wheels past Python 3.13.
PEERS_PYTHON_FOUND = $(shell for p in $(CANDIDATES); do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
# Wheels only: nothing here may need a compiler on the user's machine.
PIP := -m pip --disable-pip-version-check install --quiet --only-binary=:all: --require-hashes

.PHONY: help run test bench lint docs setup format clean distclean lock
.DEFAULT_GOAL := help

help:
	@sed -n '2,7s/^# *//p' Makefile

$(BIN)/python:
	@test -n "$(PYTHON_FOUND)" || { echo "No Python 3.11 or newer among: $(strip $(CANDIDATES)). Install one, or run make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Creating $(VENV) with $(PYTHON_FOUND)"
	@"$(PYTHON_FOUND)" -m venv $(VENV)

# What a user of the package gets, and the package itself, editable.
$(VENV)/.core: requirements/core.lock requirements/build.lock pyproject.toml | $(BIN)/python
	@echo "Installing nanotick and its pinned dependencies into $(VENV) (once)"
	@$(BIN)/python $(PIP) -r requirements/core.lock
	@$(BIN)/python $(PIP) -r requirements/build.lock
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# What a contributor needs besides: tests, linters, every extra.
$(VENV)/.dev: requirements/dev.lock $(VENV)/.core
	@echo "Installing the pinned development tools into $(VENV) (once)"
	@$(BIN)/python $(PIP) -r requirements/dev.lock
	@touch $@

# The libraries the benchmarks are measured against, apart from everything else.
$(PEERS)/.stamp: requirements/peers.lock
	@test -n "$(PEERS_PYTHON_FOUND)" || { echo "The peers need Python 3.11 to 3.13; none among: $(strip $(CANDIDATES)). Run make PYTHON=/path/to/python3.13 bench, or nanotick bench without peers" >&2; exit 1; }
	@echo "Creating $(PEERS) with the pinned peers (once)"
	@test -x $(PEERS)/bin/python || "$(PEERS_PYTHON_FOUND)" -m venv $(PEERS)
	@$(PEERS)/bin/python $(PIP) -r requirements/peers.lock
	@touch $@

setup: $(VENV)/.dev

run: $(VENV)/.core
	@$(BIN)/nanotick run $(ARGS)

# Kernels are compiled first, by one process: two test processes would each compile all of them.
test: $(VENV)/.dev
	@$(BIN)/python -c 'from nanotick.core.warmup import warm; warm()'
	@$(BIN)/python -m pytest -n 2 --dist worksteal --durations=15 --durations-min=1 $(ARGS)

bench: $(VENV)/.dev $(PEERS)/.stamp
	@NANOTICK_PEERS_PYTHON=$(PEERS)/bin/python $(BIN)/nanotick bench $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_repo

format: $(VENV)/.dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	@$(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "Documentation: site/index.html"

UV ?= uv
LOCK := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --fork-strategy fewest \
	--no-emit-index-url --no-emit-find-links --no-header --quiet

lock:
	$(LOCK) pyproject.toml -o requirements/core.lock
	$(LOCK) --group build -o requirements/build.lock
	$(LOCK) pyproject.toml --all-extras --group dev --group build -c requirements/core.lock -o requirements/dev.lock
	$(LOCK) requirements/peers.in -o requirements/peers.lock

clean:
	rm -rf site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(PEERS)
