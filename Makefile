# `make demo` and `make test` need Python 3.11 or later with venv and pip; everything else they set up in .venv.

PYTHON ?= python3
BIN := .venv/bin
# What running needs (requirements.lock), and all that developing needs (requirements-dev.lock), is installed.
RUNNING := .venv/.running
DEVELOPING := .venv/.developing
# What results are compared with (requirements-peers.lock) is installed beside it.
COMPARING := .venv/.comparing
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install develop demo gallery results trained test check validate smoke bench columns lock clean
# Two installations into one .venv must not overlap.
.NOTPARALLEL:

help:
	@echo "make demo    simulate LeNet-5 and AlexNet (CIFAR size), sparse and dense, every value verified"
	@echo "make gallery simulate presets and make example pages of them in out/gallery"
	@echo "make test    run the tests with branch coverage"
	@echo "make check   run the static checks, then the tests"
	@echo "make validate install torch, onnx and onnxruntime beside the rest, and run the tests that compare with them, and"
	@echo "             all drawn cases of which the tests above run every eleventh"
	@echo "make smoke   install both locks afresh with old and new pip and Python, and simulate a layer with each"
	@echo "make results make all published tables anew, in out/results; make trained the weights that ship"
	@echo "make bench   measure how fast it is on full-size networks; BENCH=--quick on small ones"
	@echo "make install set up .venv from requirements.lock, to run sparsetrain; make develop from requirements-dev.lock"
	@echo "make lock    pin the dependencies of pyproject.toml in all locks; UPGRADE=--upgrade renews what is pinned"
	@echo "make columns renew the table of result columns in README.md"
	@echo "make clean   remove .venv and everything that was generated"
	@echo "PYTHON=python3.12 chooses the Python that .venv is made of"

# A lock is complete: pip installs it as it stands and asks for nothing beside it, then checks that nothing is missing.
# Wheels only, since what builds a source package is not locked; bytecode is left to the first import.
LOCKED := --no-compile --no-deps --only-binary=:all: --require-hashes

