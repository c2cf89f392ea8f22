# make demo: the whole way on clips made on the spot.  make test: the whole test suite.
# make docs: the site in build/site.  Each sets up .venv itself.
# make release-check: wheel and sdist, each installed in a fresh environment (some GB, a few minutes).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs release-check clean

demo: .venv/installed
	$(BIN)/seqff demo

test: .venv/installed-test
	$(BIN)/python -m pytest

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

release-check: .venv/bin/python
	$(BIN)/python -m pip install --quiet build twine
	rm -rf build/release
	$(BIN)/python -m build --outdir build/release/dist
	$(BIN)/python -m twine check --strict build/release/dist/*
	set -e; for file in $(CURDIR)/build/release/dist/*; do \
	  $(PYTHON) -m venv --clear build/release/env; \
	  build/release/env/bin/python -m pip install --quiet "$$file"; \
	  cd build/release; env/bin/seqff --version; env/bin/seqff doctor; cd ../..; \
	done

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
