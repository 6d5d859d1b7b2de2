# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What pip needs beyond pyproject.toml; colcon uses CMakeLists.txt and never reads this file.

Where the ROS 2 wheels (requirements/ros-wheels.txt) are installed next to this interpreter and CMake is there, the
messages are built and go into the wheel. Elsewhere the wheel has the Python modules and the shared files alone, and
`cvloc_ros.msg` comes from a colcon workspace. An editable install brings no messages: `make setup` puts them into the
environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

HERE = Path(__file__).parent.resolve()
PREFIX = Path(sys.prefix)
STAGE = HERE / "build" / "stage"
STANDINS = ("geographic_msgs", "tf2_msgs")
INTERFACES = {**{name: HERE / "standins" / name for name in STANDINS}, "cvloc_ros": HERE}
SHARED = ("msg", "launch", "config", "rviz", "foxglove")
WITH_MESSAGES = (PREFIX / "share/rosidl_default_generators/package.xml").exists() and bool(shutil.which("cmake"))


class BinaryDistribution(Distribution):
    """Tells setuptools that the wheel fits one platform where it holds compiled messages."""

    def has_ext_modules(self) -> bool:
        return WITH_MESSAGES


class BuildWithMessages(build_py):
    """Adds the generated messages and the files under share/cvloc_ros."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        files = _build_messages(Path(self.build_lib)) if WITH_MESSAGES else _shared()
        self.distribution.data_files = sorted(files.items())


def _build_messages(build_lib: Path) -> dict[str, list[str]]:
    """Install the interface packages into a stage; copy modules to `build_lib`, return the rest by target folder."""
    shutil.rmtree(STAGE, ignore_errors=True)
    prefixes = os.pathsep.join(map(str, (STAGE, PREFIX)))
    env = dict(os.environ, AMENT_PREFIX_PATH=prefixes, CMAKE_PREFIX_PATH=prefixes)
    env.pop("PYTHONPATH", None)  # pip's own, where it isolates the build
    env["PATH"] = str(PREFIX / "bin") + os.pathsep + env["PATH"]
    for name, source in INTERFACES.items():
        build = HERE / "build" / "pip" / name
        options = (
            f"-DCMAKE_INSTALL_PREFIX={STAGE}",
            f"-DCMAKE_PROJECT_INCLUDE={HERE}/cmake/pip_wheels.cmake",
            f"-DPython3_EXECUTABLE={sys.executable}",
            "-DBUILD_TESTING=OFF",
        )
        subprocess.run(["cmake", "-S", source, "-B", build, *options, "-Wno-dev"], check=True, env=env)
        subprocess.run(["cmake", "--build", build, "-j2"], check=True, env=env)
        subprocess.run(["cmake", "--install", build], check=True, env=env)
    modules = STAGE / os.path.relpath(sysconfig.get_path("purelib"), PREFIX)
    for name in INTERFACES:
        skip = shutil.ignore_patterns("__pycache__", "*.c")
        shutil.copytree(modules / name, build_lib / name, dirs_exist_ok=True, ignore=skip)
    return _by_folder([path for path in STAGE.rglob("*") if path.is_file() and modules not in path.parents], STAGE)


def _shared() -> dict[str, list[str]]:
    files = [path for name in SHARED for path in (HERE / name).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {f"share/cvloc_ros/{folder}": paths for folder, paths in _by_folder(files, HERE).items()}


def _by_folder(files: list[Path], root: Path) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for path in sorted(files):
        folders.setdefault(str(path.parent.relative_to(root)), []).append(str(path.relative_to(HERE)))
    return folders


setup(cmdclass={"build_py": BuildWithMessages}, distclass=BinaryDistribution)
