# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc extrinsics` on a small simulated drive whose mountings and map offset are set wrong by known amounts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from cvloc_ros.cli.main import main
from cvloc_ros.config import load
from cvloc_ros.simulation.scene import FRONT, REAR, CameraSpec, Scene
from cvloc_ros.simulation.writer import write_drive

SCENE = Scene(
    seed=4, duration_s=26.0, image_rate_hz=1.0, size_m=(120.0, 100.0), resolution_m=0.1,
    cameras=(
        replace(FRONT, focal_px=200.0, width=320, height=200), replace(REAR, focal_px=195.0, width=320, height=200),
    ),
)  # fmt: skip
WRONG = {"front": (0.06, -0.8, 1.5, -1.2), "rear": (-0.05, 0.6, -1.0, 0.9)}
"""Added to height (m) and roll, pitch, yaw (degrees)."""
MAP_OFF = (0.6, -0.4)
WITHIN_M, WITHIN_DEG, MAP_WITHIN_M = 0.03, 0.2, 0.05
Call = Callable[..., tuple[int, str, str]]


@contextmanager
def _silent(total: int, title: str) -> Iterator[Any]:
    class Bar:
        def update(self, steps: int) -> None:
            pass

    yield Bar()


def true_mounting(spec: CameraSpec) -> list[float]:
    return [spec.x_m, spec.y_m, spec.z_m, *(math.radians(d) for d in (spec.roll_deg, spec.pitch_deg, spec.yaw_deg))]


def write_wrong(scene: Scene, out: Path) -> None:
    """Write a drive, and wrong.yaml: its settings with wrong mountings and a wrong offset of the map."""
    write_drive(scene, out, _silent)
    tree = yaml.safe_load((out / "cvloc.yaml").read_text(encoding="utf-8"))
    keys = tree["/**"]["ros__parameters"]
    for spec in scene.cameras:
        height, *angles = WRONG[spec.name]
        error = np.array([0.0, 0.0, height, *np.radians(angles)])
        keys["cameras"][spec.name]["mounting"] = [float(v) for v in np.array(true_mounting(spec)) + error]
    keys["geo"] |= {"map_offset_east_m": MAP_OFF[0], "map_offset_north_m": MAP_OFF[1]}
    (out / "wrong.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extrinsics") / "drive"
    write_wrong(SCENE, out)
    return out


@pytest.fixture
def call(drive: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    def run(*arguments: str, config: str = "cvloc.yaml", out: str = "found.yaml") -> tuple[int, str, str]:
        options = ["--config", str(drive / config), "--out", str(tmp_path / out)]
        code = main(["extrinsics", str(drive / "bag"), *options, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def part_of_truth(drive: Path, out: Path, start_s: float, length_s: float) -> str:
    lines = (drive / "truth.tum").read_text(encoding="utf-8").splitlines()[1:]
    first = float(lines[0].split()[0])
    kept = [line for line in lines if start_s <= float(line.split()[0]) - first <= start_s + length_s]
    out.write_text("\n".join(kept), encoding="utf-8")
    return str(out)


def test_wrong_mountings_and_a_wrong_map_are_found_and_written(call: Call, tmp_path: Path) -> None:
    code, told, err = call(config="wrong.yaml")
    assert code == 0, err
    found = load(tmp_path / "found.yaml")
    for spec in SCENE.cameras:
        error = np.array(found.cameras[spec.name].mounting) - true_mounting(spec)
        assert error[:2] == pytest.approx(0.0, abs=1e-4), "x and y stay"
        assert abs(error[2]) < WITHIN_M, told
        turned = np.degrees(np.arctan2(np.sin(error[3:]), np.cos(error[3:])))
        assert np.abs(turned).max() < WITHIN_DEG, told
        assert found.cameras[spec.name].image_topic == f"/camera/{spec.name}/image"
    assert math.hypot(found.geo.map_offset_east_m, found.geo.map_offset_north_m) < MAP_WITHIN_M, told
    assert "pitch   10.50 deg -> " in told and "held-out agreement" in told and "not written" not in told
    picture = cv2.imread(str(tmp_path / "found.png"))
    assert picture is not None and picture.std() > 10.0


def test_nothing_is_written_where_the_mounting_is_right(call: Call, tmp_path: Path) -> None:
    code, told, _ = call("--camera", "front", "--keep-map")
    assert code == 1
    assert "held-out pictures agree no better" in told and "kept as asked" in told and "nothing is worth" in told
    assert not (tmp_path / "found.yaml").exists()


def test_a_map_of_another_place_changes_nothing(call: Call, tmp_path: Path) -> None:
    shift_deg = 15.0 / 111_000
    code, told, _ = call("--datum", f"{SCENE.datum[0] + shift_deg},{SCENE.datum[1]}", "--camera", "front")
    assert code == 1 and "camera front" in told and "not written" in told
    assert not (tmp_path / "found.yaml").exists()


def test_a_straight_drive_moves_the_camera_but_not_the_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    straight = replace(SCENE, seed=3, duration_s=30.0, cameras=SCENE.cameras[:1])
    write_wrong(straight, tmp_path)
    options = ["--config", str(tmp_path / "wrong.yaml"), "--out", str(tmp_path / "found.yaml")]
    assert main(["extrinsics", str(tmp_path / "bag"), *options]) == 0
    assert "headings too alike" in capsys.readouterr().out
    found = load(tmp_path / "found.yaml")
    assert (found.geo.map_offset_east_m, found.geo.map_offset_north_m) == (0.0, 0.0)
    error = np.degrees(np.array(found.cameras["front"].mounting) - true_mounting(straight.cameras[0]))[3:]
    assert np.abs(error).max() < 2 * WITHIN_DEG


def test_a_short_drive_is_refused_with_the_number_that_is_needed(call: Call, drive: Path, tmp_path: Path) -> None:
    code, told, _ = call("--truth", part_of_truth(drive, tmp_path / "short.tum", 0.0, 4.0), config="wrong.yaml")
    assert code == 1 and "at least 12" in told
    assert not (tmp_path / "found.yaml").exists() and not (tmp_path / "found.png").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--camera", "left"), "--camera left: no such camera; the bag has front, rear"),
        (("--truth", "none"), "0.2 m or better is needed, such as RTK"),
        (("--truth", "gone.tum"), "gone.tum"),
        (("--datum", "55.9,5.9"), "none of the poses (topic /ground_truth/pose) lies on the map"),
        (("--map", "gone.mbtiles"), "gone.mbtiles"),
        (("--set", "tiles.source=''"), "no map: give --map"),
        (("--out", "nosuch/found.yaml"), "--out nosuch/found.yaml"),
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(call: Call, arguments: tuple[str, ...], told: str) -> None:
    code, _, err = call(*arguments)
    assert code == 2 and told in err and "Traceback" not in err


@pytest.mark.parametrize("name", ["found.yaml", "found.png"])
def test_a_file_that_exists_is_kept(call: Call, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    code, _, err = call(config="wrong.yaml")
    assert code == 2 and f"{name} exists" in err
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
