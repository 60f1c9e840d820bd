# make demo    set up what is missing, then the main job: train, build, run on the emulated STM32, report
# make test    set up what is missing, then every test that this machine can run
# make help    the other targets

VENV    ?= .venv
PYTHON  ?=
EXAMPLES ?= 20000
MUTATIONS ?= 10000
FUZZ_SECONDS ?= 300
SECONDS ?= 3600
BENCH   ?=

BIN   := $(VENV)/bin
STAMP := $(VENV)/.tinyq-installed
# A file's tests stay together, in order: a worker builds what they share once. A board serves one.
WORKERS = -n auto --maxprocesses 4 --dist loadgroup --no-loadscope-reorder
C_FILES = $(shell find firmware templates -name '*.[ch]' 2>/dev/null | sort)

export PYTHON
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: converter help setup packages packages-demo demo test test-boards test-kernels estimates lint format fuzz fuzz-readers faults mutations mutants bench sweep changelog new clean

help:
	@echo 'make demo            train, build and run the demo on the emulated STM32 -> build/demo/report.html'
	@echo 'make test            every test that this machine can run (BENCH=FILE adds the boards named there)'
	@echo 'make test-boards     models on every emulated core and the demo on every board, as tables'
	@echo 'make test-kernels    every generic kernel by every compiler, and on the ATmega2560, whose int has 16 bits'
	@echo 'make estimates       estimates of all kernels against counts on every emulated core'
	@echo 'make converter       every operator as TensorFlow writes it against LiteRT, as a table'
	@echo 'make lint            ruff, mypy, import order, clang-format'
	@echo 'make format          let ruff and clang-format rewrite the sources'
	@echo 'make fuzz            the random tests in rounds to EXAMPLES=$(EXAMPLES) cases each, SECONDS=$(SECONDS) a run, resumable'
	@echo 'make faults          disk errors at 60 operations of every command, kills at 15'
	@echo 'make fuzz-readers    coverage-guided fuzzing of the readers in Python, FUZZ_SECONDS=$(FUZZ_SECONDS) each'
	@echo 'make mutations       MUTATIONS=$(MUTATIONS) changed graphs, data sets, manifests and recipes each'
	@echo 'make mutants         plant known faults one by one; says which of them no test sees'
	@echo 'make bench           every script in benchmarks/'
	@echo 'make sweep           layer shapes: LAYERS=TABLE of networks beside the grid, CORE=armv7em'
	@echo 'make new             stubs and tests of one more: KIND=method|layer|op|kernel|board|port NAME=my_name'
	@echo 'make setup           only set up: programs by apt, virtual environment in $(VENV)'
	@echo 'make changelog       move changelog.d/ into CHANGELOG.md: VERSION=0.2.0'
	@echo 'make clean           remove build output, keep $(VENV)'

setup: packages $(STAMP)

packages:
	@bash .ci/packages.sh all

packages-demo:
	@bash .ci/packages.sh demo

$(STAMP): pyproject.toml constraints.txt .ci/environment.sh | packages-demo
	@bash .ci/environment.sh $(VENV)
	@touch $@

demo: packages-demo $(STAMP)
	$(BIN)/tinyq demo

test: setup
	$(BIN)/python -m pytest $(if $(BENCH),--bench $(BENCH),$(WORKERS))

test-boards: setup
	$(BIN)/python -m tests.fleet
	$(BIN)/python -m tests.footprint

test-kernels: setup
	TINYQ_KERNELS=all $(BIN)/python -m pytest $(WORKERS) tests/bitexact/test_kernels.py
	TINYQ_GENERIC_KERNELS=all $(BIN)/python -m pytest tests/emulator/test_generic_kernels.py

estimates: setup
	TINYQ_ESTIMATES=all $(BIN)/python -m pytest tests/emulator/test_core_estimates.py tests/emulator/test_estimates.py
	$(BIN)/python benchmarks/generic.py --check
	$(BIN)/python benchmarks/generic_cores.py --check

converter: setup
	$(BIN)/python -m tests.bitexact.converter_operators --page benchmarks/results/converter.md

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(C_FILES),clang-format --dry-run -Werror $(C_FILES))

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(if $(C_FILES),clang-format -i $(C_FILES))

fuzz: setup
	$(BIN)/python -m tests.fuzz.rounds --examples $(EXAMPLES) --seconds $(SECONDS)

faults: setup
	TINYQ_FAULTS=60 TINYQ_MUTATIONS=10000 $(BIN)/python -m pytest tests/faults tests/unit/test_manifest.py

fuzz-readers: setup
	$(BIN)/python -m pip install --quiet 'atheris>=3.0'
	@for target in graph data manifest recipe tflite keras; do echo "$$target"; $(BIN)/python -m tests.fuzz.readers $$target -max_total_time=$(FUZZ_SECONDS) || exit 1; done

mutations: setup
	TINYQ_MUTATIONS=$(MUTATIONS) $(BIN)/python -m pytest tests/fuzz/test_mutations.py --seed=random

mutants: setup
	$(BIN)/python -m tests.mutants

bench: setup
	@test -n "$(wildcard benchmarks/*.py)" || { echo 'error: benchmarks/ holds no script' >&2; exit 1; }
	@for script in $(sort $(wildcard benchmarks/*.py)); do echo "$$script"; $(BIN)/python $$script || exit 1; done

sweep: setup
	$(BIN)/python benchmarks/shapes.py --core $(or $(CORE),armv7em) $(if $(LAYERS),--layers $(LAYERS)) --output build/sweep

changelog: setup
	@test -n "$(VERSION)" || { echo 'error: say which version: make changelog VERSION=0.2.0' >&2; exit 1; }
	$(BIN)/towncrier build --yes --version $(VERSION)

new: export KIND := $(KIND)
new: export NAME := $(NAME)
new: $(STAMP)
	@$(BIN)/python -m tests.new "$$KIND" "$$NAME"

clean:
	rm -rf build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find tinyq tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
