# `make demo` and `make test` need Python 3.11 or later with venv and pip; everything else they set up in .venv.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo gallery test check bench columns lock clean

help:
	@echo "make demo    simulate LeNet-5 and AlexNet (CIFAR size), sparse and dense, every value verified"
	@echo "make gallery simulate presets and make example pages of them in out/gallery"
	@echo "make test    run the tests with branch coverage"
	@echo "make check   run the static checks, then the tests"
	@echo "make bench   measure how fast it is on full-size networks; BENCH=--quick on small ones"
	@echo "make lock    pin the dependencies of pyproject.toml in requirements.lock"
	@echo "make columns renew the table of result columns in README.md"
	@echo "make clean   remove .venv and everything that was generated"
	@echo "PYTHON=python3.12 chooses the Python that .venv is made of"

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
		{ echo "make: '$(PYTHON)' is not there; Python 3.11 or later is needed, and PYTHON=... names it" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: '$(PYTHON)' is $$($(PYTHON) --version 2>&1); Python 3.11 or later is needed, and PYTHON=... names it" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: '$(PYTHON)' comes without venv; install it (on Debian and Ubuntu the package python3-venv)" >&2; exit 1; }
	@echo "setting up .venv from requirements.lock"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED)
	$(BIN)/sparsetrain simulate lenet5
	$(BIN)/sparsetrain simulate alexnet_cifar
	@echo "The results lie in the folders named above, in out/: steps.csv, run.json, and the resolved YAML of both inputs."

# One traced run, one of more layers, one of a slower memory, and the page that compares the last two.
GALLERY := out/gallery
gallery: $(INSTALLED)
	$(BIN)/sparsetrain simulate lenet5 --out $(GALLERY)/lenet5 --trace $(GALLERY)/lenet5.json.gz
	$(BIN)/sparsetrain simulate alexnet_cifar --out $(GALLERY)/alexnet_cifar
	$(BIN)/sparsetrain simulate alexnet_cifar --set dram.bytes_per_cycle=16 --out $(GALLERY)/alexnet_cifar-slow
	$(BIN)/sparsetrain report $(GALLERY)/lenet5 -o $(GALLERY)/lenet5.html --trace $(GALLERY)/lenet5.json.gz --trace-window 0:20000
	$(BIN)/sparsetrain report $(GALLERY)/alexnet_cifar -o $(GALLERY)/alexnet_cifar.html
	$(BIN)/sparsetrain report $(GALLERY)/alexnet_cifar $(GALLERY)/alexnet_cifar-slow -o $(GALLERY)/comparison.html
	$(BIN)/python -m reports.gallery $(GALLERY)
	@echo "The gallery: $(GALLERY)/index.html; lenet5.json.gz there opens in Perfetto."

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --cov

check: $(INSTALLED)
	$(BIN)/python -m pip check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

# Other words for BENCH: `make bench BENCH='--workload AlexNet --repetitions 5'`; tests/benchmarks has more commands.
BENCH :=
bench: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python -m benchmarks run $(BENCH)

columns: $(INSTALLED)
	{ sed '/^<!-- columns:/q' README.md && $(BIN)/sparsetrain columns && sed -n '/^<!-- end of columns/,$$p' README.md; } > README.new
	mv README.new README.md

lock: $(INSTALLED)
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev \
		pyproject.toml -o requirements.lock

clean:
	rm -rf .venv out dist build htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find workloads dataflows sim reports tests -name __pycache__ -prune -exec rm -rf {} +
