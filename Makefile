# Everything happens inside this folder: the environment is .venv, and each command brings it up to date first.

SHELL := /bin/bash
PYTHON ?= python3
ARGS ?=
# A distribution whose wheels to test on, in an environment of its own; empty: what `make setup` makes.
ROS ?=
# Test files that run at a time; each takes up to 2 GB of memory.
WORKERS ?= $(shell cores=$$(nproc); echo $$((cores < 4 ? cores : 4)))
VENV := .venv$(if $(ROS),-$(ROS))/bin
SET_UP := @command -v $(PYTHON) >/dev/null || { echo 'set-up: needs Python 3.10 to 3.13, and there is no $(PYTHON); \
sudo apt install python3 python3-venv' >&2; exit 1; }; $(PYTHON) .ci/set_up.py $(if $(ROS),--ros $(ROS))

# The installed package is tested: this folder, which Python would look in first, is taken off its path. Not bin/pytest,
# which is not there where the sourced ROS 2 brings pytest.
PYTEST := $(VENV)/python -c 'import sys; sys.path.pop(0); import pytest; sys.exit(pytest.main())'
# What ARGS names runs by itself, so that -s and --pdb work.
SIDE_BY_SIDE = $(if $(ARGS),,-n $(WORKERS) --dist loadfile)

# Set by a Python of ROS 2 wheels that runs make; ours would then not find its own libraries.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifneq ($(ROS),)
unexport LD_LIBRARY_PATH
endif

.PHONY: help setup demo test test-oldest test-all fuzz faults lint docs clean distclean
.DEFAULT_GOAL := help

help:
	@echo 'make demo       a bag of real pictures through the real node: what it decides, and how fast'
	@echo 'make test       the quick tests, on up to 4 cores: WORKERS=N chooses, ARGS=... names some and runs them one by one'
	@echo 'make test-all   all tests, the slow ones too'
	@echo 'make test ROS=jazzy   the tests of nodes on the wheels of ROS 2 Jazzy (or kilted), beside .venv: 0.3 GB more'
	@echo 'make test-oldest      the quick tests on the oldest versions that are allowed, on Python 3.10: 6 GB beside .venv'
	@echo 'make fuzz       mutated messages, bundles, bags and text files through every reader: 5 minutes; MINUTES=10 SEED=1'
	@echo 'make faults     every command that writes killed, starved, and raced: hours at KILLS=100; KILLS=2 SEED=0'
	@echo 'make lint       style of code and docstrings, types'
	@echo 'make docs       the documentation, to docs/_build/html; what it needs is installed then (20 MB)'
	@echo 'make setup      only the set-up, which the others do too (first time: 6 GB, some minutes)'
	@echo 'make clean      remove what builds, tests and the demo left behind; distclean: .venv too'
	@echo
	@echo 'Python 3.10 to 3.13 (PYTHON=/path/to/python3 chooses one), g++ and make are all that is needed. Where a'
	@echo 'ROS 2 is sourced it is used; elsewhere ROS 2 Kilted comes from the package registry.'

setup:
	$(SET_UP)

demo: setup
	@exec $(VENV)/robot-vision demo $(ARGS)

# With ROS=..., what depends on ROS 2, slow or not.
test: setup
	@exec $(PYTEST) -q -m $(if $(ROS),ros,'not slow') $(SIDE_BY_SIDE) $(ARGS)

test-oldest:
	$(SET_UP) --oldest $(if $(BACKENDS),backends,core)
	@exec $(subst $(VENV),.venv-oldest/bin,$(PYTEST)) -q -m 'not slow' $(SIDE_BY_SIDE) $(ARGS)

test-all: setup
	@exec $(PYTEST) -q $(ARGS)

fuzz: setup
	@cd test && exec ../$(VENV)/python -m fuzz --out ../fuzz_failures $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

faults: setup
	@exec $(VENV)/python test/faults/campaign.py $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

lint: setup
	@$(VENV)/python -m ruff check .
	@if $(VENV)/python -c 'from rclpy.publisher import Publisher; Publisher[int]' 2>/dev/null; then \
	  exec $(VENV)/python -m mypy; \
	else echo 'types are not checked: that takes an rclpy that has them, of ROS 2 Kilted or newer'; fi

# -W: a warning is an error, -n: so is a reference that leads nowhere.
docs:
	$(SET_UP) docs
	@exec $(VENV)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html $(SPHINXOPTS)
	@echo 'docs/_build/html/index.html'

clean:
	@rm -rf build dist install log demo_output docs/_build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean
	@rm -rf .venv .venv-*
