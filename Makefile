# The two commands: `make run` brings up a site, `make test` runs every test.
.DEFAULT_GOAL := help
.PHONY: help run test test-mongo conformance check fix bench lock clean

BOOTSTRAP = @python=$$(deploy/find-python) && PYTHONPATH= exec "$$python" -m deploy.bootstrap
DEV = @python=$$(deploy/find-python) && PYTHONPATH= "$$python" -m deploy.bootstrap --dev
BIN = .venv/bin

help:  ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

run:  ## set up what is missing and run the site in the foreground
	$(BOOTSTRAP)

.PHONY: dev
dev:
	$(DEV)

# Two at a time: many tests wait more than they compute. ARGS="-n 0" has one process, as for --pdb.
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: dev  ## run every test; what the machine cannot do is skipped with the reason
	@$(BIN)/python -m deploy.system_packages
	@$(PYTEST) $(ARGS)
	@AEN_TEST_DATABASE_URL=postgresql $(PYTEST) $(ARGS)
	@$(if $(ARGS),,AEN_TEST_DATABASE_URL=mongodb $(PYTEST) $(PORTABLE))

# What must be true on MongoDB, too; and what the compatible server can't bear, on a real one alone.
PORTABLE = tests/portable tests/unit/accounts/test_jobs.py tests/unit/projects/test_lost_messages.py
REAL = $(PORTABLE) tests/unit/accounts/test_throttle.py tests/unit/projects
test-mongo: dev  ## the portable tests on your MongoDB, beside the database that MONGO_URI names
	@test -n '$(MONGO_URI)' || { echo "Say which: MONGO_URI='mongodb://host/name?replicaSet=rs0'"; exit 2; }
	@AEN_TEST_DATABASE_URL='$(MONGO_URI)' $(BIN)/python -m pytest $(or $(ARGS),$(REAL))

conformance: dev  ## what a browser and an app hear, on the gateway's ways and on PEERS=chp,nginx
	@$(BIN)/python -m pytest tests/conformance -q -rfEx --peers='$(PEERS)' $(ARGS)

check: dev  ## lint, types, import contracts, migrations, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django makemigrations --check --dry-run
	$(BIN)/python -m pytest -q tests/architecture

fix: dev  ## format, and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: dev  ## the benchmarks, as tables
	@$(BIN)/python -m tests.bench $(ARGS)

# Keeps the versions that are pinned where it can; ARGS=--upgrade takes the newest of all.
# The node's own locks lie beside their .in files, and are made in the same way.
COMPILE = $(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --quiet $(ARGS)
lock: dev  ## make every lock again (ARGS=--upgrade takes newer versions)
	$(COMPILE) pyproject.toml -o requirements/aen.txt
	$(COMPILE) pyproject.toml --extra mongodb -c requirements/aen.txt -o requirements/aen-mongodb.txt
	$(COMPILE) pyproject.toml --extra mongodb --group dev -c requirements/aen.txt -o requirements/dev.txt
	for wanted in compute_agent/locks/*.in; do \
	  $(COMPILE) --no-header --no-annotate --overrides compute_agent/locks/overrides.txt \
	    "$$wanted" -o "$${wanted%.in}.txt" || exit 1; \
	done

clean:  ## remove what was made in the checkout, but no data of a site
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +
