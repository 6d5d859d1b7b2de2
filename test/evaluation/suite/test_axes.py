# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each axis changes what it names, and is refused where it would change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cvloc_ros.evaluation.suite.axes import AXES, NotApplicable, Setup
from cvloc_ros.simulation.camera import model
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.rigs import RIGS
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.sensors import drive_gnss
from cvloc_ros.simulation.worlds import make_world

GL = Scene(seed=3, renderer="gl", style="town")
VALUES: dict[str, Any] = {
    "season": "winter", "weather": "fog", "map_age": "years", "map_pixel_m": 0.5, "map_error_m": 1.5, "cameras": 1,
    "map_lean": 0.2,
    "image_px": 320, "speed_mps": 12, "sensors": "hard", "gnss_m": 20, "yaw_deg": 10, "window_m": 15,
}  # fmt: skip
RECORDED = {"yaw_deg", "window_m"}


def test_every_axis_is_tried_here() -> None:
    assert set(VALUES) == set(AXES)


@pytest.mark.parametrize("name", AXES)
def test_axis_changes_the_setup(name: str) -> None:
    before = Setup(GL)
    after = AXES[name].set(before, VALUES[name])
    assert after != before
    assert AXES[name].meaning


@pytest.mark.parametrize("name", sorted(set(AXES) - RECORDED))
def test_recorded_drive_cannot_be_changed_afterwards(name: str) -> None:
    with pytest.raises(NotApplicable, match="recorded"):
        AXES[name].set(Setup(None), VALUES[name])


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_start_and_search_of_a_recorded_drive_can(name: str) -> None:
    assert AXES[name].set(Setup(None), VALUES[name]) != Setup(None)


@pytest.mark.parametrize("name", [name for name, axis in AXES.items() if axis.gl])
def test_what_the_flat_renderer_does_not_show_is_refused(name: str) -> None:
    with pytest.raises(NotApplicable, match="renderer gl"):
        AXES[name].set(Setup(Scene(seed=3)), VALUES[name])


@pytest.mark.parametrize("rig", ["demo", "kitti", "nuscenes", "fisheye", "panorama"])
def test_smaller_images_show_the_same(rig: str) -> None:
    scene = replace(GL, cameras=RIGS[rig])
    small = AXES["image_px"].set(Setup(scene), 400).scene
    assert small is not None and small.cameras[0].width == 400
    for before, after in zip(scene.cameras, small.cameras, strict=True):
        factor = after.width / before.width
        uv = np.array([[0.2, 0.4], [0.7, 0.6]]) * [before.width, before.height]
        rays = model(before).unproject(uv)[0]
        turned = model(after).unproject((uv + 0.5) * factor - 0.5)[0]
        cosine = np.sum(rays * turned, axis=-1) / np.linalg.norm(rays, axis=-1) / np.linalg.norm(turned, axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.6  # the principal point keeps its offset in px


def test_more_cameras_than_the_vehicle_has_are_refused() -> None:
    with pytest.raises(NotApplicable, match="has 2 cameras"):
        AXES["cameras"].set(Setup(GL), 3)


def test_gnss_error_has_the_size_that_is_asked_for_and_reported() -> None:
    small = Scene(seed=3, duration_s=600.0, size_m=(190.0, 120.0), resolution_m=0.2)
    scene = AXES["gnss_m"].set(Setup(small), 12).scene
    assert scene is not None
    track = drive_gnss(scene, make_trajectory(scene, make_world(scene).layout))
    assert 8 < np.std(track.errors) < 16
    assert np.sqrt(track.variance_m2.mean()) == pytest.approx(12, rel=0.02)


def test_sensors_do_not_undo_the_gnss_error() -> None:
    order = list(AXES)
    assert order.index("sensors") < order.index("gnss_m")
    assert order.index("season") < order.index("weather")  # low sun in winter is lower than winter's


@pytest.mark.parametrize("age", ["same_season", "other_season", "years"])
def test_map_shows_another_day_whatever_its_age(age: str) -> None:
    scene = AXES["map_age"].set(Setup(GL), age).scene
    assert scene is not None
    assert scene.map_look.sun_azimuth_deg != scene.look.sun_azimuth_deg
    assert (scene.map_look.season == scene.look.season) == (age == "same_season")
    assert scene.map_look.wear >= scene.look.wear
