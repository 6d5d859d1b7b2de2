#!/bin/sh
# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Usage: build_messages.sh VENV SOURCE BUILD. Builds the messages of one interface package into a virtual environment
# that has the ROS 2 wheels. Python modules of the package stay where they are.
set -eu

venv=$1 source=$2 build=$3
here=$(dirname "$(realpath "$0")")
export PATH="$venv/bin:$PATH" AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv"
mkdir -p "$build"
log=$build/build.log

# The file list of the generator is fixed at configuration: a stale cache would keep the old messages.
rm -f "$build/CMakeCache.txt"
{
  cmake -S "$source" -B "$build" -Wno-dev -DBUILD_TESTING=OFF -DCVLOC_MESSAGES_ONLY=ON \
    -DCMAKE_INSTALL_PREFIX="$venv" -DPython3_EXECUTABLE="$venv/bin/python" \
    -DCMAKE_PROJECT_INCLUDE="$here/pip_wheels.cmake" &&
    cmake --build "$build" -j2 &&
    cmake --install "$build"
} >"$log" 2>&1 || {
  tail -n 30 "$log" >&2
  echo "cvloc_ros: the messages of $source could not be built; all of the output is in $log" >&2
  exit 1
}
echo "built the messages of $(realpath "$source")"
