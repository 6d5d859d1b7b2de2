# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs for training: off the route, of several worlds, by several workers; blurred, off by the field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.simulation.drive import motion_of
from cvloc_ros.simulation.gl.build import drive_stage
from cvloc_ros.simulation.gl.effects import Effects
from cvloc_ros.simulation.gl.rig import Rig
from cvloc_ros.simulation.gl.stream import PairMaker, Sampling, stream, stream_worlds
from cvloc_ros.simulation.looks import LookSpec
from cvloc_ros.simulation.registration import registration_error
from cvloc_ros.simulation.rigs import RIGS
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.world import World
from cvloc_ros.types import Pose2

SMALL = Sampling(patch_m=40.0, patch_px=64)


def test_poses_lie_off_the_route_as_asked_for(gl_scene: Scene, gl_world: World) -> None:
    route = motion_of(gl_world).poses(np.linspace(0, 3, 3000))
    pairs = list(stream(gl_scene, 12, SMALL, lateral_m=2.0, yaw_deg=8.0))
    nearest = [np.linalg.norm(route[:, :2] - p.pose.xy, axis=1) for p in pairs]
    aside = np.array([away.min() for away in nearest])
    turned = np.array([
        np.angle(np.exp(1j * (p.pose.yaw_rad - route[away.argmin(), 2])))
        for p, away in zip(pairs, nearest, strict=True)
    ])
    assert 0.5 < aside.max() < 2.05
    assert 2.0 < np.degrees(turned.std()) < 16.0


def test_workers_share_the_worlds(gl_scene: Scene) -> None:
    scenes = [replace(gl_scene, seed=seed) for seed in (3, 4, 5)]
    kept = [[pair.patch.key[0] for pair in stream_worlds(scenes, 2, SMALL, worker=k, workers=2)] for k in (0, 1)]
    assert kept == [[3, 3, 5, 5], [4, 4]]
    with pytest.raises(ValueError, match="worker = 2"):
        next(stream_worlds(scenes, 1, worker=2, workers=2))


def test_depth_of_a_view_is_along_the_axis_as_its_type_says(gl_scene: Scene) -> None:
    (pair,) = stream(gl_scene, 1, SMALL, depth=True)
    view, ray = pair.views[0], pair.depths[0]
    assert isinstance(view.camera, Pinhole) and view.depth is not None
    along = view.camera.unproject(np.array([[20.0, 90.0]]))[0, 2]
    assert view.depth[90, 20] == pytest.approx(ray[90, 20] * along, rel=1e-5)
    assert not np.isinf(view.depth).any()


def test_a_patch_is_off_by_the_field(gl_world: World) -> None:
    """The patch with the error, read where the error says, is the patch without it."""
    made = []
    for size in (0.0, 2.0):
        world = replace(gl_world, scene=replace(gl_world.scene, map_error_m=size, map_error_length_m=60.0))
        maker = PairMaker(world, patch_m=60.0, patch_px=300)
        made.append(maker._patch(5.0, -3.0, 1).rgb.astype(float).mean(axis=-1))
        maker.close()
    scene = replace(gl_world.scene, map_error_m=2.0, map_error_length_m=60.0)
    rows, columns = np.mgrid[60:240:3, 60:240:3]
    true = np.stack([-25 + (columns + 0.5) * 0.2, 27 - (rows + 0.5) * 0.2], axis=-1)
    shown = (true + registration_error(scene, true) - [-25, 27]) / 0.2 * [1, -1] - 0.5
    u, v = np.rint(np.moveaxis(shown, -1, 0)).astype(int)
    where = np.clip(v, 0, 299), np.clip(u, 0, 299)
    right = np.corrcoef(made[1][where].ravel(), made[0][rows, columns].ravel())[0, 1]
    unmoved = np.corrcoef(made[1][rows, columns].ravel(), made[0][rows, columns].ravel())[0, 1]
    assert right > 0.85 > unmoved + 0.1


def test_a_long_exposure_blurs_what_passes_by(gl_world: World) -> None:
    world = replace(gl_world, scene=replace(gl_world.scene, look=LookSpec(exposure_s=0.03)))
    rig = Rig(world, drive_stage(world))
    pose = motion_of(world).pose(1.5)
    ends = pose @ Pose2(-0.3, 0.0, 0.0), pose @ Pose2(0.3, 0.0, 0.0)  # 20 m/s
    sharp, blurred = (rig.cameras[0].render(pose, 0, e).astype(float) for e in (None, ends))
    rig.close()
    change = np.abs(sharp - blurred).mean(axis=(1, 2))
    assert change[70:85].mean() > 1.0 > 5 * change[95:].mean()  # the road just ahead, and the own bonnet


@pytest.mark.parametrize("name", sorted(RIGS))
def test_rain_dirt_and_night_reach_every_lens(name: str) -> None:
    spec = RIGS[name][0]
    image = np.full((spec.height, spec.width, 3), 120, np.uint8)
    image[:, ::16] = 200
    looks = {"fair": LookSpec(), "rain": LookSpec(rain=0.8), "dirt": LookSpec(dirt=0.8), "night": LookSpec(night=True)}
    made = {key: Effects(spec, look, np.random.default_rng(1)) for key, look in looks.items()}
    views = {key: effects.apply(image, 0).astype(float) for key, effects in made.items()}
    clear = made["fair"].clear
    assert np.array_equal(clear, ~made["fair"].mask) and clear.mean() > 0.5
    for key in ("rain", "dirt"):
        spoilt, change = clear & ~made[key].clear, np.abs(views[key] - views["fair"]).mean(axis=-1)
        assert spoilt.any()
        assert change[spoilt].mean() > 2 * change[made[key].clear].mean()
    grey = image.copy()
    grey[:] = 120
    grain = [np.diff(made[key].apply(grey, 0).astype(float), axis=1)[clear[:, 1:]].std() for key in ("fair", "night")]
    assert grain[1] > 2 * grain[0]


def test_exposure_answers_to_light_and_cameras_differ() -> None:
    spec = RIGS["nuscenes"][0]
    made = [Effects(spec, LookSpec(), np.random.default_rng(seed)) for seed in range(6)]
    grey = [np.full((450, 800, 3), level, np.uint8) for level in (40, 80)]
    levels = [[effects.apply(image, 0)[:300].mean() for image in grey] for effects in made]
    assert all(dark / light > 0.55 for dark, light in levels)
    assert 0.01 < np.std([dark for dark, _ in levels]) / 40 < 0.1
