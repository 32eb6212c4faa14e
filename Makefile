# make run     start the sandbox and print where to go
# make test    install what the tests need and run them all
# make test-browsers   the pay page and the widget in Firefox and WebKit
# make check   only the style, types and layers
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := tests/js/node_modules/.installed
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo,)

.PHONY: run test test-browsers check format bench build clean

run: $(VENV)/.run
	@$(BIN)/mock-epay

test: check chromium php $(NODE_MODULES)
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(or $(WORKERS),2) $(PYTEST_ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-browsers: $(VENV)/.dev engines
	$(BIN)/python -m pytest tests/browsers $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.dev
	command -v wrk >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq wrk; }
	$(BIN)/python tests/bench.py

build: $(VENV)/.dev
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf $(VENV) build dist tests/js/node_modules

$(VENV)/.run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.run

$(NODE_MODULES): tests/js/package.json
	command -v npm >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq nodejs npm; }
	npm install --prefix tests/js --no-package-lock --no-audit --no-fund --silent
	touch $@

.PHONY: chromium engines php
chromium:
	command -v chromium >/dev/null || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

# Where Debian's Firefox and WebKit cannot be had there is nothing to test with, and this says so.
engines:
	command -v firefox-esr >/dev/null && command -v WebKitWebDriver >/dev/null && command -v Xvfb >/dev/null || \
	  { $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	  --no-install-recommends firefox-esr webkit2gtk-driver xvfb fonts-dejavu-core; } || \
	  { echo "test-browsers needs Debian's firefox-esr, webkit2gtk-driver and xvfb, which apt-get did not install" >&2; exit 1; }

php:
	command -v phpunit >/dev/null || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends php-cli phpunit; }
