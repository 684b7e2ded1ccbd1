# Needs make and Python 3.11 or later; everything else is installed into $(VENV).

PYTHON ?= python3
VENV ?= .venv
# Further requirements, such as 'django==5.2.*', to test other sets of versions.
REQUIREMENTS ?=
# Passed on to pytest or to the benchmark.
ARGS ?=
# How long the demo runs; empty: until Ctrl-C.
SECONDS ?=

# How long the faults go on, and where their choice starts; empty: 15, and a random one.
MINUTES ?= 15
SEED ?=

# Not empty: count which lines and branches run, in the processes that tests start too.
COVERAGE ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
PYTEST := $(if $(COVERAGE),RQCRON_FEWER_EXAMPLES=10 $(BIN)/coverage run -m pytest,$(BIN)/pytest)

.PHONY: help demo test test-postgresql test-sqlite test-browser screenshots test-schedules test-failpoints chaos chaos-receivers poison coverage \
	coverage-report lint check-migrations bench bench-questions bench-pages clean

help:
	@echo 'make demo [SECONDS=30]   the example project, with all that it needs'
	@echo 'make test [ARGS=...]     all tests, on PostgreSQL and on SQLite'
	@echo 'make test-browser [ARGS=...]   the pages in a real Chromium (Debian: apt-get install chromium)'
	@echo 'make screenshots         pictures of the pages, into docs/images'
	@echo 'make coverage            all tests, and which lines and branches none of them ran'
	@echo 'make test-schedules      20,000 schedules, and 60,000 texts of fields, against the oracles'
	@echo 'make test-failpoints     kill a process at every step (about ten minutes)'
	@echo 'make chaos [MINUTES=15] [SEED=...]   random faults; prints a seed that repeats them'
	@echo 'make chaos-receivers [MINUTES=3] [SEED=...]   receivers of alerts and traces fail, too'
	@echo 'make poison              what is wrong with one cron reaches no other (five minutes)'
	@echo 'make lint                style, types, direction of imports, migrations'
	@echo 'make bench [ARGS=...]    how fast slots become jobs'
	@echo 'make bench-questions [ARGS=--quick]   how quick answers are in a log of 1 and 10 million'
	@echo 'make bench-pages [ARGS=--quick]   how quick pages are with 5,000 crons and 10 million events'
	@echo 'make clean               remove everything that was built'

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "PYTHON=$(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there);" \
			"Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -e '.[dev]' $(foreach item,$(REQUIREMENTS),'$(item)')
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/python example/demo.py $(if $(SECONDS),--seconds $(SECONDS))

test: test-postgresql test-sqlite

test-postgresql: $(INSTALLED)
	$(PYTEST) --ledger-db=postgresql $(ARGS)

# The unit tests have no database: once is enough. 5: ARGS chose unit tests only.
test-sqlite: $(INSTALLED)
	$(PYTEST) --ledger-db=sqlite --ignore=tests/unit $(ARGS) || test $$? -eq 5

# Without Chromium each of them is skipped, and the end of the run says so.
test-browser: $(INSTALLED)
	$(BIN)/pytest --ledger-db=sqlite tests/browser $(ARGS)

screenshots: $(INSTALLED)
	$(BIN)/python -m tests.browser.screenshots docs/images

coverage: $(INSTALLED)
	rm -rf .coverage
	$(MAKE) test COVERAGE=1
	$(MAKE) coverage-report

# Of everything that ran with COVERAGE=1 since .coverage was removed.
coverage-report: $(INSTALLED)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-schedules: $(INSTALLED)
	RQCRON_SCHEDULE_CASES=20000 RQCRON_FIELD_TEXTS=60000 $(BIN)/pytest --ledger-db=sqlite tests/unit/core/schedule $(ARGS)

# A process is killed at every step of the flow: minutes of waiting for what others then do.
test-failpoints: $(INSTALLED)
	$(BIN)/pytest --ledger-db=postgresql -m long tests/chaos $(ARGS)

chaos: $(INSTALLED)
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-receivers: MINUTES = 3
chaos-receivers: $(INSTALLED)
	$(BIN)/python -m tests.chaos.receivers --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# A hundred one-second crons beside each kind of poison: about five minutes.
poison: $(INSTALLED)
	$(BIN)/python -m tests.chaos.poison $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) check-migrations

# Whether the migrations make the tables that the models describe, by this release of Django.
check-migrations: $(INSTALLED)
	DATABASE_URL=sqlite://$(abspath $(VENV))/migrations.sqlite3 $(BIN)/python manage.py \
		makemigrations --check --dry-run rqcron_events rqcron_projections

bench: $(INSTALLED)
	@$(BIN)/python benchmarks/dispatch.py $(ARGS)

bench-pages: $(INSTALLED)
	@$(PIP) install -e '.[bench]'
	@$(BIN)/python benchmarks/pages.py $(ARGS)

bench-questions: $(INSTALLED)
	@$(PIP) install -e '.[bench]'
	@$(BIN)/python benchmarks/questions.py $(ARGS)

clean:
	rm -rf .venv* build dist example/var .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
