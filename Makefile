# make demo      sets everything up and serves two trained models on 127.0.0.1:8000
# make test      sets everything up and runs every test
# make check     format, lint, strict types, then every test with the branch coverage gate
# make bench     measures penstock beside a hand-written server and an empty one, and then what a shadow costs, what
#                a kept answer saves, and what keys, quotas and a cache cost that never hits (QUICK=1: a few minutes;
#                with ARGS only the first)
# make bench-peers  the same beside LitServe, BentoML and MLServer, each in an environment of its own (QUICK=1)
# make fronts    measures what a front costs, and what a second one brings
# make overload  asks for ten times what can be answered, and tells what becomes of it (QUICK=1: a short form)
# make soak      the long forms of the long tests
# make fuzz      a million hostile inputs, each answer judged (N=…, SEED=… as it was printed)
# make slow      what 500 slow clients cost the others: p99 with them and without
# make test-all  every supported interpreter that is found; names those missing
#
# PYTHON=…  the interpreter to build .venv with;  EXTRAS=dev,torch,keras  what the tests get installed

VENV ?= .venv
EXTRAS ?= dev
IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(shell $(python) -c '$(IN_RANGE)' 2>/dev/null && echo $(python))))
BIN := $(VENV)/bin
PEERS := litserve bentoml mlserver
WAITING := $(addprefix tests/acceptance/test_,versions.py swaps.py admin.py trials.py keys.py) \
	tests/soak/test_swaps.py tests/test_benchmarks.py tests/test_overload.py
GATES := $(addprefix tests/acceptance/test_,caching.py confined.py context.py evil.py openapi.py quotas.py redis.py \
	tls.py) tests/cli tests/hostile tests/deploy tests/supervisor
BESIDE := tests/compile tests/host
PAGES := tests/test_docs.py tests/zoo

.PHONY: demo test check format bench bench-peers fronts overload soak fuzz slow test-all clean

demo: $(VENV)/installed-all
	$(BIN)/penstock demo

# Tests of whole services mostly wait; those of models, and those of the pages, run beside them and out of their way,
# and so do those that wait most. All are shown whole. What they start by the thousand is compiled once, also where
# nothing else would be kept.
test: $(VENV)/installed-$(EXTRAS)
	$(BIN)/python -m compileall -q src tests benchmarks
ifeq ($(strip $(ARGS)),)
	nice -n 19 $(BIN)/pytest $(BESIDE) > $(VENV)/beside.log 2>&1 & beside=$$!; \
	nice -n 19 $(BIN)/pytest $(PAGES) > $(VENV)/pages.log 2>&1 & pages=$$!; \
	nice -n 5 $(BIN)/pytest $(WAITING) > $(VENV)/waiting.log 2>&1 & waiting=$$!; \
	nice -n 5 $(BIN)/pytest $(GATES) > $(VENV)/gates.log 2>&1 & gates=$$!; \
	$(BIN)/pytest $(addprefix --ignore=,$(BESIDE) $(PAGES) $(WAITING) $(GATES)); served=$$?; \
	wait $$waiting; waited=$$?; wait $$gates; gated=$$?; wait $$pages; paged=$$?; wait $$beside; calculated=$$?; \
	cat $(VENV)/waiting.log $(VENV)/gates.log $(VENV)/pages.log $(VENV)/beside.log; \
	exit $$((served + waited + gated + paged + calculated))
else
	$(BIN)/pytest $(ARGS)
endif

check: $(VENV)/installed-$(EXTRAS)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

format: $(VENV)/installed-$(EXTRAS)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-$(EXTRAS)
	$(BIN)/python benchmarks/bench.py $(if $(QUICK),--quick) $(ARGS)
ifeq ($(strip $(ARGS)),)
	$(BIN)/python benchmarks/shadow.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/cached.py $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/gate.py $(if $(QUICK),--quick)
endif

bench-peers: $(VENV)/installed-$(EXTRAS) $(PEERS:%=.venv-peers/%/installed)
	$(BIN)/python benchmarks/bench.py --peers $(if $(QUICK),--quick) $(ARGS)

fronts: $(VENV)/installed-$(EXTRAS)
	$(BIN)/python benchmarks/fronts.py $(if $(QUICK),--quick) $(ARGS)

overload: $(VENV)/installed-$(EXTRAS)
	$(BIN)/python benchmarks/overload.py $(if $(QUICK),--quick) $(ARGS)

soak: $(VENV)/installed-$(EXTRAS)
	$(BIN)/pytest --soak -m soak -o faulthandler_timeout=600 $(ARGS)

fuzz: $(VENV)/installed-$(EXTRAS)
	$(BIN)/python -m tests.hostile.fuzz --count $(or $(N),1000000) $(if $(SEED),--seed $(SEED)) $(ARGS)

slow: $(VENV)/installed-$(EXTRAS)
	$(BIN)/python -m tests.hostile.slow_clients $(ARGS)

test-all:
	.ci/test-all $(ARGS)

clean:
	rm -rf $(VENV) .venv-peers

# What is installed follows pyproject.toml; the interpreter does not, so an old environment is rebuilt from nothing.
$(VENV)/installed-%: $(VENV)/made
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	touch $@

$(VENV)/made: pyproject.toml
	$(if $(PYTHON),,$(error no Python from 3.11 to 3.13 found: install one, or name it with PYTHON=…))
	rm -rf $(VENV)
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --quiet --python $(BIN)/python install pip || $(BIN)/python -m ensurepip
	touch $@

.venv-peers/%/installed: benchmarks/peers/%/requirements.txt benchmarks/peers/%/constraints.txt | $(VENV)/made
	rm -rf $(@D)
	$(BIN)/python -m venv --without-pip $(@D)
	$(BIN)/python -m pip --quiet --python $(@D)/bin/python install --requirement $< --constraint $(word 2,$^)
	touch $@
