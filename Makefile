# The one front door. `make demo` and `make test` do all set-up themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo demo-kubernetes test test-node lint format docs compatibility bench lock control-plane clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(READY): requirements/dev.txt pyproject.toml src/airflow_package_manager_site.py src/airflow_package_manager_site.pth
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements/dev.txt)"
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet -r requirements/dev.txt
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.node: package.json package-lock.json | $(READY)
	npm ci --silent --no-audit --no-fund --ignore-scripts
	touch $@

demo: $(READY) ## Start a real Airflow with a DAG that lacks a package, on loopback (AIRFLOW=2.11: that one)
	$(BIN)/python -m testenv.demo $(AIRFLOW)

demo-kubernetes: $(READY) ## Start a real Airflow in real pods on this machine (Linux, root), on loopback (AIRFLOW=2.11: that one)
	$(BIN)/python -m testenv.node $(AIRFLOW)

test-node: $(READY) ## The main job on a real Airflow 3 in real pods (Linux, root; skipped elsewhere)
	$(BIN)/python -m testenv.node prepare
	$(BIN)/python -m pytest tests/node -m 'not every_airflow'

test: lint ## Everything: lint, types, import contracts, every test (real pods: test-node; each Airflow: compatibility)
	$(BIN)/python -m pytest -m 'not node and not every_airflow' --numprocesses 3 --dist loadscope --durations 40

lint: $(READY) $(VENV)/.node ## Format, lint, types, import contracts, the page's types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	npx --no-install tsc --project tsconfig.json

control-plane: $(READY) ## Build the real Kubernetes servers that tests start, once per machine
	$(BIN)/python -m testenv.cluster build
	$(BIN)/python -m testenv.cluster build kubectl helm

format: $(READY) ## Format and fix what can be fixed by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## Write the reference pages from the tables of the code
	$(BIN)/python -m testenv.reference_docs

compatibility: $(READY) ## Run what starts an Airflow on each of them, and write docs/compatibility.md from it
	rm -f docs/compatibility.md
	$(BIN)/python -m pytest tests/plugin tests/browser -m 'airflow or not browser' --compatibility docs/compatibility.md
	$(BIN)/python -m testenv.node prepare
	$(BIN)/python -m testenv.node prepare 2.11
	$(BIN)/python -m pytest tests/node --compatibility docs/compatibility.md

bench: $(READY) ## Measure, as ratios against the bare tools
	$(BIN)/python -m benchmarks.run

lock: $(READY) ## Pin the development environment anew
	$(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		requirements/dev.in --output-file requirements/dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		requirements/node.in --output-file requirements/node.txt
	$(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		requirements/node-2.11.in --output-file requirements/node-2.11.txt
	for version in 3.3 3.3-fab 3.3-keycloak 2.11 2.11-celery; do $(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 requirements/airflow-$$version.in --output-file requirements/airflow-$$version.txt; done
	for then in 3.2:2026-05-31 3.1:2026-03-31 3.1-fab:2026-03-31; do $(BIN)/uv pip compile --quiet --upgrade --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 --exclude-newer $${then#*:} --exclude-newer-package uv=false \
		requirements/airflow-$${then%:*}.in --output-file requirements/airflow-$${then%:*}.txt; done

clean: ## Remove what the commands above made here
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .demo
