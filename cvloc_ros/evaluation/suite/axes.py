# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a suite can vary, one small entry each: its name, unit, limits, meaning, and what it changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from cvloc_ros.simulation.looks import CONDITIONS, DRIVE_LOOK, LookSpec
from cvloc_ros.simulation.scene import Scene, demanding


class NotApplicable(Exception):  # noqa: N818 - an expected situation, told as a reason
    """The axis cannot be set on this drive; the text says why."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One drive while it is being set up. `scene` is None where it was recorded, `yaw_deg` None where none is given."""

    scene: Scene | None
    yaw_deg: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Axis:
    """`kind` is the type of a value with its limits; `apply` sets a value. `gl`: only the GL renderer shows it."""

    name: str
    unit: str
    meaning: str
    kind: Any
    apply: Callable[[Setup, Any], Setup]
    gl: bool = False

    def set(self, setup: Setup, value: Any) -> Setup:
        """Return the changed setup.

        Raises:
            NotApplicable: the drive is recorded, or rendered without what the axis changes.
        """
        if self.gl and setup.scene is not None and setup.scene.renderer != "gl":
            msg = f"{self.name} needs the renderer gl"
            raise NotApplicable(msg)
        return self.apply(setup, value)


def _scene(change: Callable[[Scene, Any], Scene]) -> Callable[[Setup, Any], Setup]:
    """Make what changes a simulated drive alone."""

    def apply(setup: Setup, value: Any) -> Setup:
        if setup.scene is None:
            msg = "the drive is recorded"
            raise NotApplicable(msg)
        return replace(setup, scene=change(setup.scene, value))

    return apply


def _yaw(setup: Setup, value: float | str) -> Setup:
    return replace(setup, yaw_deg=None if isinstance(value, str) else float(value))


def _window(setup: Setup, value: float) -> Setup:
    search = {**setup.config.get("search", {}), "radius_min_m": value, "radius_max_m": value}
    return replace(setup, config={**setup.config, "search": search})


def _gnss(scene: Scene, value: float) -> Scene:
    return replace(scene, gnss=replace(scene.gnss, sigma_m=float(value)))


def _image(scene: Scene, value: int) -> Scene:
    scaled = []
    for camera in scene.cameras:
        factor = value / scene.cameras[0].width
        size: dict[str, Any] = {"width": round(camera.width * factor), "height": round(camera.height * factor)}
        scaled.append(replace(camera, **size, focal_px=camera.focal_px * factor))
    return replace(scene, cameras=tuple(scaled))


def _cameras(scene: Scene, value: int) -> Scene:
    if value > len(scene.cameras):
        msg = f"the vehicle has {len(scene.cameras)} camera{'s' if len(scene.cameras) > 1 else ''}"
        raise NotApplicable(msg)
    return replace(scene, cameras=scene.cameras[:value])


def _season(scene: Scene, value: Any) -> Scene:
    sun = CONDITIONS.get(value, DRIVE_LOOK).sun_elevation_deg
    return replace(scene, look=replace(scene.look, season=value, sun_elevation_deg=sun))


_WEATHER: dict[str, tuple[str, ...]] = {
    "fair": (), "overcast": ("overcast",), "fog": ("overcast", "fog_m"), "rain": ("overcast", "fog_m", "rain"),
    "night": ("night",), "low_sun": ("sun_azimuth_deg", "sun_elevation_deg"),
}  # fmt: skip
"""Weather to the fields that it takes from the condition of that name; the season stays."""


def _weather(scene: Scene, value: str) -> Scene:
    source = CONDITIONS.get(value, DRIVE_LOOK)
    return replace(scene, look=replace(scene.look, **{name: getattr(source, name) for name in _WEATHER[value]}))


_OPPOSITE: dict[str, Any] = {
    "spring": "autumn", "summer": "winter", "autumn": "spring", "winter": "summer", "snow": "summer"
}


def _map_age(scene: Scene, value: str) -> Scene:
    drive, old = scene.look, scene.map_look
    ages: dict[str, LookSpec] = {
        "same_season": replace(old, season=drive.season, wear=drive.wear),
        "other_season": replace(old, season=_OPPOSITE[drive.season], wear=min(1.0, drive.wear + 0.2)),
        "years": replace(old, season=_OPPOSITE[drive.season], wear=0.95),
    }
    return replace(scene, map_look=ages[value])


def _lean(scene: Scene, value: float) -> Scene:
    angle = float(scene.rng("lean of the map").uniform(0.0, math.tau))
    return replace(scene, lean=(value * math.cos(angle), value * math.sin(angle)))


_TABLE = (
    Axis("season", "", "season of the drive",
         Literal["spring", "summer", "autumn", "winter", "snow"], _scene(_season), gl=True),
    Axis("weather", "", "weather and light of the drive",
         Literal["fair", "overcast", "fog", "rain", "night", "low_sun"], _scene(_weather), gl=True),
    Axis("map_age", "", "season of the map and wear of its road paint, beside the drive; vehicles always differ",
         Literal["same_season", "other_season", "years"], _scene(_map_age), gl=True),
    Axis("map_pixel_m", "m", "pixel of the imagery that the map was made of",
         Annotated[float, Field(ge=0.05, le=1)], _scene(lambda s, v: replace(s, map_pixel_m=float(v))), gl=True),
    Axis("map_error_m", "m", "standard deviation of the map's registration error, east and north",
         Annotated[float, Field(ge=0, le=20)], _scene(lambda s, v: replace(s, map_error_m=float(v))), gl=True),
    Axis("map_lean", "", "displacement in the map per metre of height, in a direction drawn from the seed",
         Annotated[float, Field(ge=0, le=1)], _scene(_lean), gl=True),
    Axis("cameras", "", "number of cameras, in the order of the rig",
         Annotated[int, Field(ge=1, le=16)], _scene(_cameras)),
    Axis("image_px", "px", "width of the images of the first camera; the others in proportion",
         Annotated[int, Field(ge=64, le=4096)], _scene(_image)),
    Axis("speed_mps", "m/s", "speed on a free road",
         Annotated[float, Field(ge=1, le=40)], _scene(lambda s, v: replace(s, speed_mps=float(v)))),
    Axis("sensors", "", "fair; hard: outages, jumps, drops, jitter, late messages, wrong covariances",
         Literal["fair", "hard"], _scene(lambda s, v: demanding(s) if v == "hard" else s)),
    Axis("gnss_m", "m", "GNSS error: standard deviation of the Gauss-Markov part on each axis, as it is reported",
         Annotated[float, Field(ge=0.1, le=50)], _scene(_gnss)),
    Axis("yaw_deg", "deg", "standard deviation of the yaw that is given at the start; unknown: none is given",
         Annotated[float, Field(gt=0, le=90)] | Literal["unknown"], _yaw),
    Axis("window_m", "m", "half side of the search window, whatever the prior says",
         Annotated[float, Field(gt=0, le=200)], _window),
)  # fmt: skip
AXES: dict[str, Axis] = {axis.name: axis for axis in _TABLE}
"""In the order in which they are set."""
