# Every target sets itself up; `make help` lists them.
# STATE_DIR=… gives run and demo another place than the default.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PLACE := $(if $(STATE_DIR),--state-dir $(STATE_DIR))
QEMU := qemu-system-x86_64=qemu-system-x86 qemu-img=qemu-utils
SSHD := sshd=openssh-server sudo=sudo
TMUX := tmux=tmux
# Several workers pay off only where there are cores for them.
WORKERS ?= 2
SHORT := not faults and not fuzzing

.PHONY: help setup run demo test check faults fuzz bench security build openapi proto lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## .venv with the three programs and the development tools
	@hack/setup.sh

run: setup ## the control plane in the background, and the dashboard
	@$(BIN)/qarax up $(PLACE)
	@$(BIN)/qarax $(PLACE)

demo: setup ## the README's API walkthrough, with real requests and a real guest
	@$(BIN)/python hack/demo.py $(PLACE)

test: ## the tests, with real guests in them
	@hack/setup.sh $(QEMU) $(SSHD) $(TMUX)
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "$(SHORT)" || { \
	    echo 'make test: what failed beside others runs once more, alone; a test that needs this wants mending'; \
	    $(BIN)/pytest -m "$(SHORT)" --last-failed --last-failed-no-failures none; }

check: setup ## ruff, mypy, import directions, sql, proto, openapi.yaml, no addresses
	@hack/check.sh

faults: ## the fault scenarios in their long form, and a table of them; the longest first, two at a time
	@hack/setup.sh $(QEMU)
	@$(BIN)/pytest -n $(WORKERS) --dist load --maxschedchunk 1 -m faults --timeout=1800

fuzz: setup ## the REST API under schemathesis, 20,000 cases and more
	@$(BIN)/pytest -n 0 -m fuzzing

bench: ## the performance table and how cost grows, into docs/performance.md; QUICK=1: printed, small sizes
	@hack/setup.sh $(QEMU) curl=curl less=less
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick,--document)

security: ## the tests that attack, and how much they tried
	@hack/setup.sh $(QEMU)
	@$(BIN)/pytest -m security

build: setup openapi ## wheel and source package into dist/, openapi.yaml
	@$(BIN)/python -m build --no-isolation --outdir dist .

openapi: setup ## openapi.yaml
	@$(BIN)/python -m qarax_server.api.openapi >openapi.yaml.new && mv openapi.yaml.new openapi.yaml

proto: setup ## the protobuf stubs, and the list of what the wire promises
	@$(BIN)/python hack/build_hook.py
	@$(BIN)/python hack/check_proto.py --write

lock: setup ## requirements.lock from pyproject.toml, hashes and no addresses
	@$(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --extra development --strip-extras --output-file requirements.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links \
	    --strip-extras --no-annotate --output-file deployments/node-requirements.lock deployments/node-requirements.in

clean: ## what was built here; state directories stay
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@rm -f proto/qarax_proto/*_pb2*.py* proto/qarax_proto/__init__.py proto/qarax_proto/py.typed
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
