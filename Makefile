# Every target is one command, so that you can run it without make.
# Prerequisites: Python 3.11+ with venv, or uv; and access to the package index.

.DEFAULT_GOAL := help
RUN := .venv/bin/python -m

.PHONY: help setup demo test test-all test-anywhere check bench chaos chaos-disk why manage up npm clean

help:
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | awk -F '\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

demo: setup ## Run the whole system until Ctrl-C (ONCE=1: stop after two subscriptions)
	@$(RUN) tools.demo $(if $(ONCE),--once) $(ARGS)

test: setup ## Run all tests against a real RabbitMQ and PostgreSQL (ARGS="-k relay")
	@$(RUN) tools.test $(ARGS)

test-all: setup ## The same with what takes hours: 5,000,000 rows, 20,000 dialogues of mail, clusters
	@TEST_ROWS=5000000 TEST_BAD_MESSAGES=10000 SMTP_DIALOGUES=20000 TEST_CLUSTERS=1 $(RUN) tools.test $(ARGS)

test-anywhere: setup ## Run demo, checks and some tests on bare Debians (root; ARGS="uv --whole")
	@$(RUN) tools.anywhere $(ARGS)

check: setup ## Check format, lint, types, import rules, words, lock file and migrations
	@$(RUN) tools.check $(ARGS)

bench: setup ## Measure speed and memory on a real RabbitMQ and PostgreSQL (ARGS="--json FILE")
	@$(RUN) tools.bench $(ARGS)

chaos: setup ## Inject faults for ten minutes, then check that nothing is lost (DURATION=60 SEED=7)
	@$(RUN) tests_integration.chaos $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) $(ARGS)

why: setup ## Show what happened to a subscription of the demo, on both sides (ID=…)
	@$(RUN) tools.demo.why $(ID) $(ARGS)

manage: setup ## Run manage.py in the demo's databases (SERVICE=student ARGS="set_aside list")
	@$(RUN) tools.demo.manage $(SERVICE) $(ARGS)

chaos-disk: setup ## Fill the broker's disk, delete its data, and reconcile (needs root)
	@$(RUN) tests_integration.chaos --kind disk $(if $(SEED),--seed $(SEED)) $(ARGS)

up: setup ## Run everything in containers (Docker with compose)
	@$(RUN) tools.up $(ARGS)

npm: ## Install what tests need of npm: Ajv, and two linters of OpenAPI (needs Node.js and npm)
	@npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix var/npm \
		ajv@8.20.0 ajv-formats@3.0.1 @redocly/cli@1.34.15 @stoplight/spectral-cli@6.16.3

setup: ## Install the locked dependencies into .venv (every target does this first)
	@sh tools/setup.sh

clean: ## Remove .venv and the files of demo, tests and checks
	@rm -rf .venv var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
