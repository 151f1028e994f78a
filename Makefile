.DEFAULT_GOAL := help
.PHONY: help setup setup-tests demo test lint screenshots bench

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## install what is missing (nats-server, Chromium and its driver)
	@scripts/setup

setup-tests: ## as setup, and the Python packages of the tests
	@scripts/setup --tests

# both programs: the service, and the one beside it that draws packets
demo: setup ## watch some twenty products being registered
	cargo build
	cargo run -- demo

test: setup-tests ## run all tests
	cargo test --workspace

lint: ## check the formatting and run clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

screenshots: setup-tests ## take the pictures of the pages that the README shows
	REGFLOW_SCREENSHOTS=docs/screenshots cargo test --workspace --test it -- pages::

# nothing but the runs' JSON on standard output, so that it can be kept and compared with
bench: ## measure 20,000 registrations with an optimised build (make bench ARGS="latency --runs 3"; --help names the scenarios)
	@scripts/setup >&2
	@cargo build --release
	@cargo run --release -- bench $(ARGS)
