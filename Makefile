# `make help` lists the targets. `demo`, `test`, `lint` and `wheel-test` build .venv themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Touched only after everything is installed, so an interrupted set-up is taken up again.
STAMP := $(VENV)/.setup-complete

# CPU or CUDA build of torch. Of two builds of one release, pip prefers the one with a local
# version label, so `torch==2.13.*` takes 2.13.0+cpu wherever pip's own configuration or
# TORCH_INDEX offers it.
#   make setup TORCH_INDEX=ADDRESS  CPU build from an extra package index: the address that
#                                   PyTorch's "Get Started" page shows for pip, Linux and CPU
#   make setup CUDA=1               the build with CUDA
#   make setup TORCH='torch==2.12.*'  another release
# Change the choice later with `make clean-venv` before it.
CUDA ?= 0
TORCH_INDEX ?=
ifeq ($(CUDA),1)
TORCH ?= torch==2.13.*,!=2.13.0+cpu
TORCH_SOURCE :=
else
TORCH ?= torch==2.13.*
TORCH_SOURCE := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX) --retries 1)
endif

# Threads that spin while they wait slow a small network down many times over as soon as
# anything else wants the cores; threads that sleep lose little where nothing does.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format wheel-test clean clean-venv

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## build .venv: the package (editable), its dependencies, the development tools

$(STAMP): pyproject.toml constraints.txt
	@rm -f $@
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "vase_rl needs Python 3.10 or newer, but '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>&1 || true). Name another: make setup PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install $(TORCH_SOURCE) -c constraints.txt '$(TORCH)' -e '.[dev]'
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
	  echo "OpenCV cannot load the system's display libraries: taking its build without windows."; \
	  $(BIN)/python -m pip install -c constraints.txt --force-reinstall --no-deps \
	    opencv-python-headless; }
	@$(BIN)/python -c 'import cv2, torch; print("torch", torch.__version__, "- OpenCV", cv2.__version__)'
	@touch $@

demo: $(STAMP) ## run the demonstration; then open runs/demo/report.html
	$(BIN)/vase-rl demo --out runs/demo

# Files of tests in as many processes as there are cores, so torch takes one thread in each.
test: $(STAMP) ## run the tests (options: PYTEST_ARGS="-k masks -x -n 0"; -n 0: in one process)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

lint: $(STAMP) ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy -p vase_rl

format: $(STAMP) ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

wheel-test: $(STAMP) ## build the wheel, install it in a clean environment, use it there
	TORCH='$(TORCH)' TORCH_SOURCE='$(TORCH_SOURCE)' bash .ci/wheel_test.sh $(BIN)/python

clean: ## remove what builds and tools have written; keep .venv and runs/
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .coverage htmlcov
	find . -path ./$(VENV) -prune -o \( -name '*.egg-info' -o -name __pycache__ \) -exec rm -rf {} +

clean-venv: ## remove .venv
	rm -rf $(VENV)
