# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stream of simulated samples: seeds stay apart, lanes change worlds, views and patch show the same place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.config import Tiles
from cvloc_ros.datasets.sample import Sample
from cvloc_ros.datasets.simulated import TRAINING_SEEDS, TUNING_SEEDS, Simulated, open_simulated, place, scene_of
from cvloc_ros.errors import ConfigError
from cvloc_ros.ground import GroundGrid
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.simulation.gl.context import unavailable
from cvloc_ros.tiles.opening import bounds_of

WHY = unavailable()
SMALL = {"per_world": 4, "lanes": 2, "worlds": 3, "styles": ["town"], "rigs": ["demo"], "cameras": 1,
         "image_scale": 0.25, "size_m": [120.0, 120.0], "resolution_m": 0.2, "metres_per_px": 0.25, "patch_m": 70.0,
         "patch_offset_m": 5.0, "hard": 0.0}  # fmt: skip
EVALUATION_FROM = 900_000


def test_worlds_of_training_tuning_and_evaluation_are_never_the_same() -> None:
    assert max(TRAINING_SEEDS) < min(TUNING_SEEDS) and max(TUNING_SEEDS) < EVALUATION_FROM
    assert Simulated(first_world=399_999, worlds=1).seed(0) == 399_999
    assert Simulated(purpose="tuning", worlds=9).seed(8) == 500_008
    with pytest.raises(ValueError, match="there are 400000"):
        Simulated(first_world=399_999, worlds=2)
    with pytest.raises(ValueError, match="there are 100000 for tuning"):
        Simulated(purpose="tuning", worlds=100_001)
    with pytest.raises(ValueError, match="styles"):
        Simulated(styles=["moon"])


@pytest.mark.parametrize("lanes", [1, 2, 3, 5])
def test_lanes_show_every_sample_of_every_world_once(lanes: int) -> None:
    settings = Simulated(per_world=6, lanes=lanes, worlds=3 * lanes)
    places = [place(index, settings) for index in range(18 * lanes)]
    assert all(count == 1 for count in Counter(places).values()) and len(set(places)) == len(places)
    for start in range(0, len(places), lanes):
        assert len({world for world, _ in places[start : start + lanes]}) == lanes
    # Worlds change one lane after the other.
    opened = [index // lanes for index, (world, _) in enumerate(places)
              if world not in {other for other, _ in places[:index]}]  # fmt: skip
    assert len(set(opened[lanes:])) == len(opened[lanes:])


def test_scenes_differ_and_are_repeated_by_their_seed() -> None:
    scenes = [scene_of(seed, Simulated()) for seed in range(40)]
    assert len({scene.style for scene in scenes}) >= 5 and len({scene.look.season for scene in scenes}) >= 4
    assert all(scene.look.sun_azimuth_deg != scene.map_look.sun_azimuth_deg for scene in scenes)
    assert len({len(scene.cameras) for scene in scenes}) == 2
    assert scene_of(3, Simulated()) == scenes[3]


def test_worlds_on_imagery_lie_in_the_part_that_is_used(shared_data: Callable[[str], Path]) -> None:
    file = str(shared_data("swissimage_brig/swissimage_brig.mbtiles"))
    whole = bounds_of(Tiles(source=file))
    assert whole is not None
    west, _, east, _ = whole
    settings = Simulated(imagery=[file], imagery_share=0.5, imagery_part=[0.0, 0.0, 0.5, 1.0])
    scenes = [scene_of(seed, settings) for seed in range(60)]
    on = [scene for scene in scenes if scene.imagery]
    assert 15 < len(on) < 45 and all(west < scene.datum[1] < (west + east) / 2 for scene in on)
    assert len({scene.datum for scene in on}) == len(on)
    with pytest.raises(ConfigError, match="and its edge need more"):
        [scene_of(seed, settings.model_copy(update={"imagery_part": [0.0, 0.0, 0.1, 1.0]})) for seed in range(9)]
    with pytest.raises(ValueError, match="imagery_part"):
        Simulated(imagery_part=[0.5, 0.0, 0.2, 1.0])


def test_a_vehicle_that_waits_is_not_seen_again_and_again() -> None:
    if WHY:
        pytest.skip(WHY)
    samples = open_simulated(Simulated(**{**SMALL, "per_world": 12, "lanes": 1}))
    try:
        world = samples._world(0)
        places = np.array([world._route.pose(world._draw(number)[0]).xy for number in range(12)])
    finally:
        samples.close()
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + np.eye(12) * 1e3
    assert np.median(apart.min(1)) > 1.0


def test_views_and_patch_show_the_same_place() -> None:
    if WHY:
        pytest.skip(WHY)
    samples = open_simulated(Simulated(**SMALL, keyframes=2, depth=True))
    try:
        sample = samples[0]
        assert sample.seed in TRAINING_SEEDS and len(sample.views) == 2
        older = sample.views[1]
        assert math.hypot(older.T_ref_base.x_m, older.T_ref_base.y_m) == pytest.approx(2.0, abs=0.2)
        assert older.T_ref_base.x_m < 0 and older.stamp_ns < sample.views[0].stamp_ns
        assert np.abs(sample.patch.map_from_px @ [140, 140, 1] - sample.pose.xy).max() < 5.5
        again = samples[0]
        np.testing.assert_array_equal(again.views[0].rgb, sample.views[0].rgb)
        assert again.pose == sample.pose
        assert _agreement(sample) > _agreement(sample, 3.0) + 0.1
    finally:
        samples.close()


def _agreement(sample: Sample, aside_m: float = 0.0) -> float:
    """Correlation of the ground before the vehicle with the map, the map moved aside."""
    view = sample.views[0]
    seen = BirdsEye()([view], GroundGrid(4.0, 14.0, -6.0, 6.0, 0.25))
    points = sample.pose.apply(GroundGrid(4.0, 14.0, -6.0, 6.0, 0.25).points() + np.array([0.0, aside_m]))
    col, row = np.rint(np.moveaxis(sample.patch.px_from_map(points), -1, 0)).astype(int)
    there = sample.patch.rgb[row, col].mean(-1)[seen.valid]
    return float(np.corrcoef(seen.rgb.mean(-1)[seen.valid], there)[0, 1])
