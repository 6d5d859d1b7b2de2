# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc simulate` from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cvloc_ros.cli.main import main
from cvloc_ros.simulation.scene import FRONT, Scene


@pytest.fixture
def scene_file(tmp_path: Path) -> Path:
    camera = replace(FRONT, width=160, height=100, focal_px=100.0)
    scene = Scene(seed=2, duration_s=1.0, size_m=(80.0, 80.0), resolution_m=0.2, cameras=(camera,), map_zooms=(18,))
    path = tmp_path / "wanted.yaml"
    path.write_text(scene.to_yaml())
    return path


def test_a_scene_file_reproduces_its_drive(scene_file: Path, tmp_path: Path) -> None:
    assert main(["simulate", "--out", str(tmp_path / "out"), "--scene", str(scene_file)]) == 0
    made = tmp_path / "out"
    assert (made / "scene.yaml").read_text() == scene_file.read_text()
    assert {"bag", "map.mbtiles", "truth.tum", "cvloc.yaml", "mask_front.png"} <= {p.name for p in made.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--minutes", "0"], "duration_s = 0.0"),
        (["--seed", "-3"], "seed = -3"),
        (["--scene", "gone.yaml"], "gone.yaml"),
        (["--motion", "gone.npz"], "motion = gone.npz"),
        (["--motion", "gone.npz", "--motion-mode", "path"], "motion = gone.npz"),
        (["--renderer", "flat", "--sway", "2"], "sway_deg = 2.0"),
        (["--renderer", "flat", "--condition", "night"], "--condition night"),
        (["--place", "95", "7"], "datum = (95.0, 7.0)"),
        (["--renderer", "flat", "--correspondences", "10"], "correspondences = 10"),
        (["--map-error", "10", "--map-error-length", "40"], "map_error_length_m = 40.0"),
    ],
)
def test_bad_settings_end_with_the_value_and_the_limit(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_plain_town_lay_in_the_sea_whatever_place_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Scene] = []
    monkeypatch.setattr("cvloc_ros.simulation.writer.write_drive", lambda scene, *_: made.append(scene))
    for world in ("town", "village"):
        arguments = ["--out", str(tmp_path / world), "--world", world, "--place", "-33.8", "151.2"]
        assert main(["simulate", *arguments]) == 0
    assert [scene.datum for scene in made] == [(-33.8, 151.2)] * 2


@pytest.mark.parametrize(
    ("arguments", "renderer"),
    [
        ([], "flat"), (["--seed", "3", "--heading"], "flat"), (["--renderer", "gl"], "gl"), (["--sway", "2"], "gl"),
        (["--world", "village"], "gl"), (["--rig", "kitti"], "gl"), (["--condition", "night"], "gl"),
        (["--correspondences", "10"], "gl"),
    ],
)  # fmt: skip
def test_the_flat_renderer_is_taken_for_a_fair_day_in_town_alone(
    arguments: list[str], renderer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Scene] = []
    monkeypatch.setattr("cvloc_ros.simulation.writer.write_drive", lambda scene, *_: made.append(scene))
    assert main(["simulate", "--out", str(tmp_path / "out"), *arguments]) == 0
    assert [scene.renderer for scene in made] == [renderer]
