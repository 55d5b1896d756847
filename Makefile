# `make` alone lists the targets. Everything runs from .venv, which is made from requirements.lock when missing.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
PREFIX ?= /opt/authagent
.PHONY: help demo test check simulate fuzz mutants bench campaign docs install clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: .venv/ready  ## see it: agents, proxies and a user on this machine, narrated (under a minute)
	@$(BIN)/authagent demo

test: .venv/ready  ## every test; installs the Debian components they need when root
	@echo "All tests: 6 to 10 minutes on two cores. A part of them: $(BIN)/pytest tests/FOLDER"
	@$(BIN)/python tests/components.py
	@$(BIN)/python tests/node_packages.py
	@$(BIN)/python -m tests.programs
	@$(BIN)/pytest --numprocesses=auto --dist=worksteal

check: .venv/ready  ## lint, types and import contracts (half a minute)
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

simulate: .venv/ready  ## RUNS=1800 of 300 simulated seconds, 100 of several sites, 100 with wrong clocks, every seeded bug (ten minutes)
	@$(BIN)/python -m tests.simulation run --runs $(or $(RUNS),1800)
	@$(BIN)/python -m tests.simulation run --runs 100 --first-seed 10000000
	@$(BIN)/python -m tests.simulation run --runs 100 --first-seed 20000000
	@$(BIN)/python -m tests.simulation bugs

fuzz: .venv/ready  ## a million hostile inputs; more: .venv/bin/python -m tests.fuzz --inputs N --seed S
	@$(BIN)/python -m tests.fuzz

mutants: .venv/ready  ## mutation testing of merge, table, election and store (an hour)
	@$(BIN)/python -m tests.mutation

bench: .venv/ready  ## measure the budgets beside Redis, Sentinel and HAProxy (some minutes)
	@$(BIN)/python tests/components.py
	@$(BIN)/python -m tests.benchmark

campaign: .venv/ready  ## real faults under load, as root: MINUTES=15 AGAINST=all SEED=1 JSON=FILE
	@$(BIN)/python tests/components.py
	@$(BIN)/python -m tests.campaign --minutes $(or $(MINUTES),15) --against $(or $(AGAINST),authagent) \
		$(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE)) $(if $(JSON),--json $(JSON))

docs: .venv/ready  ## write the generated pages; test links, code blocks and tables of all documents
	@$(BIN)/python docs/generate.py
	@$(BIN)/pytest -q tests/repository/test_docs.py tests/repository/test_generated_docs.py tests/spec

install:  ## both programs into PREFIX=/opt/authagent, with units, man pages, completions; DESTDIR= for packagers
	@$(PYTHON) packaging/install.py --prefix '$(PREFIX)' --destdir '$(DESTDIR)'

clean:  ## remove what was built, .venv included
	rm -rf .venv .programs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing. Debian, Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
