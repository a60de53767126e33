# `make run` and `make test` set up everything they need. uv finds or downloads Python 3.13; pip installs uv itself.

UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .tools/bin/uv)
PY := .venv/bin/python
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv/bin:$$PATH" .venv-sam/bin/sam
# sam needs a region to validate; any will do.
SOME_REGION := AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1}
# The processor that the layer's libraries are for, by pip's name: aarch64 or x86_64. It is exported, because SAM passes
# only the environment to a layer's Makefile.
ARCH ?= aarch64
export ARCH
ARCHITECTURE := $(if $(filter x86_64,$(ARCH)),x86_64,arm64)
# uv uses the certificates of the machine, as pip does.
export UV_SYSTEM_CERTS ?= true
# Every process that a test starts would compile its imports anew.
unexport PYTHONDONTWRITEBYTECODE
PORT ?= 8787
DAYS ?= 30
# What reads log records is in C (layers/common/logkeep_scanner).
SCANNER := layers/common/logkeep/logs/_scanner.so
# The tests of stores and functions, which make soak also runs while requests to AWS meet faults.
FAULTY := $(addprefix tests/,apis aws backups downloads events identity logs reading restores web)
# A file stays in one process, so that its service or stack is started once; tests/conftest.py begins with the longest.
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# If make supports it, the output of each parallel target is printed in one piece.
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: help install run ingest cost estimate test quick check lint types unit format build validate bench soak iam-audit \
  deploy openapi lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

install: .venv/.installed .venv-sam/.installed $(SCANNER) ## Set up everything that the other commands need

run: .venv/.installed $(SCANNER) ## Start the service on http://127.0.0.1:8787 (PORT=… for another) with sample data (FAULTS=seed)
	@PORT=$(PORT) FAULTS=$(FAULTS) $(PY) -m local

ingest: .venv/.installed $(SCANNER) ## Send a text file as a log and seal it: make ingest FILE=build.log LOG=build/ID/stage1
	@test -n "$(FILE)" -a -n "$(LOG)" || { echo 'usage: make ingest FILE=build.log LOG=build/ID/stage1'; exit 2; }
	@$(PY) -m local.ingest "$(FILE)" "$(LOG)"

cost: .venv/.installed ## Show what every project costs: make cost DAYS=7 (LOCAL=1 for the service of make run)
	@./logkeep-admin cost --days $(DAYS) $(if $(LOCAL),--local)

estimate: .venv/.installed ## Work out what a month would cost: make estimate ARGS="--gb 10 --append 64K --followers 1"
	@$(PY) -m admin.estimate $(ARGS)

test: install check ## Linters, types and the whole suite, in one process per processor
	$(PY) -m pytest $(PARALLEL) --durations 25

quick: .venv/.installed ## Linters, types and pure tests, in parallel
	@$(MAKE) --no-print-directory --keep-going --jobs 3 $(TOGETHER) types unit lint

check: lint types ## Linters and types

lint: .venv/.installed
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: .venv/.installed
	$(PY) -m mypy

# Only files with the marker are collected, because importing the clients that others use takes seconds. The short forms
# of loops are left to make test.
unit: .venv/.installed $(SCANNER)
	LOGKEEP_FEW_EXAMPLES=1 $(PY) -m pytest -m "unit and not soak" --numprocesses 2 --dist worksteal --durations 10 \
	  $$(grep -rl --include='test_*.py' pytest.mark.unit tests)

format: .venv/.installed ## Reformat the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

build: install ## sam build for arm64 (ARCH=x86_64 for the other processor)
	$(SOME_REGION) $(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)

validate: .venv-sam/.installed ## sam validate --lint
	$(SOME_REGION) $(SAM) validate --lint

bench: .venv/.installed $(SCANNER) ## Run the benchmarks, which compare Logkeep with named alternatives
	$(PY) -m bench

soak: install ## Run the long forms of the tests, then the whole suite on other days (needs faketime)
	LOGKEEP_SOAK=1 $(PY) -m pytest -m "soak or hypothesis" -s
	$(PY) -m pytest --faults $(or $(FAULTS),$(shell date +%s)) -m "not unit and not soak" $(FAULTY) \
	  $(PARALLEL)
	$(PY) -m tests.other_days -- $(PARALLEL)

iam-audit: .venv/.installed $(SCANNER) ## Take away each action of each role in turn; list those that no test misses
	$(PY) -m tests.audit

deploy: build ## Deploy to the AWS account of your environment: make deploy PARAMETERS="AlertEmail=you@example.com"
	@overrides=$$($(PY) -m admin.preflight Architecture=$(ARCHITECTURE) $(PARAMETERS)) && \
	  eval "set -- $$overrides" && $(SAM) deploy --parameter-overrides "$$@"

openapi: .venv/.installed $(SCANNER) ## Write docs/openapi.json and docs/api.html anew
	$(PY) -m openapi

lock: $(UV) ## Update the pinned requirements
	for each in layers/common/requirements layers/common/requirements-build requirements-dev requirements-sam requirements-uv; do \
	  $(UV) pip compile --quiet --upgrade --universal --python-version 3.13 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" $$each.in -o $$each.txt || exit 1; done

clean: ## Remove everything that was installed and built, but not .local, the service's data
	rm -rf $(SCANNER) .venv .venv-sam .tools .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis

.tools/bin/uv: requirements-uv.txt
	PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --require-hashes --upgrade \
	  --target .tools -r requirements-uv.txt
	@touch $@

uv:
	@:

.venv/.installed: requirements-dev.txt layers/common/pyproject.toml .python-version | $(UV)
	$(UV) venv --quiet --clear --seed .venv
	$(UV) pip install --quiet --require-hashes -r requirements-dev.txt
	$(UV) pip install --quiet --no-deps -e layers/common
	@touch $@

$(SCANNER): layers/common/logkeep_scanner/*.py layers/common/logkeep_scanner/scanner.c | .venv/.installed
	cd layers/common && ../../$(PY) -m logkeep_scanner logkeep/logs/_scanner.so

.venv-sam/.installed: requirements-sam.txt .python-version | $(UV)
	$(UV) venv --quiet --clear .venv-sam
	VIRTUAL_ENV=.venv-sam $(UV) pip install --quiet --require-hashes -r requirements-sam.txt
	@touch $@
