# Every target works from an empty checkout: the first one builds .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
BENCH_READY := .venv/.bench-ready

.PHONY: demo test test-slow lint faults bench docs

demo: $(READY)  ## Write a Parquet dataset, fit and search over it, predict.
	$(BIN)/python examples/quickstart.py

test: $(READY)  ## Everything but the slow tests, doctests included.
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: $(READY)  ## The slow tests alone.
	$(BIN)/python -m pytest -m "slow and not bench" $(ARGS)

lint: $(READY)  ## Format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

faults: $(READY)  ## The fault matrix, cell by cell.
	$(BIN)/python -m tests.faults $(ARGS)

bench: $(BENCH_READY)  ## Benchmarks against peers; rewrites docs/benchmark_tables.md.
	$(BIN)/python -m tests.benchmarks --write $(ARGS)

docs: $(READY)  ## HTML pages in docs/_build/html; a warning is an error.
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[all,docs,test]"
	touch $@

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install -c constraints.txt -e ".[bench]"
	touch $@