define install
	@command -v $(PYTHON) >/dev/null || \
		{ echo "make: '$(PYTHON)' is not there; Python 3.11 or later is needed, and PYTHON=... names it" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: '$(PYTHON)' is $$($(PYTHON) --version 2>&1); Python 3.11 or later is needed, and PYTHON=... names it" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: '$(PYTHON)' comes without venv; install it (on Debian and Ubuntu the package python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
		{ echo "making .venv of $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear .venv; }
	@echo "installing the packages of $(1) into .venv, once; $(2)"
	$(BIN)/python -m pip install --quiet $(LOCKED) -r $(1)
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
endef

install: $(RUNNING)

develop: $(DEVELOPING)

$(RUNNING): requirements.lock pyproject.toml
	$(call install,requirements.lock,about 110 MB to download and 400 MB on disk)
	@touch $@

# Developing includes running. Tests take warnings as errors, so they must not be the first to compile a library.
$(DEVELOPING): requirements-dev.lock requirements.lock pyproject.toml
	$(call install,requirements-dev.lock,about 290 MB to download and 1150 MB on disk)
	$(BIN)/python -W ignore -m compileall -qq -j 2 .venv/lib || :
	@touch $(RUNNING) $@

$(COMPARING): requirements-peers.lock $(DEVELOPING)
	@echo "installing the packages of $< into .venv, once; about 250 MB to download and 900 MB on disk"
	$(BIN)/python -m pip install --quiet $(LOCKED) -r $<
	$(BIN)/python -m pip check
	@touch $@

demo: $(RUNNING)
	$(BIN)/sparsetrain simulate lenet5
	$(BIN)/sparsetrain simulate alexnet_cifar
	@echo "The results lie in the folders named above, in out/: steps.csv, run.json, and the resolved YAML of both inputs."

# One traced run, one of more layers, one of a slower memory, and the page that compares the last two.
GALLERY := out/gallery
gallery: $(RUNNING)
	$(BIN)/sparsetrain simulate lenet5 --out $(GALLERY)/lenet5 --trace $(GALLERY)/lenet5.json.gz
	$(BIN)/sparsetrain simulate alexnet_cifar --out $(GALLERY)/alexnet_cifar
	$(BIN)/sparsetrain simulate alexnet_cifar --set dram.bytes_per_cycle=16 --out $(GALLERY)/alexnet_cifar-slow
	$(BIN)/sparsetrain report $(GALLERY)/lenet5 -o $(GALLERY)/lenet5.html --trace $(GALLERY)/lenet5.json.gz --trace-window 0:20000
	$(BIN)/sparsetrain report $(GALLERY)/alexnet_cifar -o $(GALLERY)/alexnet_cifar.html
	$(BIN)/sparsetrain report $(GALLERY)/alexnet_cifar $(GALLERY)/alexnet_cifar-slow -o $(GALLERY)/comparison.html
	$(BIN)/sparsetrain scale $(GALLERY)/alexnet_cifar -o $(GALLERY)/scaling.html
	$(BIN)/python -m reports.gallery $(GALLERY)
	@echo "The gallery: $(GALLERY)/index.html; lenet5.json.gz there opens in Perfetto."

# Every table that is published, anew: the trainings take minutes, their measured profiles (CIFAR10=KIND:PATH of the
# images) hours; what a folder holds already is not done again.
RESULTS := out/results
TRAIN_MEASURED := --prune 0,0.7,0.8,0.9,0.99 --host torch --no-simulate
results: $(RUNNING)
	$(BIN)/sparsetrain train lenet5 --prune 0,0.7,0.8,0.9,0.99 --seeds 3 --jobs 2 --out $(RESULTS)/lenet5
	$(BIN)/sparsetrain sweep envelope --jobs 2 --store $(RESULTS)/envelope.sqlite
	$(BIN)/sparsetrain results $(RESULTS)/envelope.sqlite --csv $(RESULTS)/envelope.csv
	@if [ -n "$(CIFAR10)" ]; then \
		$(BIN)/sparsetrain train alexnet_cifar --data "$(CIFAR10)" $(TRAIN_MEASURED) --epochs 3 --images 10000 \
			--test-images 2000 --out $(RESULTS)/alexnet_cifar10 --save-profile $(RESULTS)/alexnet_cifar10.csv && \
		$(BIN)/sparsetrain train resnet20 --data "$(CIFAR10)" $(TRAIN_MEASURED) --epochs 2 --images 5000 \
			--test-images 2000 --out $(RESULTS)/resnet20_cifar10 --save-profile $(RESULTS)/resnet20_cifar10.csv; fi

# The weights that ship, anew.
TRAINED := workloads/trained
trained: $(RUNNING)
	$(BIN)/sparsetrain train lenet5 --prune 0 --no-simulate --weights-type float16 --out $(RESULTS)/trained-lenet5 \
		--save-weights $(TRAINED)/lenet5.npz
	$(BIN)/sparsetrain train resnet20 --prune 0 --host torch --no-simulate --weights-type float16 \
		--out $(RESULTS)/trained-resnet20 --save-weights $(TRAINED)/resnet20.npz

test: $(DEVELOPING)
	$(BIN)/python -m pytest -n 2 --cov

check: $(DEVELOPING)
	$(BIN)/python -m pip check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

validate: $(COMPARING)
	$(BIN)/python -m pytest -n 2 -m "peers or exhaustive"

smoke:
	PYTHON="$(PYTHON)" .ci/smoke

# Other words for BENCH: `make bench BENCH='--workload AlexNet --repetitions 5'`; tests/benchmarks has more commands.
BENCH :=
bench: $(DEVELOPING)
	PYTHONPATH=tests $(BIN)/python -m benchmarks run $(BENCH)

columns: $(RUNNING)
	{ sed '/^<!-- columns:/q' README.md && $(BIN)/sparsetrain columns && sed -n '/^<!-- end of columns/,$$p' README.md; } > README.new
	mv README.new README.md

# All locks pin the same version of what they share. None holds an address, so that everyone can use their own index.
PIN := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
COMPILE := $(PIN) --group build pyproject.toml
UPGRADE :=
# Where builds of torch for processors alone lie: `make lock PEER_WHEELS="--find-links FOLDER"`.
PEER_WHEELS :=
lock: $(DEVELOPING)
	$(COMPILE) --extra dev $(UPGRADE) -o requirements-dev.lock
	$(COMPILE) --constraints requirements-dev.lock $(UPGRADE) -o requirements.lock
	$(PIN) --constraints requirements-dev.lock --group peers $(PEER_WHEELS) $(UPGRADE) -o requirements-peers.lock

clean:
	rm -rf .venv out dist build htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find workloads dataflows sim reports tests -name __pycache__ -prune -exec rm -rf {} +
