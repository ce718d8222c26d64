# `make` lists the targets.  Needs make and Python 3.11 or newer, nothing else: the environment
# is made in .venv on first use and again when pyproject.toml or constraints.txt change.

VENV := .venv
BIN := $(VENV)/bin
SAMPLE := sample_media/bunny.mkv

IN ?= $(SAMPLE)
OUT ?= output/$(basename $(notdir $(IN)))-restored.mkv
PRESET ?=
ARGS ?= $(if $(PRESET),,-s 2)

# The first of these that runs and is new enough; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; \
    done)

.DEFAULT_GOAL := help
.PHONY: help run test test-gpu test-cluster lint fmt check bench fuzz gallery clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# One stamp for the program, one for the tools of development; both outlive a source change,
# since the install is editable.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[cpu]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@

# Only what lies in output/ by default is replaced without asking.
run: $(VENV)/.installed  ## restore the sample, or IN=file [OUT=file] [PRESET=name] [ARGS="-s 2"]
	@mkdir -p "$$(dirname "$(OUT)")"
	$(BIN)/vrestore run "$(IN)" -o "$(OUT)" $(if $(PRESET),-Z "$(PRESET)") \
	    $(if $(filter file,$(origin OUT)),-y) $(ARGS)
	@$(BIN)/vrestore compare "$(IN)" "$(OUT)" -o "$(basename $(OUT))-before-after.png" -y

test: $(VENV)/.installed-dev  ## run all tests
	$(BIN)/python -m pytest -q

test-gpu: $(VENV)/.installed-dev  ## run the tests that need a CUDA device, then measure it
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[cuda]'
	$(BIN)/python -m pytest -q -m 'cuda or nvenc'
	TRITON_INTERPRET=1 $(BIN)/python -m pytest -q tests/models/kernels
	PYTHONPATH=. $(BIN)/python docs/tables/gpu.py $(ARGS)

test-cluster: $(VENV)/.installed-dev  ## install Ray and run the tests of workers
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[cluster]'
	$(BIN)/python -m pytest -q tests/jobs/test_workers.py

lint: $(VENV)/.installed-dev  ## check style and types
	$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "run: make fmt" >&2; exit 1; }
	$(BIN)/mypy

fmt: $(VENV)/.installed-dev  ## rewrite in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: lint test  ## lint, then test

bench: $(VENV)/.installed  ## measure every stage at 270p, 1080p and 2160p
	$(BIN)/vrestore bench --frames 12 $(ARGS)

fuzz: $(VENV)/.installed-dev  ## fuzz every parser of ours for SECONDS=60 each [TARGETS="preset cuts"]
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[fuzz]'
	PYTHONPATH=. $(BIN)/python tests/fuzz/fuzz.py --seconds $(or $(SECONDS),60) $(TARGETS)

gallery: $(VENV)/.installed-dev  ## before/after pictures of the sample and of real clips
	$(BIN)/python docs/gallery.py $(ARGS)
	$(BIN)/python docs/crops.py --real

clean:  ## remove the environment and everything that was made
	rm -rf $(VENV) output build dist
