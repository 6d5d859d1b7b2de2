# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small simulated drive, made once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cvloc_ros.simulation.scene import FRONT, REAR, Scene
from cvloc_ros.simulation.world import World, build_world
from cvloc_ros.simulation.writer import write_drive

SMALL = Scene(
    seed=3,
    duration_s=3.0,
    size_m=(190.0, 120.0),
    resolution_m=0.1,
    cameras=tuple(replace(spec, width=320, height=200, focal_px=200.0) for spec in (FRONT, REAR)),
)


class Bar:
    """A progress bar that only counts."""

    def __init__(self) -> None:
        self.done = 0

    def update(self, steps: int) -> None:
        self.done += steps


@contextmanager
def _silent(total: int, title: str) -> Iterator[Any]:
    bar = Bar()
    yield bar
    assert bar.done == total, f"{title}: {bar.done} of {total} steps were reported"


@pytest.fixture(scope="session")
def scene() -> Scene:
    return SMALL


@pytest.fixture(scope="session")
def world() -> World:
    return build_world(SMALL)


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated")
    write_drive(SMALL, out, _silent)
    return out


@pytest.fixture(scope="session")
def silent() -> Any:
    return _silent
