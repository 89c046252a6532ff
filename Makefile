# Needs only Python >= 3.11 and make: uv and everything else come from the package registries, hash-checked.
.DEFAULT_GOAL := help
SHELL := /bin/sh
UV := $(or $(shell command -v uv),.tools/bin/uv)
# Without this a host that has no Python 3.11 would fetch one instead of hearing our sentence.
export UV_PYTHON_DOWNLOADS = never
# A company's proxy signs with a root that the system knows and uv's own list does not.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem),)
export UV_SYSTEM_CERTS = true
endif
PY := .venv/bin/python
LOCK := $(UV) --quiet pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --no-header --no-annotate
PURE := --ignore=tests/kafka --ignore=tests/chaos --ignore=tests/scenarios -m "not kafka and not slow"
FOR ?=
CHECK ?=
SCENARIO ?= stadium
ARGS ?=

.PHONY: help demo test chaos check lock kafka-lock contracts format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.ready ## the closed loop on a real Kafka; FOR=120 CHECK=1 ends by itself and judges
	@exec .venv/bin/edgeweir dev up --scenario $(SCENARIO) $(if $(FOR),--for $(FOR)s) $(if $(CHECK),--check) $(ARGS)

test: .venv/.ready ## everything, on a real Kafka
	$(PY) -m pytest --durations=20 $(ARGS)

chaos: .venv/.ready ## seed after seed of faults on a real Kafka, judged by an oracle; FOR=10m, ARGS="--seed 7"
	$(PY) -m tests.chaos.run $(if $(FOR),--for $(FOR)) $(ARGS)

check: .venv/.ready ## format, lint, import contracts, types, pure tests; no broker
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports --no-cache
	.venv/bin/mypy
	.venv/bin/pyright
	$(PY) -m pytest -q $(PURE)

format: .venv/.ready ## rewrite the code as ruff wants it
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lock: | $(UV) ## renew both requirement locks; neither holds an address
	$(LOCK) --upgrade --all-extras --group dev --output-file requirements-dev.lock
	$(LOCK) --upgrade --extra kafka --extra drivers --constraint requirements-dev.lock --output-file requirements.lock

kafka-lock: .venv/.ready ## renew the list of Kafka's jars with their SHA-256
	$(PY) tools/kafka_lock.py

contracts: .venv/.ready ## renew the generated contract and references; refuses what would break its users
	PYTHONPATH=. $(PY) tools/contracts.py
	PYTHONPATH=. $(PY) tools/dialects.py

clean: ## remove what make made here (caches of jars are kept)
	rm -rf .venv .tools dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/.ready: requirements-dev.lock pyproject.toml | $(UV)
	$(UV) --quiet venv --allow-existing --python '>=3.11' .venv
	$(UV) --quiet pip sync --compile-bytecode --require-hashes requirements-dev.lock
	$(UV) --quiet pip install --no-deps --no-build-isolation -e .
	@touch $@

.tools/bin/uv:
	@sh tools/get-uv.sh
