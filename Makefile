# Everything on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
LOCK_COMMAND := uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: setup demo test lint bench site lock

setup: .venv/.ready

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.6"

.venv/.ready: requirements.lock pyproject.toml | .venv/bin/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

demo: setup
	$(BIN)/terrazzo demo

test: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python benchmarks/run_all.py

# Opens from disk (site/index.html); searching needs a server: python -m http.server -d site
site: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: | .venv/bin/uv
	$(BIN)/$(LOCK_COMMAND) --quiet --output-file requirements.lock
