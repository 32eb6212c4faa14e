# make run     start the sandbox and print where to go
# make test    install what the tests need and run them all
# make check   only the style, types and layers
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := tests/js/node_modules/.installed
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo,)

.PHONY: run test test-crash check format bench bench-stores build clean

run: $(VENV)/.run
	@$(BIN)/mock-epay

test: check chromium php postgresql $(NODE_MODULES)
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(or $(WORKERS),2) $(PYTEST_ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-crash: $(VENV)/.dev postgresql
	KILLS=$(or $(KILLS),200) $(BIN)/python -m pytest tests/test_survival.py

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

bench-stores: $(VENV)/.dev postgresql
	$(BIN)/python tests/bench_stores.py

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

.PHONY: chromium php postgresql
chromium:
	command -v chromium >/dev/null || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }

php:
	command -v php >/dev/null || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends php-cli; }

postgresql:
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; }
