# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A small rendered world; all tests of this folder are skipped where there is no OpenGL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.simulation.gl.build import drive_stage
from cvloc_ros.simulation.gl.context import unavailable
from cvloc_ros.simulation.gl.mesh import MeshBuilder
from cvloc_ros.simulation.gl.rig import Rig
from cvloc_ros.simulation.gl.stage import Stage
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.looks import LookSpec
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import FRONT, REAR, Scene
from cvloc_ros.simulation.world import World, build_world

WHY = unavailable()
SMALL = Scene(
    seed=3, duration_s=3.0, size_m=(190.0, 120.0), resolution_m=0.2, renderer="gl", map_zooms=(18,),
    cameras=tuple(replace(spec, width=160, height=100, focal_px=100.0) for spec in (FRONT, REAR)),
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _needs_gl() -> None:
    if WHY:
        pytest.skip(WHY)


@pytest.fixture(scope="session")
def gl_scene() -> Scene:
    return SMALL


@pytest.fixture(scope="session")
def gl_world() -> World:
    return build_world(SMALL)


@pytest.fixture(scope="session")
def gl_rig(gl_world: World) -> Iterator[Rig]:
    rig = Rig(gl_world, drive_stage(gl_world))
    yield rig
    rig.close()


@pytest.fixture
def plain_stage() -> Stage:
    """60 m of grey ground with one white disc at (7, 1.3) and a wall across x = 20, 4 m high."""
    grid = Grid.centred((60.0, 60.0), 0.025)
    ground = np.full((grid.rows, grid.columns, 3), 90, np.uint8)
    grid.disc(ground, np.array([7.0, 1.3]), 0.3, (250, 250, 250))
    mesh = MeshBuilder()
    mesh.add(np.array([[[20.0, 8, 0], [20, -8, 0], [20, -8, 4], [20, 8, 4]]]), np.array([200.0, 60, 60]))
    look = LookSpec(overcast=1.0, fog_m=1e6)
    return Stage(grid, ground, mesh.build(), Terrain.flat(), look, grain=0.0)
