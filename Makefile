# One word for everything; the work is done by scripts/.

.DEFAULT_GOAL := help
.PHONY: help build run test check lint bench simulate reliability dist soak fuzz schemathesis audit

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

build: ## The shipped program: target/release/livestream
	scripts/build

run: build ## Build and start it, ready to use
	scripts/run

test: ## Everything; installs what is missing and says so
	scripts/test

check: ## Format, lint and unit tests: quick, no services
	scripts/check

lint: ## What a machine can say about the code
	scripts/lint

bench: ## What things cost, as tables
	scripts/bench

dist: ## A release in dist/: stripped program, archive, Debian package, checksums
	scripts/dist

simulate: ## 10,000 plays of everything that can go wrong (SEEDS, FIRST_SEED)
	scripts/simulate

soak: ## Ten minutes of joins, publications and leaves on the embedded media server (DURATION, PEOPLE): memory flat, nothing left over
	cargo build -p livestream
	scripts/soak

fuzz: ## Mutated input for every parser at the edge, for longer (FUZZ_CASES)
	scripts/fuzz

schemathesis: ## What the OpenAPI document promises and forbids, for longer (EXAMPLES)
	scripts/setup schemathesis
	cargo build -p livestream
	EXAMPLES=$${EXAMPLES:-200} tests/api/run.sh

audit: ## Licences, sources and known weaknesses of dependencies
	scripts/audit

reliability: ## Everything that can fail does, and docs/reliability.md tells what was seen
	scripts/reliability
