# Every target is one command, so that it can be run without make as well.
# Prerequisites: Python 3.11+ with venv, or uv; and the package index.

.DEFAULT_GOAL := help
RUN := .venv/bin/python -m

.PHONY: help setup demo test check bench chaos chaos-disk why up clean

help:
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | awk -F '\t' '{ printf "  make %-10s %s\n", $$1, $$2 }'

demo: setup ## Run the whole system until Ctrl-C (ONCE=1: end after one journey)
	@$(RUN) tools.demo $(if $(ONCE),--once) $(ARGS)

test: setup ## Run all tests against a real RabbitMQ and PostgreSQL (ARGS="-k relay")
	@$(RUN) tools.test $(ARGS)

check: setup ## Check format, lint, types, import rules, words, lock file and migrations
	@$(RUN) tools.check $(ARGS)

bench: setup ## Measure speed and memory on a real RabbitMQ and PostgreSQL (ARGS="--json FILE")
	@$(RUN) tools.bench $(ARGS)

chaos: setup ## Inject faults for ten minutes, then check that nothing is lost (DURATION=60 SEED=7)
	@$(RUN) tests_integration.chaos $(if $(DURATION),--duration $(DURATION)) $(if $(SEED),--seed $(SEED)) $(ARGS)

why: setup ## Show what happened to a subscription of the demo, on both sides (ID=…)
	@$(RUN) tools.demo.why $(ID) $(ARGS)

chaos-disk: setup ## Fill the broker's disk, lose its data, and repair it by reconcile (needs root)
	@$(RUN) tests_integration.chaos --kind disk $(if $(SEED),--seed $(SEED)) $(ARGS)

up: setup ## Run everything in containers (Docker with compose)
	@$(RUN) tools.up $(ARGS)

setup: ## Install the locked dependencies into .venv (every target does it first)
	@sh tools/setup.sh

clean: ## Remove .venv and everything that demo, tests and checks left behind
	@rm -rf .venv var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
