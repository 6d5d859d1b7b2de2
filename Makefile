# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# For a machine without ROS: everything goes into .venv. With a ROS 2 installation use colcon (README.md).

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
# First Python of the path that is new enough; make PYTHON=/path/to/python3.12 takes another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.10; do \
  $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo $$p && break; done)
# Index of CPU builds of torch, for machines whose default index has only the large CUDA ones.
TORCH_INDEX ?=
JOBS ?= 2
OUT ?= out/demo

PIP := $(BIN)/python -m pip --disable-pip-version-check
STANDINS := $(wildcard standins/*/CMakeLists.txt)
INTERFACES := CMakeLists.txt package.xml $(wildcard cmake/*.cmake msg/*.msg standins/*/msg/*.msg standins/*/package.xml)

# A sourced ROS 2 or another environment of wheels must not leak into this one.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
export PIP_REQUIRE_VIRTUALENV := 1

.DELETE_ON_ERROR:
.PHONY: help setup demo test bench lint clean

help:
	@echo "make demo    simulate a drive, play it to the node over DDS, write $(OUT)/report.html"
	@echo "make test    all tests (TESTS='test/geo -k utm' picks some)"
	@echo "make bench   time of each stage on this machine"
	@echo "make lint    ruff and mypy"
	@echo "make setup   only the environment in .venv"
	@echo "make clean   remove .venv, build and out (the tile cache stays)"

setup: $(VENV)/.editable $(VENV)/.messages

demo: setup
	$(BIN)/cvloc demo --out $(OUT)

test: setup
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS)

bench: setup
	$(BIN)/python -m benchmarks

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv build out install log cvloc_ros.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find cvloc_ros test benchmarks launch -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.created:
	@echo "== 1/4 system and Python"
	@sh cmake/check_system.sh "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.requirements: $(VENV)/.created constraints.txt requirements/ros-wheels.txt
	@echo "== 2/4 ROS 2 and build tools from wheels"
	$(PIP) install -c constraints.txt pip 'setuptools>=70.1' -r requirements/ros-wheels.txt
	@touch $@

$(VENV)/.editable: $(VENV)/.requirements pyproject.toml setup.py
	@echo "== 3/4 cvloc_ros and its libraries (torch is 200 MB)"
	$(if $(TORCH_INDEX),$(PIP) install -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[all,dev]'
	@touch $@

$(VENV)/.messages: $(VENV)/.requirements $(STANDINS) $(INTERFACES)
	@echo "== 4/4 messages"
	@sh cmake/check_system.sh "$(PYTHON)"
	@set -e; for source in $(patsubst %/CMakeLists.txt,%,$(STANDINS)) .; do \
	  build=build/messages/$$(basename $$(realpath $$source)); \
	  sh cmake/build_messages.sh $(VENV) $$source $$build; \
	done
	@touch $@
