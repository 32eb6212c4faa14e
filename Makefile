# make run     start the sandbox and print where to go
# make test    install what the tests need and run them, all but what the next targets do
# make test-slow   each state of each page under axe, with pictures; invoices as tests of other languages; a few kills
# make test-crash  kill processes and databases under load, KILLS=200 times
# make test-browsers   the pay page and the widget in Firefox and WebKit
# make fuzz    a short fuzzing of what takes strangers' bytes; RUNS=1000000 for a long one
# make check   only the style, types and layers
# make image   build the container image; make test-image tests it with docker or podman
# make test-offline   run what Chromium tests where there is no network but loopback
# make bench   measure speed and memory, and draw them; QUICK=1 takes a minute and fails if any is much worse than it was
# make soak    trade for MINUTES=30 at 70 % of the most there is, with receivers that fail and worlds that come and go
# make audit   look up what is known to be wrong with the locked packages
# make lock    take newer packages into the image
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := tests/js/node_modules/.installed
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo,)

.PHONY: run test fuzz test-slow test-browsers test-crash test-image test-offline check format bench bench-stores bench-scale soak audit build image lock clean

run: $(VENV)/.run
	@$(BIN)/mock-epay

test: check chromium php postgresql $(NODE_MODULES)
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(or $(WORKERS),2) -m 'not slow $(if $(OFFLINE),and not browser)' $(PYTEST_ARGS)
	$(if $(OFFLINE),$(ALONE) $(BIN)/coverage run -m pytest -n $(or $(WORKERS),2) -m 'browser and not slow' $(PYTEST_ARGS))
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-slow: $(VENV)/.dev chromium php $(NODE_MODULES)
	$(BIN)/python -m pytest -n $(or $(WORKERS),2) -m slow $(PYTEST_ARGS)

# A run ends at the first fault and leaves the input in test-artifacts/fuzz.
fuzz: $(VENV)/.dev
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	@$(BIN)/python -c 'import atheris' 2>/dev/null || { echo "atheris has no wheel for this machine and Python" >&2; exit 1; }
	$(BIN)/python tests/fuzzing/fuzz.py $(or $(RUNS),10000) $(TARGETS)

test-browsers: $(VENV)/.dev engines certutil
	$(BIN)/python -m pytest tests/browsers $(PYTEST_ARGS)

# The engine is docker where its daemon answers, or else podman.
CONTAINER_ENGINE ?= $(shell if docker info >/dev/null 2>&1; then echo docker; elif command -v podman >/dev/null; then \
  echo podman; fi)
PYTHON_IMAGE ?= $(if $(shell podman image exists localhost/python-base 2>/dev/null && echo yes),localhost/python-base,python:3.13-slim)
MOCK_EPAY_IMAGE ?= $(if $(filter podman,$(CONTAINER_ENGINE)),localhost/)mock-epay

image:
	@test -n "$(CONTAINER_ENGINE)" || { echo "there is no container engine: install docker or podman" >&2; exit 1; }
	$(CONTAINER_ENGINE) build $(if $(filter podman,$(CONTAINER_ENGINE)),--format docker) --network host \
	  --build-arg PYTHON_IMAGE=$(PYTHON_IMAGE) --file docker/Dockerfile --tag $(MOCK_EPAY_IMAGE) .

test-image: image $(VENV)/.dev chromium certutil
	CONTAINER_ENGINE=$(CONTAINER_ENGINE) MOCK_EPAY_IMAGE=$(MOCK_EPAY_IMAGE) $(BIN)/python -m pytest tests/image $(PYTEST_ARGS)

# A namespace of its own has no network but loopback, which has to be switched on. (`make test OFFLINE=1` runs all tests,
# and these there.)
ALONE := unshare --map-root-user --net sh -c 'ip link set lo up && exec "$$@"' alone

test-offline: $(VENV)/.dev chromium $(NODE_MODULES)
	$(ALONE) $(BIN)/python -m pytest -n $(or $(WORKERS),2) -m 'browser and not slow' $(PYTEST_ARGS)

lock: $(VENV)/.dev
	$(BIN)/uv pip compile $(LOCKED) pyproject.toml --output-file docker/requirements.lock
	echo 'hatchling>=1.27' | $(BIN)/uv pip compile $(LOCKED) - --output-file docker/build.lock

LOCKED := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url
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
	$(BIN)/python tests/bench.py $(if $(QUICK),--quick,--json .ci/speed.json --svg .ci/speed.svg)

bench-stores bench-scale: $(VENV)/.dev postgresql
	$(BIN)/python tests/bench_stores.py $(if $(filter bench-scale,$@),--sizes,--seconds 0)

soak: $(VENV)/.dev
	$(BIN)/python tests/soak.py --minutes $(or $(MINUTES),30)

audit: $(VENV)/.dev
	$(BIN)/python tests/audit.py docker/requirements.lock docker/build.lock

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

.PHONY: chromium engines php certutil postgresql
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

certutil:
	command -v certutil >/dev/null || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libnss3-tools; }

postgresql:
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || { $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; }
