# Everything starts here; `make` lists it. uv is found or installed into .tools, Python's packages go into .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules

PORT ?= 7071
ARGS ?=
UV_VERSION := 0.13.9
PYTHON := .venv/bin/python
STAMP := .venv/.synced
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
say = @printf '\033[1m%s\033[0m\n' $(1)

.PHONY: help setup run demo test check lint format bench package requirements prices clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv
	@echo "Everything is installed: $$($(PYTHON) --version) in .venv"

run: $(STAMP) ## serve the gateway with simulated backends (PORT=7071, ARGS="--data DIR")
	@exec $(PYTHON) -m devhost --port $(PORT) $(ARGS)

demo: $(STAMP) ## start, call and break the gateway, and show what happened
	@$(PYTHON) -m devhost.demo

test: $(STAMP) ## run every test
	$(PYTHON) -m pytest -n 2 --dist loadgroup -q $(ARGS)

check: $(STAMP) ## compare what is derived with what it is derived from, and try the package
	@$(PYTHON) -m devhost.package --check --uv $(UV)

lint: $(STAMP) ## ruff, mypy (strict), import rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

format: $(STAMP) ## let ruff lay out the code
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(STAMP) ## run the benchmarks
	@$(PYTHON) -m bench $(ARGS)

package: $(STAMP) ## build dist/gateway.zip: what `func azure functionapp publish` would send
	@$(PYTHON) -m devhost.package

requirements: $(UV) ## export requirements.txt from uv.lock
	@$(UV) export --quiet --frozen --no-dev --no-hashes --no-emit-project --no-header --no-annotate --output-file requirements.txt
	@echo "requirements.txt: $$(wc -l < requirements.txt) packages"

# Build-time inputs of the price table; the gateway itself never needs them.
PRICE_LISTS := litellm==1.109.1 genai-prices==0.2.3

prices: $(STAMP) ## build the bundled price table anew from public lists (ARGS="--accept")
	@rm -rf .tools/prices
	@$(UV) pip install --quiet --no-deps --target .tools/prices $(PRICE_LISTS)
	@$(PYTHON) -m devhost.prices --from .tools/prices $(ARGS)

clean: ## remove what was built and installed
	rm -rf .venv .tools dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(STAMP): uv.lock pyproject.toml .python-version | $(UV)
	$(call say,"Installing Python and packages into .venv (about a minute the first time)")
	@$(UV) sync --frozen --quiet
	@echo "Installed $$($(PYTHON) --version) and $$($(UV) pip list --quiet 2>/dev/null | tail -n +3 | wc -l) packages"
	@touch $@

.tools/bin/uv:
	$(call say,"Installing uv $(UV_VERSION) into .tools")
	@python="$$(for name in python3.13 python3.14 python3.12 python3.11 python3; do \
	    command -v "$$name" >/dev/null && "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done || true)"; \
	if [ -z "$$python" ]; then \
	    echo "No Python 3.11 or newer was found to install uv with. Install one, or uv itself, and run make again." >&2; exit 1; fi; \
	if "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	    "$$python" -m venv .tools && .tools/bin/python -m pip install --disable-pip-version-check --quiet "uv==$(UV_VERSION)"; \
	elif "$$python" -m pip --version >/dev/null 2>&1; then \
	    "$$python" -m pip install --disable-pip-version-check --quiet --target .tools/site "uv==$(UV_VERSION)" \
	    && mkdir -p .tools/bin && ln -sf ../site/bin/uv .tools/bin/uv; \
	else \
	    echo "$$python has neither ensurepip nor pip, so uv cannot be installed (on Debian: apt install python3-venv)." >&2; \
	    echo "Install one of them, or uv itself, and run make again." >&2; exit 1; fi
	@touch $@
