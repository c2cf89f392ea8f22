# make demo: the whole way on clips made on the spot.  make test: the whole test suite.
# make docs: the site in build/site.  Each sets up .venv itself.
# make release-check: wheel and sdist, each installed in a fresh environment (some GB, a few minutes).
# make lowest: some tests with the lowest versions of pyproject.toml (some GB, a few minutes).
PYTHON ?= python3
EXTRAS ?= test
LOWEST ?= tests/nets/test_encoder.py tests/pairs tests/probes/test_probe_linear.py tests/explore tests/test_display.py
BIN := .venv/bin

.PHONY: demo test check docs release-check lowest clean

demo: .venv/installed
	$(BIN)/seqff demo

test: .venv/installed-test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

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

lowest: build/lowest/installed
	build/lowest/bin/python -m pytest -W default $(LOWEST)

build/lowest/installed: constraints-lowest.txt pyproject.toml # Python 3.10 to 3.12: no wheels for newer ones
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install --quiet -c constraints-lowest.txt -e . pytest
	touch $@

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]'
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
