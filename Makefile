# What people type. ARGS goes to the command: make run ARGS="--events 20000"
# Paths are relative throughout: Make splits an absolute one at its spaces.

PYTHON ?= python3
EXTRAS ?= local,encoder,gguf,universal,traces,dev
ARGS ?=
# Most tests wait for servers, half of the time: three at once keep two CPUs busy. Each starts servers of its own.
TEST_PROCESSES ?= 3

.PHONY: help run lint format unit test bench bench-recovery bench-scale bench-idle bench-fresh bench-embed bench-identity bench-people chaos venv clean

help:
	@echo "make run    watch a recommender learn from 100,000 real events (ARGS=--help for the options)"
	@echo "make unit   tests that start no server, within a minute (ARGS goes to pytest)"
	@echo "make lint   linters and types"
	@echo "make format puts imports and layout right"
	@echo "make test   make lint, then all tests (ARGS goes to pytest)"
	@echo "make bench  speed, latency and memory (ARGS=--help for the options)"
	@echo "make bench-scale  the same backlog worked off by 1 and by 2 workers (ARGS=--help for the options)"
	@echo "make bench-recovery  from kill -9 to ready, and memory a row (ARGS=--help for the options)"
	@echo "make bench-idle  what a worker at rest and its broker take (ARGS=--help for the options)"
	@echo "make bench-fresh  what people do, until it stands in the lists of others (ARGS=--help for the options)"
	@echo "make bench-embed  texts encoded in a second, beside sentence-transformers (ARGS=--help for the options)"
	@echo "make bench-people  what links of accounts bring, and what wrong ones cost (ARGS=--help for the options)"
	@echo "make bench-identity  accounts of one person that no link names (ARGS=--help for the options)"
	@echo "make chaos  faults at random, and a count at the end of all events (ARGS='--brokers 3' for a cluster)"
	@echo "make bench-quality  accuracy on four sets, beside baselines (ARGS=--help for the options)"
	@echo "make venv   only make the environment, .venv, with PYTHON=$(PYTHON)"
	@echo "make clean  remove the environment and all caches of the tools"

# exec: a signal sent to make reaches the demo and not a shell in between.
run: .venv/installed
	@exec .venv/bin/afresh demo $(ARGS)

lint: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python -m mypy

format: .venv/installed
	.venv/bin/ruff check --fix --select I .
	.venv/bin/ruff format .

# No more processes than small machines have cores: these tests wait for nothing.
unit: .venv/installed
	.venv/bin/python -m pytest --numprocesses 2 -m "not servers and not slow" $(ARGS)

test: lint
	.venv/bin/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations 15 $(ARGS)

bench: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.bench $(ARGS)

bench-scale: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.scale $(ARGS)

bench-recovery: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.recovery $(ARGS)

bench-idle: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.idle $(ARGS)

bench-fresh: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.fresh $(ARGS)

bench-embed: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.embed $(ARGS)

bench-people: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.people $(ARGS)

bench-identity: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.identity $(ARGS)

chaos: .venv/installed
	@exec .venv/bin/python -m tests.chaos $(ARGS)

bench-quality: .venv/installed
	@exec .venv/bin/python -m tests.benchmarks.quality $(ARGS)

venv: .venv/installed

.venv/installed: pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "afresh needs Python 3.11 or newer, and $(PYTHON) is not; name one: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) has no venv module; install it (on Debian: apt-get install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --constraint deploy/constraints.txt --editable ".[$(EXTRAS)]"
	.venv/bin/python -m afresh.models.warm
	@touch .venv/installed

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info .src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
