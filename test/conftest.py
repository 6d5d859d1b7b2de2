# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: one thread for torch, checked messages, a ROS domain and caches of the run's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cvloc_ros.ros.domains import claim_domain

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


def pytest_configure() -> None:
    """Set the environment before anything imports torch or rclpy; child processes inherit it."""
    os.environ["OMP_NUM_THREADS"] = "1"  # torch with two threads stalls at random on two busy cores
    os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"  # without it a wrong type in a field arrives as garbage
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = str(claim_domain())  # two workers, or two runs, on one domain hear each other
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_NAMESPACE", "RMW_IMPLEMENTATION"):
        os.environ.pop(name, None)


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
