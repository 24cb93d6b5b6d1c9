# `make` alone prints this help. PYTHON=/path/to/python chooses the interpreter (3.10 to 3.12).

PY := .venv/bin/python
UV := .venv/bin/uv
LOCK_NOTE := make lock (install with: pip install --require-hashes --no-deps -r THIS_FILE)
COMPILE := UV_CUSTOM_COMPILE_COMMAND="$(LOCK_NOTE)" $(UV) pip compile --quiet --universal \
	--python-version 3.10 --generate-hashes --no-emit-package ernie-triton-assets --no-emit-package perf-analyzer \
	--no-emit-package pip $(UPGRADE)

# Tests start many processes: without compiled files each compiles the whole project, and pytest every test, again.
unexport PYTHONDONTWRITEBYTECODE

WORKERS := $(shell expr $$(nproc) + 2) # two more than cores: tests wait for servers
BY_FILE := --dist loadfile --no-loadscope-reorder # a file's fixtures are made once; tests/conftest.py has the order
LESS := and not slow
SHARED := ERNIE_TEST_SHARED=$(CURDIR)/.cache/tests # what takes long to make is made once for both runs

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all coverage collect lint docs wheels clean lock

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything into .venv (again only when the lock file or pyproject.toml changes)
	@bash builders/setup_env.sh

demo: setup ## build the tasks that ship, serve them, ask them real texts; PORTS="--http-port 9000 ..."
	@$(PY) -m ernie_triton demo $(PORTS)

test: setup ## lint, then the tests (the end-to-end ones start the real server); what measures time runs last, alone
	@rm -rf .cache/tests
	@mkdir -p .cache/tests
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint collect
	@$(SHARED) $(PY) -m pytest -q -n $(WORKERS) $(BY_FILE) -m "not timing $(LESS)" --durations=15 $(FIRST)
	@$(SHARED) $(PY) -m pytest -q -m "timing $(LESS)" --durations=5 $(THEN) $$(grep -rlw mark.timing tests --include='*.py')

test-all: ## as test, with the slow ones: before a release
	@$(MAKE) --no-print-directory test LESS=

coverage: ## as test, with the share of lines and branches that tests reach; it must not fall below the floor
	@rm -rf .cache/coverage
	@mkdir -p .cache/coverage
	@$(MAKE) --no-print-directory test LESS= FIRST="--cov --cov-report= --cov-fail-under=0" \
		THEN="--cov --cov-append --cov-report=term:skip-covered"

collect: setup # compiles every test once: each process of `make test` would else do so, at the same time
	@$(PY) -m pytest --collect-only -qq >.cache/collect.log 2>&1 || { cat .cache/collect.log; exit 1; }

lint: setup ## ruff, mypy, and the order of the rooms (import-linter)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --no-logo --cache-dir .cache/import-linter

docs: setup ## dist/site: the pages as a site, links and anchors checked; `.venv/bin/mkdocs serve` shows it while you write
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet

wheels: setup ## dist/: the project and the weights as wheels, to be installed elsewhere
	@ERNIE_TRITON_RELEASE=1 $(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--wheel-dir dist . builders/assets_wheel
	@ls -l dist

clean: ## remove .venv, caches and build leftovers; model_repository/ stays
	rm -rf .venv .cache build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.git -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -type d -prune -exec rm -rf {} +

lock: setup ## pin again after a change in pyproject.toml (UPGRADE=--upgrade: with the newest versions)
	$(COMPILE) --group setup -o requirements-setup.lock
	$(COMPILE) pyproject.toml --extra build --extra client-http --extra serve --extra perf --extra gateway --extra monitor --extra test --extra docs -c requirements-setup.lock -o requirements.lock
	$(COMPILE) pyproject.toml --extra client --extra serve --extra gateway --extra monitor -c requirements.lock -o requirements-serve.lock
