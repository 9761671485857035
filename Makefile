# Everything a developer or CI runs. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
# ONNX Runtime reports its use over the network unless told not to.
export ORT_DISABLE_TELEMETRY := 1
LAB := $(BIN)/python -m tests.cluster.lab
SOURCES := operator/skerry_operator edge_runtime/skerry_core edge_runtime/skerry_edge crds/skerry_api tests

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: venv
venv: $(STAMP) ## Install the project and its tools into .venv

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON="; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[operator,edge,ingest,distributed,cli]' --group dev
	@touch $@

.PHONY: generate
generate: venv ## Write crds/*.yaml and the charts' copies again from the pydantic models
	$(BIN)/skerry crds --output crds
	$(BIN)/python -m tests.unit.charts.copy_crds

.PHONY: lint
lint: venv ## Format check, ruff, mypy --strict, import layers, generated files
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/ruff check --quiet $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/skerry crds --check

.PHONY: test-fast
test-fast: venv ## The inner loop: unit tests, no lab, under a minute
	$(PYTEST) --numprocesses=2 --hypothesis-profile=fast -m "not slow" tests/unit

.PHONY: test
test: lint ## All but the long tests, on the lab's real clusters
	$(PYTEST) --numprocesses=3 --dist=loadfile -m "not long" --ignore=tests/e2e
	$(PYTEST) -m "not long" tests/e2e

.PHONY: test-long
test-long: venv ## The long tests
	$(PYTEST) --numprocesses=3 --dist=loadfile -m long --ignore=tests/e2e
	$(PYTEST) -m long tests/e2e

.PHONY: lab-up
lab-up: venv ## Start the lab: a hub and two sites, each a whole Kubernetes
	$(LAB) up

.PHONY: lab-down
lab-down: venv ## Stop the lab and leave nothing behind
	$(LAB) down

.PHONY: lab-status
lab-status: venv ## Show the lab's clusters, links and processes
	$(LAB) status

.PHONY: images
images: venv ## Build the images; archives for an air-gapped K3s go to dist/images
	$(LAB) images --export dist/images

.PHONY: demo
demo: venv ## Run the main job end to end on real clusters, and show what held
	$(BIN)/python -m tests.e2e.story

.PHONY: bench-batch
bench-batch: venv ## Bytes a row of the batch format, beside other formats and the entropy
	$(BIN)/python -m tests.bench.batch

.PHONY: bench-lake
bench-lake: venv ## Events a second into the hub's tables, by one process and by Dask workers
	$(BIN)/python -m tests.bench.lake

.PHONY: bench-data
bench-data: venv bench-batch bench-lake ## The two above, and the node's log beside SQLite and `cat`: all of data.json
	$(BIN)/python -m tests.bench.data

.PHONY: bench-features
bench-features: venv ## Features: reads beside Feast and SQL, events through a node, memory
	$(BIN)/python -m tests.bench.features

.PHONY: bench-training
bench-training: venv ## Rows a second of one core that `skerry features build` makes of a history
	$(BIN)/python -m tests.bench.training

.PHONY: clean
clean: ## Remove what was built in the checkout (the lab's cache lives outside)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
