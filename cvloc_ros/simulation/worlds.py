# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a scene to its world, invented or on real imagery."""

from __future__ import annotations

from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World, build_world


def make_world(scene: Scene) -> World:
    """Make the world of a scene.

    Raises:
        CvlocError: the imagery that it names cannot be used.
    """
    if not scene.imagery:
        return build_world(scene)
    from cvloc_ros.simulation.imagery import imagery_world

    return imagery_world(scene)
