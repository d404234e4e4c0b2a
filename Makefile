# Overread: every target sets up what it needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1
export GRADIO_ANALYTICS_ENABLED := False
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
SPREAD := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder  # a file's tests share what they started

# Hashes are those of the index, not of wheels that happen to lie on this machine.
HASHED = env -u PIP_FIND_LINKS -u UV_FIND_LINKS $(BIN)/uv pip compile --quiet --universal --python-version 3.11 -c constraints.txt \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
UV_INSTALL = UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet -c constraints.txt

.PHONY: help run test coverage test-fast test-ray check fmt fmt-check lint types imports docs-check bench bench-worker \
	bench-store bench-intake fuzz migration migrate viewer wheel image clean constraints sbom audit

help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/uv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Overread needs Python 3.11 or newer; set PYTHON=…" >&2; exit 1; }
	@echo "Making .venv …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

.venv/run.stamp: .venv/uv.stamp pyproject.toml constraints.txt
	@echo "Installing Overread and its model worker (the first time this takes a few minutes) …"
	@$(UV_INSTALL) -e '.[worker]'
	@touch $@

.venv/test.stamp: .venv/uv.stamp pyproject.toml constraints.txt
	@echo "Installing what the tests need …"
	@$(UV_INSTALL) -e '.[worker,train,test]'
	@touch $@ .venv/run.stamp

run: .venv/run.stamp ## start Overread with the demo model and sample studies on 127.0.0.1
	@$(BIN)/overread init --samples
	@exec $(BIN)/overread serve

test: .venv/test.stamp fmt-check lint types imports ## everything: checks, then the whole suite with browser and Postgres
	$(TEST_ENV) $(BIN)/pytest $(SPREAD)

coverage: .venv/test.stamp ## the whole suite once more, slower, with the lines that it does not reach
	$(TEST_ENV) $(BIN)/pytest $(SPREAD) --cov --cov-report=term:skip-covered

test-fast: .venv/test.stamp ## unit, flow and contract tests only
	$(TEST_ENV) $(BIN)/pytest $(SPREAD) tests/unit tests/flow tests/contract tests/architecture -m "not slow"

test-ray: .venv/test.stamp ## two replicas under Ray Serve; installs the extra `ray` first
	@$(UV_INSTALL) -e '.[worker,train,ray,test]'
	$(TEST_ENV) $(BIN)/pytest tests/contract/worker/test_ray.py

check: fmt-check lint types imports docs-check ## format, lint, types, import rules, documents

fmt: .venv/test.stamp ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fmt-check: .venv/test.stamp
	$(BIN)/ruff format --check --quiet .

lint: .venv/test.stamp
	$(BIN)/ruff check --quiet .

types: .venv/test.stamp
	$(BIN)/mypy

imports: .venv/test.stamp
	$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache

docs-check: .venv/test.stamp
	$(TEST_ENV) $(BIN)/pytest -q tests/architecture -k docs -p no:randomly

bench: bench-store bench-intake bench-worker ## the standing numbers, each beside its plain alternative

bench-store: .venv/test.stamp ## saving a review and paging the worklist at 100,000 rows; web memory
	$(BIN)/python -m tests.bench.bench_store
	$(BIN)/python -m tests.bench.bench_web

bench-intake: .venv/test.stamp ## a CT of 300 slices beside pydicom alone; what hostile files cost
	$(BIN)/python -m tests.bench.bench_intake
	$(BIN)/python -m tests.bench.bench_hostile

bench-pixels: .venv/test.stamp ## which text in pixels is found, by height and contrast: make bench-pixels DATA=FOLDER
	$(BIN)/python -m tests.bench.bench_pixels $(DATA)

bench-worker: .venv/test.stamp ## the engine against one plain generate per question
	$(BIN)/python -m tests.bench.bench_worker

FUZZ_SECONDS ?= 600
fuzz: .venv/test.stamp ## mutate files for the bounded scan, guided by coverage: make fuzz FUZZ_SECONDS=600
	$(BIN)/python -m tests.unit.intake.fuzz_scan .fuzz -max_total_time=$(FUZZ_SECONDS)

migrate: .venv/run.stamp ## bring the database of this data folder to the newest schema
	$(BIN)/overread init

migration: .venv/test.stamp ## write a new migration from the tables: make migration m="what changes"
	$(BIN)/python -m storage.migrations "$(m)"

viewer: ## rebuild the browser viewer (Node 20 or newer)
	cd webapp/viewer && npm ci --ignore-scripts --no-audit --no-fund && npm run build

wheel: .venv/test.stamp ## build the wheel into dist/
	$(BIN)/uv build --wheel --out-dir dist --quiet

image: ## build the container images web and worker
	docker build --target web -t overread-web .
	docker build --target worker -t overread-worker .

constraints: .venv/uv.stamp ## resolve constraints.txt and the hashed requirements again
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -o constraints.txt
	@$(HASHED) pyproject.toml -o requirements/web.txt
	@$(HASHED) --extra worker pyproject.toml -o requirements/worker.txt
	@printf 'uv\nhatchling==1.27.0\n' | $(HASHED) - -o requirements/build.txt

sbom: .venv/uv.stamp ## what the two images hold, as CycloneDX, into dist/
	@mkdir -p dist
	@for image in web worker; do $(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py requirements \
		requirements/$$image.txt --pyproject pyproject.toml --output-reproducible \
		-o dist/overread-$$image.cdx.json 2>/dev/null && echo "dist/overread-$$image.cdx.json"; done

audit: .venv/uv.stamp ## known holes in what the images install; needs a network, and says so
	@.ci/audit

clean: ## remove what the targets made, not your data
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage webapp/viewer/node_modules tests/browser/identity/node_modules
