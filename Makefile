# Two commands do all the set-up on a fresh machine: make demo, make test.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   ?= runs

# One thread a process: on a busy machine two are 5–22 times slower.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export HF_HUB_OFFLINE := 1

# Where nothing keeps bytecode, each of the processes that the tests start compiles all it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-chat test test-browser test-slow docs lint style clean

# torch first: what depends on it must find it, not fetch another build.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev -e '.[all]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/hartley assess demo --store $(RUNS)
	$(BIN)/hartley report latest --store $(RUNS)

# A real chat model, fine-tuned here: two minutes more, and a pack of 100 MB.
demo-chat: $(VENV)/.ready
	$(BIN)/hartley pack get smollm2 dialogue
	$(BIN)/hartley assess chat --store $(RUNS)
	$(BIN)/hartley report latest --store $(RUNS)

style: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

lint: style
	$(BIN)/mypy

# Types are checked beside the tests: by itself that is a minute of one core.
test: style
	$(BIN)/hartley pack get --core
	$(BIN)/mypy & types=$$!; \
	$(BIN)/pytest -n 2 --dist loadgroup --durations=30 -m "not slow and not browser"; tests=$$?; \
	wait $$types && exit $$tests

# The docs site: pages are written from the checkout, then built; open build/site/index.html.
docs: $(VENV)/.ready
	$(BIN)/python docs/site_pages.py build/pages --run
	$(BIN)/zensical build --strict --clean

# The pages of hartley serve in a real browser; they are skipped where there is no Chromium.
test-browser: $(VENV)/.ready
	$(BIN)/pytest tests/web/test_browser.py

test-slow: $(VENV)/.ready
	$(BIN)/pytest -m slow

clean:
	rm -rf $(VENV) $(RUNS) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
