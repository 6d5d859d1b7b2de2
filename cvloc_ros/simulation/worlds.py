# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a scene to its world, invented or on real imagery."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import NAMES, STYLES
from cvloc_ros.simulation.world import World, build_world

_PHOTO: dict[str, Any] = {"resolution_m": 0.1, "size_m": (300.0, 300.0)}


def in_world(scene: Scene, world: str, place: tuple[float, float] | None = None, heights: str = "") -> Scene:
    """Move a scene into a world: the name of a style, or imagery:FILE for real ground.

    `place` is the latitude and longitude (degrees) of its middle; by default in the sea, or in the imagery.
    `heights` is a height model of real ground.

    Raises:
        ConfigError: there is no such world, or it has no real heights.
        TileSourceError: the imagery cannot be opened.
    """
    kind, _, file = world.partition(":")
    if heights and kind != "imagery":
        msg = f"heights = {heights}: only a world on real ground has them; choose the world imagery:FILE too"
        raise ConfigError(msg)
    if kind == "imagery":
        from cvloc_ros.simulation.imagery import middle_of

        return replace(scene, imagery=file, heights=heights, datum=place or middle_of(file), **_PHOTO)
    if world not in NAMES:
        msg = f"world = {world}: choose one of {', '.join(NAMES)}, or imagery:FILE"
        raise ConfigError(msg)
    style = STYLES[world]
    kind_of_place: dict[str, Any] = {"style": world, "size_m": style.size_m, "resolution_m": style.resolution_m}
    return replace(scene, **kind_of_place, speed_mps=style.speed_mps, datum=place or scene.datum)


def make_world(scene: Scene) -> World:
    """Make the world of a scene.

    Raises:
        CvlocError: the imagery that it names cannot be used.
    """
    if not scene.imagery:
        return build_world(scene)
    from cvloc_ros.simulation.imagery import imagery_world

    return imagery_world(scene)
