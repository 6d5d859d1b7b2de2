# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A rendered drive: the same at every run, another day in the map, streams without a disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvloc_ros.cli.main import main
from cvloc_ros.geo import se3
from cvloc_ros.simulation import rigs
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.gl.build import drive_stage
from cvloc_ros.simulation.gl.context import GlError
from cvloc_ros.simulation.gl.rig import Rig
from cvloc_ros.simulation.gl.stream import stream
from cvloc_ros.simulation.looks import CONDITIONS
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import NAMES, STYLES
from cvloc_ros.simulation.world import World, build_world
from cvloc_ros.simulation.writer import write_drive


def test_the_same_seed_gives_the_same_pictures(gl_scene: Scene) -> None:
    def pair() -> tuple[Any, ...]:
        (made,) = stream(gl_scene, 1, patch_m=40.0, patch_px=128, depth=True)
        return (*(view.rgb for view in made.views), made.patch.rgb, *made.depths)

    for first, again in zip(pair(), pair(), strict=True):
        assert np.array_equal(first, again)


def test_a_pair_holds_its_true_pose_in_its_patch(gl_scene: Scene) -> None:
    pairs = list(stream(gl_scene, 3, patch_m=60.0, patch_px=150, offset_m=15.0))
    assert len({pair.patch.key for pair in pairs}) == 3
    for pair in pairs:
        uv = pair.patch.px_from_map(pair.pose.xy)
        assert (uv > 30).all() and (uv < 120).all()
        assert pair.patch.rgb.std() > 5
        assert [view.camera_name for view in pair.views] == ["front", "rear"]


def test_every_camera_looks_its_way(gl_rig: Rig, gl_scene: Scene, gl_world: World) -> None:
    pose = make_trajectory(gl_scene, gl_world.layout).pose(1.0)
    front, rear = (camera.render(pose, 0) for camera in gl_rig.cameras)
    assert front.shape == (100, 160, 3)
    assert not np.array_equal(front, rear)
    depth = gl_rig.cameras[0].depth(pose, 0)
    below = depth[70]
    assert np.isfinite(below).all() and below.min() > 1.5


@pytest.mark.parametrize("style", NAMES)
def test_all_styles_are_rendered(style: str, gl_scene: Scene) -> None:
    size = (200.0, 160.0) if style != "motorway" else (400.0, 100.0)
    scene = replace(gl_scene, style=style, size_m=size, speed_mps=STYLES[style].speed_mps)  # type: ignore[arg-type]
    (pair,) = stream(scene, 1, patch_m=40.0, patch_px=64)
    assert pair.views[0].rgb.std() > 10


@pytest.mark.parametrize("condition", CONDITIONS)
def test_all_conditions_look_different(condition: str, gl_world: World, gl_rig: Rig) -> None:
    world = replace(gl_world, scene=replace(gl_world.scene, look=CONDITIONS[condition]))
    pose = make_trajectory(world.scene, world.layout).pose(1.0)
    rig = Rig(world, drive_stage(world))
    image = rig.cameras[0].render(pose, 0)
    rig.close()
    fair = gl_rig.cameras[0].render(pose, 0)
    assert (np.abs(image.astype(int) - fair).mean() > 3) == (condition != "fair")


@pytest.mark.parametrize("name", sorted(rigs.RIGS))
def test_rigs_are_rendered(name: str, gl_scene: Scene) -> None:
    scene = replace(gl_scene, cameras=rigs.rig(name))
    world = build_world(scene)
    rig = Rig(world, drive_stage(world))
    pose = make_trajectory(scene, world.layout).pose(1.0)
    for camera in rig.cameras:
        image = camera.render(pose, 0)
        assert image.shape == (camera.spec.height, camera.spec.width, 3)
        assert 0.5 < (~camera.mask).mean() <= 1
    rig.close()


def test_hills_and_springs_move_the_camera_and_nothing_else(gl_world: World) -> None:
    world = replace(gl_world, scene=replace(gl_world.scene, terrain_m=5.0, sway_deg=1.0))
    rig = Rig(world, drive_stage(world))
    pose = make_trajectory(world.scene, world.layout).pose(1.0)
    still, moving = rig.T_world_base(pose), rig.T_world_base(pose, 3)
    assert se3.is_rigid(moving)
    assert np.allclose(still[:3, 3], moving[:3, 3])
    turned = np.degrees(np.arccos(np.clip((np.trace(still[:3, :3].T @ moving[:3, :3]) - 1) / 2, -1, 1)))
    assert 0 < turned < 2
    rig.close()


def test_sheet_of_the_command(tmp_path: Path, gl_scene: Scene) -> None:
    (tmp_path / "scene.yaml").write_text(gl_scene.to_yaml())
    out = tmp_path / "sheet.png"
    assert main(["simulate", "--sheet", str(out), "--scene", str(tmp_path / "scene.yaml")]) == 0
    assert out.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--world", "moon", "--out", "x"], "world = moon"),
        (["--world", "dense", "--heights", "h.tif", "--out", "x"], "heights = h.tif"),
        ([], "--out FOLDER"),
        (["--world", "imagery:gone.tif", "--out", "x"], "gone.tif"),
        (["--sheet", "no/folder/sheet.png", "--scene", "SCENE"], "no/folder/sheet.png"),
    ],
)
def test_bad_wishes_end_with_one_clear_error(
    arguments: list[str], told: str, tmp_path: Path, gl_scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scene.yaml").write_text(gl_scene.to_yaml())
    given = [str(tmp_path / "scene.yaml") if item == "SCENE" else item for item in arguments]
    assert main(["simulate", *given]) == 2
    assert told in capsys.readouterr().err


def test_missing_opengl_is_one_clear_error(
    gl_scene: Scene, tmp_path: Path, silent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import moderngl

    from cvloc_ros.simulation.gl import context

    def refuse(**_: Any) -> None:
        msg = "libEGL.so.1: cannot open shared object file"
        raise Exception(msg)  # noqa: TRY002  what glcontext raises

    monkeypatch.setattr(moderngl, "create_context", refuse)
    monkeypatch.setattr(context._kept, "context", None, raising=False)
    with pytest.raises(GlError, match="apt-get install libegl1 libgl1-mesa-dri"):
        write_drive(gl_scene, tmp_path / "drive", silent)
    assert not (tmp_path / "drive").exists()
