# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What `make` says and does on a machine that lacks a compiler: the real script with a path of our own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "cmake" / "check_system.sh"
SHELL = shutil.which("sh") or "/bin/sh"


class Machine:
    """A folder of commands that is all the script finds; `apt-get` writes down what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "apt.log"
        self.command("uname", 'case "$1" in -s) echo Linux;; -m) echo x86_64;; esac')

    def command(self, name: str, body: str) -> None:
        path = self.folder / name
        path.write_text(f"#!{SHELL}\n{body}\n")
        path.chmod(0o755)

    def run(self, python: str = sys.executable, user: str = "1000") -> subprocess.CompletedProcess[str]:
        self.command("id", f"echo {user}")
        env = {"PATH": str(self.folder)}
        return subprocess.run([SHELL, SCRIPT, python], capture_output=True, text=True, env=env, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_complete_machine_is_left_alone(machine: Machine) -> None:
    for name in ("cmake", "g++"):
        machine.command(name, "exit 0")
    result = machine.run()
    if "-dev" in result.stderr or "-venv" in result.stderr:
        pytest.skip("this Python itself has no headers or no venv")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""


def test_missing_compiler_without_root_names_the_command(machine: Machine) -> None:
    machine.command("cmake", "exit 0")
    machine.command("apt-get", f'echo "$@" >>{machine.log}')
    result = machine.run()
    assert result.returncode == 1
    assert "sudo apt-get install -y --no-install-recommends g++" in result.stderr
    assert not machine.log.exists()


def test_missing_compiler_as_root_is_installed(machine: Machine) -> None:
    machine.command("apt-get", f'echo "$@" >>{machine.log}')
    result = machine.run(user="0")
    assert result.returncode == 0, result.stderr
    update, install = machine.log.read_text().splitlines()
    assert update.startswith("update")
    assert install.startswith("install -y --no-install-recommends cmake g++")


def test_failed_installation_is_told(machine: Machine) -> None:
    machine.command("apt-get", "exit 100")
    result = machine.run(user="0")
    assert result.returncode == 1
    assert "could not install cmake g++" in result.stderr


def test_machine_without_apt_lists_what_is_missing(machine: Machine) -> None:
    result = machine.run(user="0")
    assert result.returncode == 1
    assert "missing: cmake g++" in result.stderr


def test_other_processor_is_sent_to_colcon(machine: Machine) -> None:
    machine.command("uname", 'case "$1" in -s) echo Linux;; -m) echo aarch64;; esac')
    result = machine.run()
    assert result.returncode == 1
    assert "colcon" in result.stderr


def test_no_python_is_told(machine: Machine) -> None:
    result = machine.run(python="")
    assert result.returncode == 1
    assert "make PYTHON=" in result.stderr


def test_missing_egl_stops_nothing_and_names_the_packages(machine: Machine) -> None:
    for name in ("cmake", "g++"):
        machine.command(name, "exit 0")
    machine.command("ldconfig", "exit 0")
    machine.command("ls", "exit 2")
    machine.command("grep", "exit 1")
    machine.command("apt-get", f'echo "$@" >>{machine.log}')
    result = machine.run()
    if "-dev" in result.stderr or "-venv" in result.stderr:
        pytest.skip("this Python itself has no headers or no venv")
    assert result.returncode == 0, result.stderr
    assert "sudo apt-get install libegl1 libgl1-mesa-dri" in result.stderr
    assert machine.run(user="0").returncode == 0
    assert "libegl1 libgl1-mesa-dri" in machine.log.read_text()
