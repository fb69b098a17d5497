# make demo    set up, then play Kazakhstan, January 2022
# make test    set up, then the tests that take minutes (make test-all: the long ones too)
# make help    the rest
VENV ?= .venv
JOBS ?= $(shell n=$$(nproc); echo $$((n > 2 ? n : 2)))
# Tests in running countries wait for packets half of their time: one more worker has the processors meanwhile.
TEST_JOBS ?= $(shell echo $$(($(JOBS) + 1)))
FILES ?= 100000
FAULTS ?= 200
SEED ?= 1
CELLS ?= 2000
PYTEST_ARGS ?=
export VENV

.DEFAULT_GOAL := help
.PHONY: help setup tools programs demo test test-all test-newest test-lowest fuzz chaos differential lint lock schemas reference pictures bench clean

help: ## this list
	@sed -n 's/^\([a-z-][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

setup: ## install what is missing: Debian packages (sudo where needed) and a virtual environment in .venv
	@scripts/setup

tools: ## the same, and the circumvention tools that `shutdownlab matrix` uses
	@scripts/setup tools

programs: # and the programs that tests read files and pages with
	@scripts/setup tests

demo: setup ## the shutdown of January 2022, end to end
	$(VENV)/bin/shutdownlab run kazakhstan-2022

# Modules are kept as pytest has rewritten them, for the next time, and for every pytest that a test runs: three seconds
# of each.
# No worker that crashes is replaced: pytest-xdist has lost count then, and waited for ever.
test: SELECTED = -m "not thorough"
test: programs ## set up, then test what takes minutes: pure tests, then real packets in each part of the laboratory
test-all: programs ## all tests: every order, breakdown and tool by real packets, too; twice as long
test test-all:
	PYTHONDONTWRITEBYTECODE= $(VENV)/bin/pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart=0 \
		$(SELECTED) tests/unit tests/golden tests/fuzz tests/packaging tests/lab $(PYTEST_ARGS)

test-newest: ## unit and golden tests with the newest versions that pyproject.toml allows, in .venv-newest
test-lowest: ## the same with the lowest, in .venv-lowest
test-lowest: export LINT_IMPORTS = $(abspath $(VENV)/bin/lint-imports)
test-newest test-lowest: test-%: setup
	@python=$$(scripts/environment $*) && MYPYC_OPT_LEVEL=1 "$$python" scripts/compile 2>>$(VENV)-$*.log && \
		"$${python%/*}/pytest" -n $(JOBS) tests/unit tests/golden $(PYTEST_ARGS)

fuzz: setup ## bend FILES (100000) scenarios and topologies, and have them checked
	$(VENV)/bin/python tests/fuzz/fuzz_check.py --files $(FILES) --workers $(JOBS)

chaos: setup ## put FAULTS (200) faults into running scenarios, one each, and count the rows that would mislead; OUT=DIR: goes on there
	$(VENV)/bin/python -m tests.chaos --faults $(FAULTS) --seed $(SEED) $(if $(OUT),--out $(OUT))

differential: setup ## run made-up shutdowns from SEED (1) on until CELLS (2000) cells are compared with what verify says
	$(VENV)/bin/python tests/lab/differential.py --all-kinds --seed $(SEED) --cells $(CELLS)

lint: setup ## ruff, mypy, and the direction of imports
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache --no-logo

schemas: setup ## write the JSON Schemas of all files anew, after a change of the models
	$(VENV)/bin/python -m shutdownlab.schemas.generate

reference: schemas ## write docs/reference anew, after a change of the models
	$(VENV)/bin/python -m shutdownlab.schemas.reference
	$(VENV)/bin/python -m shutdownlab.schemas.library_page
	$(VENV)/bin/python -m shutdownlab.reporting.signals_page

pictures: setup ## make the pictures of the README again; needs Chromium
	$(VENV)/bin/python scripts/pictures

lock: ## lock what is installed: requirements/*.txt, after a change of pyproject.toml; UPGRADE=1 takes the newest
	@scripts/lock

bench: setup ## the figures of the README's performance table
	$(VENV)/bin/python -m benchmarks

clean: ## remove what set-up, tests and builds made here; runs/ stays
	rm -rf $(VENV) $(VENV)-* $(VENV).log build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
