# The project's commands; `make help` lists them. A fresh machine needs git, make and Python 3.11.4 or newer: the rest is installed
# into .venv, pinned by version and hash, and compiled: where Python may write no bytecode, each stage would do it anew.
.DELETE_ON_ERROR:
.PHONY: images push smoke help setup demo test chaos check format bench requirements tools cluster cluster-down cluster-test bench-cluster render clean

PYTHON ?= python3
BIN := .venv/bin
EXTRAS := data train infer measure publish demo k8s
UV := $(BIN)/uv

help: ## List the commands.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

setup: .venv/ready ## Install everything that the other commands need into .venv.

.venv/ready: pyproject.toml requirements/dev.txt requirements/setup.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11, 4) or sys.exit("This needs Python 3.11.4 or newer, and $(PYTHON) is " \
		+ sys.version.split()[0] + ". Install a newer one beside it, and name it: make setup PYTHON=python3.13")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --require-hashes --no-build-isolation --compile-bytecode -r requirements/dev.txt
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q espnet3 egs3 stages k8s
	touch $@

demo: setup ## Run the digits recipe from audio to a word error rate.
	$(BIN)/python egs3/digits/asr/run.py

test: setup ## Run all tests, on all cores.
	$(BIN)/python -m pytest --numprocesses auto --dist loadgroup

CHAOS_SEED ?= 2026
CHAOS_POINTS ?= 20
chaos: setup ## Kill and freeze every digits stage, at 20 random moments (CHAOS_SEED) and before 20 changes of a file (CHAOS_POINTS; 0: all).
	CHAOS_SEED=$(CHAOS_SEED) CHAOS_MOMENTS=20 CHAOS_POINTS=$(CHAOS_POINTS) $(BIN)/python -m pytest tests/chaos

check: setup ## Check format, lint, types and import rules.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the code and mend what the linter can.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: setup ## Measure speed, padding and memory; prints a table and JSON. BENCH=plan measures that alone.
	$(BIN)/python -m bench $(BENCH)

# setup.in names what builds the one dependency without a wheel (antlr4) and our own, so that no unpinned builder is downloaded.
# dev is the union of the others; it is pinned first, and the others agree with it.
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11.4 --generate-hashes --no-emit-index-url --no-header
requirements: setup ## Pin the dependencies of every extra anew.
	$(COMPILE) --extra dev pyproject.toml --output-file requirements/dev.txt
	$(COMPILE) --constraint requirements/dev.txt requirements/setup.in --output-file requirements/setup.txt
	for extra in $(EXTRAS); do \
		$(COMPILE) --constraint requirements/dev.txt --extra $$extra pyproject.toml --output-file requirements/$$extra.txt || exit 1; \
	done
	$(UV) pip compile --quiet --universal --python-version 3.11.4 --no-emit-index-url --no-header --no-annotate \
		--constraint requirements/demo.txt --extra demo pyproject.toml --output-file espnet3/demo/requirements.txt

tools: setup ## Build Helm and kubeconform, which the chart's tests use, into the cache.
	nice -n 10 $(BIN)/python -m tests.charts.programs

cluster: setup ## Bring up the tests' own one-node Kubernetes, as root; the first time builds it.
	$(BIN)/python -m tests.cluster.onenode up

cluster-down: setup ## Take that cluster and everything it made down again.
	$(BIN)/python -m tests.cluster.onenode down

cluster-test: setup ## Run the cluster tests there, or in the cluster that CLUSTER_TEST_CONTEXT names.
	CLUSTER_TEST=1 $(BIN)/python -m pytest tests/cluster

# ENGINE=docker|podman|buildah, BASE=<image>, DEVICE=cuda and TORCH_INDEX=<address> choose; images/README.md says what.
DEVICE ?= cpu
images: setup ## Build the stages' container images.
	$(BIN)/python -m images build --device $(DEVICE) --torch-index "$(TORCH_INDEX)"

push: setup ## Push the images to REGISTRY and write their digests.
	$(BIN)/python -m images push --device $(DEVICE) --registry "$(REGISTRY)"

smoke: setup ## Run the digits recipe with every stage in its own container.
	$(BIN)/python -m images smoke --device $(DEVICE)

bench-cluster: setup ## Measure what a workflow costs besides its stages; needs make cluster and Argo on PATH.
	CLUSTER_TEST=1 $(BIN)/python -m pytest -s tests/cluster/bench_overhead.py

render: setup ## Render the workflows of the digits and AN4 recipes for every profile anew.
	mkdir -p build k8s/rendered
	for recipe in digits an4; do for profile in $(notdir $(basename $(wildcard k8s/profiles/*.yaml))); do \
		env -u ESPNET3_AN4_ARCHIVE $(BIN)/python -m k8s render egs3/$$recipe/asr --profile $$profile > build/rendered.yaml || exit 1; \
		mv build/rendered.yaml k8s/rendered/$$recipe-$$profile.yaml; \
	done; done

clean: ## Remove what the commands made, but not the results of recipes.
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
