# Two commands do everything on a fresh machine with Python 3.11 or later: make demo, make test.
PYTHON ?= python3
# constraints.txt has the lowest versions of Keras and TensorFlow that the package takes. For the newest ones:
# make test VENV=.venv-newest CONSTRAINTS=constraints-newest.txt
CONSTRAINTS ?= constraints.txt
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_RUN ?= runs/demo
BENCH_JSON ?= runs/bench.json

# A file's tests share what is slow to make, and those of some folders (tests/conftest.py): they stay in one process.
PYTEST := $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --durations=30 --durations-min=5

.PHONY: demo test coverage test-slow test-nightly test-package bench docs dist format clean

# Kept fresh by the files that say what is installed.
$(VENV)/installed: Makefile setup.cfg setup.py pyproject.toml $(CONSTRAINTS) export/client/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	# "compat" puts this folder on the path: else a parent folder's "ml_lstm" would hide the package.
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --config-settings editable_mode=compat \
	    --editable ".[dev]" --editable export/client
	touch $@

# PyTorch, which the benchmarks compare with. Its CPU build is enough; where pip would take another:
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test
$(VENV)/bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --config-settings editable_mode=compat \
	    --editable ".[bench]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m ml_lstm.train --flagfile=configs/quickstart.flags --run_dir=$(DEMO_RUN)
	$(BIN)/python -m ml_lstm.evaluate --run_dir=$(DEMO_RUN)
	@echo "Try it in a browser, at the address which this says in the end:"
	@echo "  $(BIN)/python -m ml_lstm.export --run_dir=$(DEMO_RUN) --export_dir=models/demo && \\"
	@echo "  $(BIN)/python -m ml_lstm.serve --model_base_path=models/demo"

test: $(VENV)/bench
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -m "not slow and not nightly"

# Which lines `make test` runs, of all packages.
coverage: $(VENV)/bench
	$(PYTEST) --cov -m "not slow and not nightly"

# Long-winded tests of commands that start, are killed and go on.
test-slow: $(VENV)/bench
	$(PYTEST) -m "slow and not nightly" --ignore=tests/package_test.py

# What is left: whole studies at their small scale, and a killed one.
test-nightly: $(VENV)/bench
	$(PYTEST) -m nightly

# Wheel and sdist, the client's too, built and used in empty environments. Takes packages from the registry.
test-package: $(VENV)/installed
	$(BIN)/python -m pytest tests/package_test.py --install_dependencies

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks.compare --json=$(BENCH_JSON)

docs: $(VENV)/installed
	$(BIN)/python -m mkdocs build --strict --site-dir=runs/site
	@echo "Open runs/site/index.html"

# Wheel and sdist of the package and of the client.
dist: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m build --outdir dist export/client

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs dist build *.egg-info
