# Everything on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
LOCK_COMMAND := uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: setup demo test lint bench site lock viewer

VIEWER := src/terrazzo/serve/static/index.html
VIEWER_SOURCES := $(wildcard viewer/*.json viewer/*.mjs viewer/src/*)

setup: .venv/.ready .venv/.viewer

# The map viewer, where it can be built: nothing else needs Node.js.
.venv/.viewer: $(VIEWER_SOURCES) | .venv/.ready
	@if ! command -v npm > /dev/null; then echo "The map viewer is not built: npm is missing."; \
	else npm_config_fetch_retries=1 npm_config_fetch_timeout=20000 $(MAKE) --no-print-directory viewer \
	|| echo "The map viewer is not built; all else works without it."; fi
	@touch $@

viewer: $(VIEWER)

$(VIEWER): $(VIEWER_SOURCES)
	cd viewer && npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

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
