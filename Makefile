# A machine with Python >= 3.11 and make is enough; everything else comes from PyPI into .venv.

VENV := .venv
RUN := $(VENV)/bin
COMPILE := $(RUN)/python proxy/compiling/compile.py
PURE := tests/connection tests/session tests/wire tests/audit tests/copying tests/keystore
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1

.PHONY: help demo test test-long test-languages test-pure compile pure tools check format bench clean

help:
	@echo "make demo        a tour: embedded PostgreSQL, the proxy, a shop with three roles (ARGS=--keep stays up)"
	@echo "make test        the whole test suite against the embedded PostgreSQL"
	@echo "make test-long   minutes of random input as well"
	@echo "make test-languages  clients in JavaScript, Go and Java, where their toolchains are (others are skipped)"
	@echo "make test-pure   the core's tests in plain Python, as where there is no C compiler"
	@echo "make compile     compiles the hot modules in place; test, demo and bench do so too (SEALGATE_COMPILE=0: not)"
	@echo "make pure        back to plain Python"
	@echo "make tools       a PostgreSQL with TLS and rsyslog for the tests (into .tools/); without them they are skipped"
	@echo "make check       ruff, formatting, mypy --strict"
	@echo "make format      lets ruff mend what it can"
	@echo "make bench       measures beside pgbouncer and others, in 26 minutes (ARGS=--quick: 4); see bench/README.md"

demo: $(VENV)/.demo
	@$(COMPILE)
	@$(RUN)/python -m proxy demo $(ARGS)

test: compile
	$(RUN)/python -m pytest -q -m "not long and not languages" --numprocesses auto --dist loadfile $(ARGS)

test-long: compile
	$(RUN)/python -m pytest -q -m "not languages" $(ARGS)

test-languages: compile
	$(RUN)/python -m pytest -q tests/languages $(ARGS)

# Where there is no compiler, plain Python does the same: the tests of what every statement passes through.
test-pure: $(VENV)/.test pure
	SEALGATE_COMPILE=0 $(RUN)/python -m pytest -q -m "not long" --numprocesses auto --dist loadfile $(PURE) $(ARGS)

compile: $(VENV)/.test
	@$(COMPILE)

pure: | $(RUN)/python
	@$(COMPILE) --remove

tools: $(VENV)/.test
	@$(RUN)/python -m tests.integration.tls.server
	@$(RUN)/python -m tests.auditor.rsyslog

check: $(VENV)/.test
	$(RUN)/python -m ruff check .
	$(RUN)/python -m ruff format --check .
	$(RUN)/python -m mypy --strict

format: $(VENV)/.test
	$(RUN)/python -m ruff check --fix .
	$(RUN)/python -m ruff format .

bench: compile
	$(RUN)/python -m bench $(ARGS)

clean:
	find proxy policy keystore -name '*.so' -delete
	rm -rf sealgate__mypyc*.so proxy/_compiled.json build $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamps: an environment is installed again only when pyproject.toml changed. `test` includes `demo`.
$(VENV)/.demo: pyproject.toml | $(RUN)/python
	@echo "Installing Sealgate and its embedded PostgreSQL into $(VENV) (a minute the first time) ..."
	@SEALGATE_COMPILE=0 $(RUN)/python -m pip install --quiet --progress-bar off --editable '.[demo,compile]'
	@touch $@

$(VENV)/.test: pyproject.toml | $(RUN)/python
	@echo "Installing Sealgate with its test tools into $(VENV) (a minute the first time) ..."
	@SEALGATE_COMPILE=0 $(RUN)/python -m pip install --quiet --progress-bar off --editable '.[test]'
	@touch $(VENV)/.demo $@

# The first Python >= 3.11 that can make a virtual environment. PYTHON=/path/to/python names one.
$(RUN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  echo "Creating $(VENV) with $$($$python --version)"; \
	  rm -rf $(VENV) && $$python -m venv $(VENV) && exit 0; \
	  echo "$$python -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	done; \
	echo "No Python >= 3.11 with venv was found (tried python3, python3.11 to python3.14)." >&2; \
	echo "Install one (on Debian and Ubuntu: apt install python3 python3-venv), or: make PYTHON=/path/to/python" >&2; \
	exit 1
