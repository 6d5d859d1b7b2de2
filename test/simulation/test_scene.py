# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.scene import GnssSpec, Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.simulation.worlds import in_world


def test_yaml_gives_the_same_scene_again() -> None:
    scene = Scene(seed=11, duration_s=30.0, gnss=GnssSpec(sigma_m=4.0), storage="sqlite3", map_zooms=(18, 19))
    assert Scene.from_yaml(scene.to_yaml()) == scene


def test_unknown_setting_is_named() -> None:
    text = Scene().to_yaml().replace("sigma_m:", "sigma_metres:")
    with pytest.raises(ConfigError, match="sigma_metres"):
        Scene.from_yaml(text)


@pytest.mark.parametrize("text", ["", "nothing", "scene: 3", "scene: [", "other: {}"])
def test_other_files_are_no_scene(text: str) -> None:
    with pytest.raises(ConfigError):
        Scene.from_yaml(text)


def test_missing_scene_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        Scene.load(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    "setting",
    [{"seed": -1}, {"duration_s": 0.0}, {"datum": (91.0, 0.0)}, {"size_m": (10.0, 300.0)}, {"map_zooms": ()},
     {"image_rate_hz": 0.0}, {"speed_mps": 0.0}, {"cameras": ()}, {"resolution_m": 0.0},
     {"size_m": (1900.0, 1900.0)}, {"map_zooms": (14, 20)}],
)  # fmt: skip
def test_impossible_settings_are_refused_with_the_value(setting: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        Scene(**setting)  # type: ignore[arg-type]


def test_purposes_have_streams_of_their_own() -> None:
    scene = Scene(seed=5)
    assert scene.rng("a").random() == scene.rng("a").random()
    assert scene.rng("a").random() != scene.rng("b").random() != Scene(seed=6).rng("b").random()


@pytest.mark.parametrize(("world", "heights", "told"), [("twon", "", "town"), ("town", "dsm.tif", "imagery:FILE")])
def test_world_that_there_is_not_is_refused(world: str, heights: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        in_world(Scene(), world, heights=heights)


def test_a_scene_moved_into_a_style_keeps_all_else() -> None:
    scene = in_world(Scene(seed=3, terrain_m=2.0, renderer="gl"), "village", (47.0, 8.0))
    assert (scene.style, scene.datum, scene.seed, scene.terrain_m) == ("village", (47.0, 8.0), 3, 2.0)
    assert scene.size_m == STYLES["village"].size_m
