# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real rclpy on a domain of its own, found on this machine only, with messages checked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")
sys.path.insert(0, str(Path(__file__).parent))

from fake_session import FakeSession  # noqa: E402
from rig import Rig  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def ros():
    """Initialise ROS once."""
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def rig():
    """A node with a fake session, and a second node that plays vehicle and listener."""
    made = []

    def make(namespace: str = "", *, start: bool = True, session=FakeSession, **parameters) -> Rig:
        made.append(Rig(namespace, session, parameters))
        if start:
            assert made[-1].start()
        return made[-1]

    yield make
    for item in made:
        item.close()
