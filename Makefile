# Every target builds .venv first if it is missing. PYTHON names the interpreter to build it with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two processes share the tests, but for those on a host, which share its server.
WORKERS ?= $(if $(COMFYUI_PATH),,--numprocesses 2 --dist worksteal)

.PHONY: demo test lint check host bench bench-quality mutate clean

demo: $(STAMP)
	$(BIN)/metastyle demo

test: $(STAMP)
	$(BIN)/python -m pytest tests $(WORKERS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# Everything CI runs.
check: test lint

# The pack on any ComfyUI: make host COMFYUI_PATH=DIR COMFYUI_PYTHON=FILE REFS="v0.14.0 HEAD"
# OPTIONS=--fetch asks its remotes first, as a nightly run does.
host: $(STAMP)
	$(BIN)/python tools/try_host.py "$(COMFYUI_PATH)" $(REFS) $(OPTIONS)

bench: $(STAMP)
	$(BIN)/metastyle bench

# Quality of every family of methods: make bench-quality STYLES=DIR CONTENTS=DIR VGG=FILE
bench-quality: $(STAMP)
	$(BIN)/python -m benchmarks.quality --styles "$(STYLES)" --contents "$(CONTENTS)" \
		--encoder-weights "$(VGG)" -o output/bench-quality $(OPTIONS)

# Which small changes of a module no test notices: make mutate MODULE=metastyle_core/losses.py
mutate: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "mutmut>=3.8"
	$(BIN)/python tools/mutate.py $(MODULE) $(TESTS)

# The build tools come first: the project itself is installed without build isolation.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "setuptools>=68" wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		-c constraints.txt -e ".[dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) output
