# make demo | make notebook | make test | make site | make package | make install. Everything goes into .venv in this folder and nowhere else.
# make release: dist/ as it is attached to a release; make test-matrix: the tests on every Python and torch, in .matrix.
# Another interpreter: make PYTHON=python3.12 install

PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.10; do \
	"$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && \
	echo "$$python" && break; done)
PIP := .venv/bin/python -m pip --disable-pip-version-check
DEMO_FLAGS ?=

.PHONY: install demo notebook test test-matrix site package basicsr-wheel release

install: .venv/installed

.venv/installed: setup.cfg pyproject.toml constraints.txt Makefile
	@test -n "$(PYTHON)" || { echo 'No Python 3.10, 3.11 or 3.12 found. basicsr 1.4.2 cannot be built on 3.13 or newer'; \
	echo '(its setup.py breaks there): install one, e.g. "pyenv install 3.12", then make PYTHON=path/to/python3.12 install'; \
	exit 2; }
	$(PYTHON) -m venv .venv
	# torch first: basicsr's sdist needs it to build, and in an isolated build pip would download a second one.
	$(PIP) install -c constraints.txt torch torchvision setuptools wheel cython numpy
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev]'
	touch $@

demo: install
	.venv/bin/basicsr demo $(DEMO_FLAGS)

notebook: install
	.ci/notebook

test: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

site: install
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

package: install
	.ci/package

basicsr-wheel: install
	.ci/basicsr-wheel

release: package
	.ci/basicsr-wheel

test-matrix:
	.ci/matrix
