# The commands of this project. `make run` and `make test` need Python 3.11+ and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test lint check format accept bench-phases bench-db matrix soak faults \
	compose-test dist sbom release-test lock clean
.DEFAULT_GOAL := run

run: $(VENV)/.runtime
	@$(BIN)/uptimeo up --demo

test: $(VENV)/.dev
	@$(BIN)/python -m pytest -n auto --dist loadgroup

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint test

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Evidence that takes longer than a test run: nginx against curl, pings under load, and 200
# monitors for ten minutes.
accept: $(VENV)/.dev
	$(BIN)/python -m tests.evidence.nginx
	$(BIN)/python -m tests.evidence.ping

# How far off the phases of HTTP checks are, at 300 checks a second (as root).
bench-phases: $(VENV)/.dev
	$(BIN)/python -m tests.evidence.phases

# What a heartbeat costs in PostgreSQL and how fast it takes them; how near and how soon its answers
# are; what partitions and an adoption cost a writer. For some of the measurements, or a small one:
# make bench-db ONLY="answers rollups"
# make bench-db ONLY="answers --monitors 50 --days 2"
bench-db: $(VENV)/.dev
	$(BIN)/python -m tests.evidence.database $(ONLY)

# What checks make of servers nobody here wrote. For some of them: make matrix ONLY="nginx exim"
matrix: $(VENV)/.dev
	$(BIN)/python -m tests.evidence.matrix $(ONLY)

soak: $(VENV)/.dev
	$(BIN)/python -m tests.evidence.soak

# Everything that is broken on purpose, with the figures it must show. For a few runs of each:
# make faults ONLY=F1,F3 SHORT=1
faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short)

# The image and the whole of docker-compose.yml, run with podman (as root). Where no image registry
# is reached: make compose-test ARGS=--stand-ins
compose-test: $(VENV)/.dev
	$(BIN)/python -m tests.evidence.compose $(ARGS)

# Wheel and sdist of the last commit, in dist/; the same bytes whoever makes them.
dist: $(VENV)/.dev
	@$(BIN)/python -m tests.release.build

# What is in it: dist/uptimeo-VERSION.cdx.json, from requirements.lock.
sbom: $(VENV)/.dev
	@$(BIN)/python -m tests.release.bill

# What is in dist/, installed in a new environment and run, on each Python that is found. For
# some of them: make release-test PYTHONS="python3.11 python3.14"
release-test: dist
	@$(BIN)/python -m tests.release.installing $(PYTHONS)

# Rewrites both lock files from pyproject.toml (needs `uv`).
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade --extra dev pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "UptimeO needs Python 3.11 or newer, and $(PYTHON) is %d.%d: try make PYTHON=python3.13" % v[:2])'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml src/uptimeo/__init__.py | $(BIN)/python
	@echo "Installing the locked dependencies ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml src/uptimeo/__init__.py | $(BIN)/python
	@echo "Installing the locked development dependencies ..."
	@# Without dependencies: the file has them all, but for what pyproject.toml overrides.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.runtime
