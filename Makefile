# Keystead. `make help` lists the targets.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= .keystead
SEEDS ?= 500
FROM ?= 1
MINUTES ?= 30
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= keystead/keystead:$(VERSION)
BASE ?= python:3.11-slim

.PHONY: help ci setup up down test test-apiserver test-ui lint sim sim-coverage sim-nightly explore soak fuzz bench bench-operator image e2e clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 18

# The package is installed in place, with everything that tests need, by the versions of requirements.lock.
$(VENV)/.installed: pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock --editable .
	@touch $@

setup: $(VENV)/.installed ## create .venv with everything in it

up: setup ## start three nodes in three zones, make a table, write and read items
	@$(BIN)/python -m keystead_cli.demo $(DATA)

down: setup ## stop the nodes that `make up` started (the data stays)
	@$(BIN)/keystead down --data $(DATA)

lint: setup ## ruff, mypy --strict and the import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

test: lint ## lint, types, layers and every test that needs no Kubernetes
	@$(BIN)/python -m pytest -n 2

test-apiserver: setup ## the operator against a real kube-apiserver (the first time builds it: six minutes)
	@e2e/cluster/build-tools.sh
	@$(BIN)/python -m pytest -n 2 $(or $(APISERVER_TESTS),tests/apiserver)

test-ui: setup ## the page of a node in headless Chromium (the first time fetches it: 100 MB, half a minute)
	@$(BIN)/python -m pytest $(or $(UI_TESTS),tests/ui)

sim: setup ## simulate SEEDS=500 FROM=1, or one SEED=1234 with its trace (SHRINK=1, UNTIL=n)
	@$(if $(SEED),$(BIN)/python -m tests.sim one --seed $(SEED) $(if $(SHRINK),--shrink) $(if $(UNTIL),--until $(UNTIL)),$(BIN)/python -m tests.sim run --seeds $(SEEDS) --from $(FROM))

sim-coverage: setup ## lines and branches of the replication core that SEEDS=500 simulated runs reach
	@$(BIN)/python -m coverage run -m tests.sim run --seeds $(SEEDS) --from $(FROM) --processes 1
	@$(BIN)/python -m coverage report

sim-nightly: setup ## simulate 100,000 seeds and check the whole table of planted bugs
	@$(BIN)/python -m tests.sim run --seeds 100000 --from $(FROM)
	@$(BIN)/python -m tests.sim planted --all

explore: setup ## every order of events of a small cluster
	@$(BIN)/python -m tests.explore --minutes $(or $(EXPLORE_MINUTES),10)

soak: setup ## faults against real processes for MINUTES=30
	@$(BIN)/python -m tests.faults.soak $(MINUTES)

fuzz: setup ## anything at all sent to each operation of the API, for MINUTES=30
	@$(BIN)/python -m tests.api.fuzz --minutes $(MINUTES) $(FUZZ)

bench: setup ## measure against etcd, dynalite and DynamoDB Local; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks.run $(BENCH)

ci: test test-ui test-apiserver ## all that has to pass before a release: the three tiers, and the smoke scenarios on a real cluster
	@$(MAKE) --no-print-directory e2e SUBSET=smoke

e2e: setup ## scenarios on a real cluster (kind); SUBSET=smoke, KEEP=1, TESTS=e2e/scenarios/...
	@$(BIN)/python -m e2e $(if $(SUBSET),--subset $(SUBSET)) $(if $(KEEP),--keep) $(TESTS)

image: setup ## build the container image IMAGE on BASE=python:3.11-slim (needs docker)
	@image/wheels.sh $(VENV)
	@docker build --quiet --network none --build-arg BASE=$(BASE) --build-arg VERSION=$(VERSION) --tag $(IMAGE) .

bench-operator: setup ## measure the operator with 1,000 and 5,000 tables; writes docs/operations.md
	@e2e/cluster/build-tools.sh
	@$(BIN)/python -m benchmarks.operator_figures $(BENCH)

clean: ## remove .venv and caches (not the data)
	rm -rf $(VENV) .ci-venv .mypy_cache .ruff_cache .hypothesis .pytest_cache build
