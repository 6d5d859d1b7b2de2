# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: one thread for torch, checked messages, a ROS domain and caches of the run's own."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"

DOMAINS = range(20, 100)
"""ROS_DOMAIN_ID of the tests: none that people use by habit, and below 102, where ports of Linux clients begin."""


def pytest_configure() -> None:
    """Set the environment before anything imports torch or rclpy; child processes inherit it."""
    os.environ["OMP_NUM_THREADS"] = "1"  # torch with two threads stalls at random on two busy cores
    os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"  # without it a wrong type in a field arrives as garbage
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(_domain())
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_NAMESPACE", "RMW_IMPLEMENTATION"):
        os.environ.pop(name, None)


def _domain() -> int:
    """Return a domain that differs between the workers of one run, and most probably between runs."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return DOMAINS[(zlib.crc32(run.encode()) + int(worker)) % len(DOMAINS)]


@pytest.fixture(scope="session", autouse=True)
def _private_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep logs and tile caches of the tests out of the home folder."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["ROS_LOG_DIR"] = str(folder / "log")
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Give the path of a recorded data set beside the repository; skips the test where it is absent."""

    def locate(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{path} is not here; recorded data is not part of the repository")
        return path

    return locate
