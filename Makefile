# Every target works from an empty checkout: the first one builds .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
BENCH_READY := .venv/.bench-ready
SLOW := $(BIN)/python -m pytest --durations=15 -m
NONE_SELECTED := [ $$? -eq 5 ]  # pytest's answer if ARGS leave no test of a kind
LOWEST := .venv-lowest/bin
LOWEST_READY := .venv-lowest/.ready
# What scikit-learn, skorch, pandas and narwhals can change most. Not HTML: scikit-learn 1.8 with NumPy
# 2.0 fails to show a parameter that is a number and "auto" by default, such as batch_size=16.
LOWEST_TESTS ?= $(addprefix tests/,training sklearn_tools inspection plotting data/views estimators/fitting \
	estimators/test_classifier.py estimators/test_regressor.py data/sources/test_delta.py \
	data/sources/test_hdf5.py data/sources/test_iceberg.py data/sources/test_zarr.py data/test_dataset.py \
	data/test_pandas.py test_ecosystem.py test_skorch_callbacks.py)

.PHONY: demo test test-slow test-lowest lint faults bench docs

demo: $(READY)  ## Write a Parquet dataset, fit and search over it, predict.
	$(BIN)/python examples/quickstart.py

test: $(READY)  ## Everything but the slow tests, doctests included.
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: $(READY)  ## The slow tests alone; last, one by one, those that need the whole machine.
	$(SLOW) "slow and not alone and not bench" -n auto --dist worksteal $(ARGS) || $(NONE_SELECTED)
	$(SLOW) "slow and alone and not bench" $(ARGS) || $(NONE_SELECTED)

test-lowest: $(LOWEST_READY)  ## What depends on other packages most, with their lowest supported versions.
	$(LOWEST)/python -m pytest -n auto --dist worksteal -k "not HTML" $(LOWEST_TESTS) $(ARGS)

lint: $(READY)  ## Format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

faults: $(READY)  ## The fault matrix, cell by cell.
	$(BIN)/python -m tests.faults $(ARGS)

bench: $(BENCH_READY)  ## Benchmarks against peers; rewrites docs/benchmark_tables.md.
	$(BIN)/python -m tests.benchmarks --write $(ARGS)

docs: $(READY)  ## HTML pages in docs/_build/html, lessons and examples run; a warning is an error.
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[all,docs,test]"
	touch $@

$(LOWEST_READY): pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/python -m pip install -c constraints-lowest.txt -e ".[all]" \
		hypothesis polars psutil 'pyiceberg[sql-sqlite]' pytest pytest-timeout pytest-xdist
	touch $@

$(BENCH_READY): $(READY)
	$(BIN)/python -m pip install -c constraints.txt -e ".[bench]"
	touch $@
