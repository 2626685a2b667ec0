# Commands for people; `make` lists them.  Each installs what it needs into .venv first.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCHMARKS := compare startup tokens import_pets streams growth

.DEFAULT_GOAL := help
.PHONY: help run test conformance lint bench schema requirements clean

help: ## List the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

run: $(VENV)/.base ## Start Pawprint on http://127.0.0.1:8000 (HOST, PORT) with demo data
	@exec $(BIN)/python manage.py run

test: $(VENV)/.test ## Run the whole test suite
	$(BIN)/python -m pytest

conformance: $(VENV)/.test ## Prove the OAuth server clause by clause, and write what /docs/conformance/ shows
	WRITE_CONFORMANCE=1 $(BIN)/python -m pytest tests/conformance

lint: $(VENV)/.test ## Check style, the direction of imports, settings, migrations and the schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

bench: $(VENV)/.base $(VENV)-bench/.bench ## Measure: beside stock DRF and FastAPI, and all else in benchmarks/
	@status=0; for script in $(BENCHMARKS); do \
	  printf '\n== benchmarks/%s.py\n\n' $$script; \
	  $(BIN)/python benchmarks/$$script.py || status=1; \
	done; exit $$status

schema: $(VENV)/.test ## Accept the API as it is now: write tests/schema.yml
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file tests/schema.yml

requirements: $(VENV)/.test ## Compile requirements/*.in to pinned, hashed *.txt
	$(BIN)/python -m pip install --quiet uv
	for name in base production test bench; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url requirements/$$name.in -o requirements/$$name.txt $(COMPILE); \
	done

clean: ## Remove the virtual environment; var/ with your data stays
	rm -rf $(VENV) $(VENV)-bench .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pawprint needs Python 3.11 or newer; try make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: requirements/base.txt | $(VENV)/bin/python
	@echo "Installing what Pawprint needs into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The peers of benchmarks/compare.py, out of the way of what Pawprint itself needs.
$(VENV)-bench/.bench: requirements/bench.txt | $(VENV)/bin/python
	@echo "Installing what Pawprint is measured beside into $(VENV)-bench …"
	@$(BIN)/python -m venv $(VENV)-bench
	@$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.test: requirements/test.txt | $(VENV)/bin/python
	@echo "Installing what the tests need into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@ $(VENV)/.base
