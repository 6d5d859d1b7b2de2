#!/bin/sh
# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Usage: check_system.sh PYTHON. Makes sure that the environment can be built: as root on a machine with apt what is
# missing is installed, otherwise the command that does it is named.
set -eu

python=${1:-}

stop() {
  echo "cvloc_ros: $1" >&2
  exit 1
}

[ -n "$python" ] || stop "no Python 3.10 to 3.14 found; install one, or name it: make PYTHON=/path/to/python3.11"
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) ;;
  *) stop "ROS 2 wheels exist for Linux on x86_64 only, this is $(uname -s) on $(uname -m); \
install ROS 2 and build with colcon (README.md, 'On your vehicle')" ;;
esac

missing=
command -v cmake >/dev/null || missing="$missing cmake"
command -v g++ >/dev/null || missing="$missing g++"
# Debian and Ubuntu ship venv apart from Python.
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing $("$python" -c \
  'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
# The messages are C extensions.
"$python" -c 'import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || missing="$missing $("$python" -c \
  'import sys; print("python%d.%d-dev" % sys.version_info[:2])')"
# Rendering of simulated worlds: EGL and the software driver. All else works without them, so nothing stops for them.
drawing=
if command -v ldconfig >/dev/null; then
  ldconfig -p | grep -q 'libEGL\.so\.1' || drawing=" libegl1"
  ls /usr/lib/*/dri/swrast_dri.so /usr/lib64/dri/swrast_dri.so 2>/dev/null | grep -q . || drawing="$drawing libgl1-mesa-dri"
fi
if [ -n "$drawing" ] && command -v apt-get >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    echo "cvloc_ros: installing$drawing"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -y --no-install-recommends$drawing; } ||
      echo "cvloc_ros: could not install$drawing; rendered worlds (cvloc simulate --renderer gl) are not available" >&2
  else
    echo "cvloc_ros: for rendered worlds (cvloc simulate --renderer gl): sudo apt-get install$drawing" >&2
  fi
fi
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
command -v apt-get >/dev/null || stop "missing:$missing (names of Debian's packages); install them and run make again"
[ "$(id -u)" = 0 ] || stop "missing:$missing; run: sudo $install"
echo "cvloc_ros: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q && $install || stop "could not install$missing; install by hand and run make again"
