# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Readers of published data sets on small folders in exactly their formats: counts, label positions, orientations."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvloc_ros.cli.main import main
from cvloc_ros.datasets import ford, kitti, oxford, vigor
from cvloc_ros.datasets.catalogue import Data, open_samples
from cvloc_ros.datasets.check import check, recognise
from cvloc_ros.datasets.sample import DatasetError, Sample, SampleError
from cvloc_ros.imaging.models import Equirectangular, Pinhole
from cvloc_ros.matching.layers.aerial import Crop
from cvloc_ros.training.config import parse
from cvloc_ros.training.loop import train
from cvloc_ros.types import Pose2

DRIVE = "2011_09_26/2011_09_26_drive_0002_sync"
P_RECT = (
    "7.215377e+02 0.000000e+00 6.095593e+02 4.485728e+01 0.000000e+00 7.215377e+02 1.728540e+02 2.163791e-01 "
    "0.000000e+00 0.000000e+00 1.000000e+00 2.745884e-03"
)
KITTI_YAW = 0.7


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def dot(shape: tuple[int, int], row: float, col: float, size: float = 4.0) -> np.ndarray:
    """A picture that is black but for a spot."""
    v, u = np.mgrid[0 : shape[0], 0 : shape[1]]
    spot = 255 * np.exp(-((v - row) ** 2 + (u - col) ** 2) / (2 * size**2))
    return np.repeat(spot[..., None], 3, 2).astype(np.uint8)


def spot_in_map(sample: Sample) -> np.ndarray:
    """Map position (2,) of the spot in the patch."""
    weight = sample.patch.rgb[..., 0].astype(float)
    v, u = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]]
    uv = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    return sample.patch.map_from_px @ np.array([*uv, 1.0])


def camera_in_map(sample: Sample) -> np.ndarray:
    return sample.pose.apply(sample.views[0].T_base_camera[:2, 3])


# --- KITTI -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def kitti_root(tmp_path: Path) -> Path:
    """Two frames; in the tile a spot where the camera is: 1.08 m ahead and 0.26 m to the right of the middle."""
    root = tmp_path / "kitti"
    for frame in ("0000000048", "0000000049"):
        write(root / f"raw_data/{DRIVE}/image_02/data/{frame}.png", np.full((375, 1242, 3), 90, np.uint8))
        oxts = root / f"raw_data/{DRIVE}/oxts/data/{frame}.txt"
        oxts.parent.mkdir(parents=True, exist_ok=True)
        oxts.write_text(" ".join(["49.015", "8.43", "112.8", "0.03", "-0.01", str(KITTI_YAW), *["0.1"] * 24]))
        c, s = math.cos(KITTI_YAW), math.sin(KITTI_YAW)
        east, north = 1.08 * c + 0.26 * s, 1.08 * s - 0.26 * c
        write(root / f"satmap/{DRIVE}/{frame}.png",
              dot((1280, 1280), 639.5 - north / kitti.M_PER_PX, 639.5 + east / kitti.M_PER_PX))  # fmt: skip
    calibration = root / "raw_data/2011_09_26/calib_cam_to_cam.txt"
    calibration.write_text(f"calib_time: x\nP_rect_02: {P_RECT}\nP_rect_03: 1\n")
    (root / "train_files.txt").write_text(f"{DRIVE}/0000000048.png\n{DRIVE}/0000000049.png\n")
    (root / "test1_files.txt").write_text(f"{DRIVE}/0000000048.png 0.5 -0.25 0.8\n")
    (root / "splits").mkdir()
    (root / "splits/test2_files.txt").write_text(f"{DRIVE}/0000000049.png -1 0.125 -0.5\r\n")
    return root


def test_kitti_label_position_and_heading(kitti_root: Path) -> None:
    samples = open_samples(Data(source="kitti", root=str(kitti_root), split="train"))
    assert len(samples) == 2
    sample = samples[0]
    np.testing.assert_allclose(camera_in_map(sample), spot_in_map(sample), atol=0.05)
    assert sample.pose.yaw_rad == pytest.approx(KITTI_YAW) and sample.start is None
    camera = sample.views[0].camera
    assert isinstance(camera, Pinhole) and (camera.fx, camera.cx, camera.cy) == (721.5377, 609.5593, 172.854)
    ahead, _ = camera.project(np.array([[0.0, 0.0, 10.0]]) @ np.eye(3))
    assert ahead[0, 0] == pytest.approx(609.5593)
    looking = sample.views[0].T_base_camera[:3, 2]
    np.testing.assert_allclose(looking, [1.0, 0.0, 0.0], atol=1e-12)
    assert sample.views[0].T_base_camera[2, 3] == 1.65


def kitti_offset_px(sample: Sample) -> tuple[float, float, float]:
    """Camera in the published crop, px of 512 right and down of its middle, and its heading clockwise from up.

    The crop has the start's camera in its middle and the start's heading to the right.
    """
    assert sample.start is not None
    middle = sample.start @ Pose2(1.08, -0.26, 0.0)
    crop = Crop(middle.x_m, middle.y_m, middle.yaw_rad)
    down, right = crop.from_map(camera_in_map(sample)) / kitti.M_PER_PX
    return right, down, crop.turn_rad + math.pi / 2 - sample.pose.yaw_rad


@pytest.mark.parametrize(("split", "noise"), [("test1", (0.5, -0.25, 0.8)), ("test2", (-1.0, 0.125, -0.5))])
def test_kitti_test_lines_by_the_published_formula(split: str, noise: tuple[float, ...], kitti_root: Path) -> None:
    right, down, heading = kitti_offset_px(kitti.KittiSamples(kitti_root, split)[0])
    gx, gy, theta = -noise[0], -noise[1], noise[2] * math.radians(10)
    reach = 20 / kitti.M_PER_PX
    assert right == pytest.approx(-gx * reach * math.cos(theta) + gy * reach * math.sin(theta), abs=1e-6)
    assert down == pytest.approx(gx * reach * math.sin(theta) + gy * reach * math.cos(theta), abs=1e-6)
    assert heading == pytest.approx(math.pi / 2 - theta)


def test_kitti_test_lines_as_the_original_loader_has_them(shared_data: Callable[[str], Path]) -> None:
    with np.load(shared_data("parity/geometry_loc2.npz")) as recorded:
        lines, yaws, found, turned = (recorded[f"kitti/test/{key}"] for key in ("lines", "oxts_yaw", "gt_loc", "R"))
    for line, yaw, loc, R in zip(lines, yaws, found, turned, strict=True):
        _, shift_x, shift_y, theta = str(line).split()
        pose = Pose2(0.0, 0.0, float(yaw))
        start = kitti.start_of(pose, float(shift_x), float(shift_y), float(theta))
        sample = _at(pose, start)
        right, down, heading = kitti_offset_px(sample)
        np.testing.assert_allclose([down * 504 / 512, right * 504 / 512], loc, atol=1e-3)
        # Loc²: the rotation takes the ground frame (behind, right) to the crop; its angle is minus the heading.
        assert math.remainder(math.atan2(R[1, 0], R[0, 0]) + heading, math.tau) == pytest.approx(0.0, abs=1e-5)


def _at(pose: Pose2, start: Pose2) -> Sample:
    from cvloc_ros.datasets.files import level_camera, tile
    from cvloc_ros.types import GroundView

    mounted = level_camera(0.0, (1.08, -0.26, 1.65))
    view = GroundView("c", np.zeros((2, 4, 3), np.uint8), Equirectangular(4, 2), mounted, 0)
    patch = tile(np.zeros((4, 4, 3), np.uint8), 1.0, "", ())
    return Sample("x", "x", (view,), patch, pose, start=start)


# --- VIGOR -----------------------------------------------------------------------------------------------------------

PANO = "Zi1rGqGhzVPCGzUkHVVUvA,40.749783,-73.981849,.jpg"
TILE = "satellite_40.7496418_-73.9818970.png"
NEXT = "satellite_40.7500000_-73.9820000.png"


@pytest.fixture
def vigor_root(tmp_path: Path) -> Path:
    """One panorama of New York with the published example label; a spot in the tile where the camera is."""
    root = tmp_path / "vigor"
    city = root / "NewYork"
    pano = np.zeros((512, 1024, 3), np.uint8)
    pano[:, 508:516] = 255  # north: the middle
    write(city / "panorama" / PANO, pano)
    write(city / "satellite" / TILE, dot((640, 640), 319.5 - 139, 319.5 + 34))
    write(city / "satellite" / NEXT, dot((640, 640), 10, 10))
    row = f"{PANO} {TILE} -139.0 -34.0 {NEXT} 200.0 -100.0 {NEXT} 100.0 321.0 {NEXT} -310.0 -310.0"
    for name in ("pano_label_balanced", "same_area_balanced_train", "same_area_balanced_test"):
        path = root / "splits__corrected/NewYork" / f"{name}__corrected.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{row}\r\n{row}".encode())  # CRLF, no end of the last line
        plain = root / "splits/NewYork" / f"{name}.txt"
        plain.parent.mkdir(parents=True, exist_ok=True)
        plain.write_text(row.replace("-139.0", "-130") + "\n")
    for other in ("Chicago", "Seattle", "SanFrancisco"):
        for folder, end in (("splits__corrected", "__corrected"), ("splits", "")):
            for name in ("pano_label_balanced", "same_area_balanced_train", "same_area_balanced_test"):
                path = root / folder / other / f"{name}{end}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("")
    return root


def test_vigor_label_position_and_orientation(vigor_root: Path) -> None:
    samples = open_samples(Data(source="vigor", root=str(vigor_root), split="same_area_train"))
    assert len(samples) == 2
    sample = samples[0]
    np.testing.assert_allclose(sample.pose.xy, spot_in_map(sample), atol=0.02)
    assert sample.pose.x_m > 0 and sample.pose.y_m > 0  # north-east of the middle
    assert sample.patch.metres_per_px == 0.113248
    # What is in the middle of the panorama lies to the north.
    view = sample.views[0]
    north = view.T_base_camera[:3, :3] @ view.camera.unproject(np.array([511.5, 255.5]))
    np.testing.assert_allclose(Pose2(0, 0, sample.pose.yaw_rad).apply(north[:2]), [0.0, 1.0], atol=1e-6)
    assert view.rgb[200, 511].mean() > 250


def test_vigor_semi_positives_outside_of_the_tile_are_dropped(vigor_root: Path) -> None:
    both = vigor.VigorSamples(vigor_root, "same_area_train", semi_positives=True)
    assert len(both) == 2 * 3  # the one at 321 px is outside
    assert len(vigor.VigorSamples(vigor_root, "cross_area_train", labels="original")) == 1
    original = vigor.VigorSamples(vigor_root, "cross_area_train", labels="original")[0]
    assert original.pose.y_m == pytest.approx(130 * 0.113248)
    assert len(vigor.VigorSamples(vigor_root, "cross_area_test")) == 0


def test_vigor_panoramas_turned_by_any_angle_still_show_north(vigor_root: Path) -> None:
    samples = vigor.VigorSamples(vigor_root, "same_area_test", any_heading=True)
    for index in range(2):
        sample = samples[index]
        view = sample.views[0]
        bright = np.flatnonzero(view.rgb[200, :, 0] > 128)
        centre = float(np.angle(np.exp(1j * (bright + 0.5) / 1024 * math.tau).mean()))
        ray = view.camera.unproject(np.array([centre / math.tau * 1024 % 1024 - 0.5, 255.5]))
        north = Pose2(0, 0, sample.pose.yaw_rad).apply((view.T_base_camera[:3, :3] @ ray)[:2])
        np.testing.assert_allclose(north, [0.0, 1.0], atol=0.01)
    assert samples[0].pose.yaw_rad != samples[1].pose.yaw_rad
    assert samples[0].pose == samples[0].pose


def test_vigor_labels_as_the_original_loader_has_them(shared_data: Callable[[str], Path]) -> None:
    with np.load(shared_data("parity/geometry_loc2.npz")) as recorded:
        rows, found, resolution = (recorded[f"vigor/{key}"] for key in ("rows", "known/gt_loc", "resolution"))
    for (city, down, left), loc, metres in zip(rows, found, resolution, strict=True):
        row = vigor.Row(str(city), PANO, TILE, float(down), float(left))
        east, north = row.position
        side = 640 / 630 * vigor.CITIES[row.city]
        assert float(metres) == pytest.approx(side, rel=1e-4)
        np.testing.assert_allclose([-north / side, east / side], loc, atol=1e-3)


def test_vigor_labels_agree_with_the_names_of_the_files() -> None:
    row = vigor.Row("NewYork", PANO, TILE, -139.0, -34.0)
    assert np.abs(np.subtract(vigor.mercator_px(row), (-139.0, -34.0))).max() < 3.0


def test_published_totals() -> None:
    def total(split: str) -> int:
        cities, name = vigor.SPLITS[split]
        return sum(vigor.COUNTS[city, name] for city in cities)

    assert [total(split) for split in vigor.SPLITS] == [52_609, 52_605, 51_520, 53_694]
    assert sum(vigor.TILES.values()) == 90_618
    assert kitti.COUNTS == {"train": 19_655, "test1": 3_773, "test2": 7_542}
    assert pytest.approx(0.1958285, abs=1e-7) == kitti.M_PER_PX
    assert pytest.approx(100.26, abs=0.01) == 512 * kitti.M_PER_PX
    assert sum(oxford.COUNTS.values()) == 17_067 + 1_698 + 1_673 + 1_708 + 1_708


# --- Oxford RobotCar --------------------------------------------------------------------------------------------------


def test_oxford_map_and_headings(tmp_path: Path) -> None:
    root = tmp_path / "oxford"
    place = np.array([619_500.0, 5_736_100.0])
    col, row = oxford.px_from_utm(place)
    write(root / "satellite_map.png", dot((2600, 2600), row, col, 6.0))
    write(root / "2015/ground/a.png", np.zeros((154, 231, 3), np.uint8))
    for split in ("training", "test1_j"):
        (root / f"{split}.txt").write_text(f"2015/ground/a.png 2015/satellite/a.png {place[0]} {place[1]}\n")
    np.save(root / "train_yaw.npy", np.array([math.radians(90 + 30)]))  # 30 degrees from north, clockwise
    np.save(root / "test1_j_yaw.npy", np.array([0.0]))  # west
    sample = open_samples(Data(source="oxford", root=str(root), split="training"))[0]
    np.testing.assert_allclose(spot_in_map(sample), sample.pose.xy, atol=0.1)
    assert sample.pose.yaw_rad == pytest.approx(math.radians(60))
    assert abs(oxford.OxfordSamples(root, "test1_j")[0].pose.yaw_rad) == pytest.approx(math.pi, abs=1e-9)
    assert sample.start is None and sample.patch.coverage < 1.0
    start = oxford.OxfordSamples(root, "test1_j")[0].start
    assert start is not None and np.abs(oxford.px_from_utm(start.xy) % 400).min() == pytest.approx(0.0, abs=1e-3)
    # The five published points, and the published size of a pixel.
    for utm, px in zip(oxford._POINTS_M, oxford._POINTS_PX, strict=True):
        assert np.abs(oxford.px_from_utm(utm) - px).max() < 60
    span = np.linalg.norm(oxford.utm_from_px(np.array([800.0, 0.0])) - oxford.utm_from_px(np.zeros(2)))
    assert span / 800 == pytest.approx(oxford.M_PER_PX, rel=0.01)
    with pytest.raises(DatasetError, match="headings"):
        oxford.read_headings(root, "validation")


# --- Ford AV ---------------------------------------------------------------------------------------------------------


def test_ford_positions_and_headings(tmp_path: Path) -> None:
    root, split = tmp_path / "ford", "2017-08-04-V2-Log1"
    tile_at, half = (42.294319, -83.223275), math.radians(40.0) / 2
    east, north = 12.0, -7.0
    lat = tile_at[0] + north / 111_081.0
    lon = tile_at[1] + east / (111_412.84 * math.cos(math.radians(42.294)) - 93.5 * math.cos(3 * math.radians(42.294)))
    quaternion = f"0 0 {math.sin(half)} {math.cos(half)}"  # 40 degrees clockwise from north
    row = f"1501822 {quaternion} {lat:.9f} {lon:.9f} {tile_at[0]} {tile_at[1]}"
    root.mkdir()
    (root / f"{split}.txt").write_text(row + "\n")
    (root / f"{split}_test.txt").write_text(row + " 0.5 0 1\n")
    for name in (split, f"{split}_test"):
        write(root / name / "1501822.png", np.zeros((256, 1024, 3), np.uint8))
    write(root / f"SatelliteMaps_18/{tile_at[0]}_{tile_at[1]}.png",
          dot((1280, 1280), 639.5 - north / 0.22, 639.5 + east / 0.22))  # fmt: skip
    sample = open_samples(Data(source="ford", root=str(root), split=split))[0]
    np.testing.assert_allclose(sample.pose.xy, spot_in_map(sample), atol=0.06)
    assert sample.pose.yaw_rad == pytest.approx(math.radians(50))
    noisy = ford.FordSamples(root, f"{split}_test")[0]
    assert noisy.start is not None and np.linalg.norm(noisy.start.xy - noisy.pose.xy) == pytest.approx(10.0)
    (root / "bad.txt").write_text(row.replace(quaternion, "0 0 0 0"))
    with pytest.raises(DatasetError, match="quaternion"):
        ford.FordSamples(root, "bad")


# --- training on them ------------------------------------------------------------------------------------------------

FG2 = {"extent_m": 48.0, "cells": 12, "heights": 2, "ground_size": [32, 64], "aerial_size": 96, "backbone": "conv",
       "channels": 32, "widths": [32, 32], "rounds": 1, "attention_heads": 4, "projector_layers": 1}  # fmt: skip


@pytest.mark.parametrize("source", ["kitti", "vigor"])
def test_a_training_runs_on_the_folders(source: str, kitti_root: Path, vigor_root: Path, tmp_path: Path) -> None:
    root, split = (kitti_root, "train") if source == "kitti" else (vigor_root, "same_area_train")
    align = "heading" if source == "kitti" else "roll"
    data = {"source": source, "root": str(root), "split": split}
    held_out = {**data, "split": "test1"} if source == "kitti" else data
    config = parse({
        "method": "fg2", "settings": {**FG2, "align": align, "mode": "published"}, "loss": {"matches": 64},
        "data": data, "validation": held_out, "prior": {"shape": "given", "sigma_m": 20.0, "sigma_deg": 10.0},
        "run": {"steps": 2, "batch": 2, "workers": 0, "evaluate_every": 2, "evaluate": 1, "pictures": 0},
    })  # fmt: skip
    outcome = train(config, tmp_path / "out", cpu=True)
    assert outcome.step == 2 and not outcome.skipped and outcome.metrics["samples"] == 1
    if source == "kitti":  # the published start is (0.5, -0.25) of 20 m away
        assert outcome.metrics["prior_position_median_m"] == pytest.approx(20 * math.hypot(0.5, 0.25), abs=0.3)


# --- what is missing -------------------------------------------------------------------------------------------------


def test_check_says_what_is_missing(
    kitti_root: Path, vigor_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recognise(kitti_root) == "kitti" and recognise(vigor_root) == "vigor"
    found = {finding.text: finding.level for finding in check(kitti_root, "kitti")}
    assert found["train: lines: 2, 19,655 are published"] == "note" and found["train: images: all 2"] == "ok"
    (kitti_root / f"satmap/{DRIVE}/0000000048.png").unlink()
    assert main(["data", "check", str(kitti_root)]) == 1
    assert "missing train: tiles: 1 of 2, such as" in capsys.readouterr().out
    assert main(["data", "check", str(vigor_root)]) == 1  # three cities are not there
    told = capsys.readouterr().out
    assert "100.0 % of the labels of pano_label_balanced within 3 px" in told and "Chicago" in told
    assert main(["data", "check", str(tmp_path)]) == 2
    assert "none of vigor, kitti" in capsys.readouterr().err


def test_faults_of_lists_and_files_are_named(kitti_root: Path, vigor_root: Path) -> None:
    named = ("kitti", kitti_root, "train, test1, test2"), ("vigor", vigor_root, "same_area_train")
    for source, root, splits in named:
        with pytest.raises(DatasetError, match=f"split = 'dev' of .*: there are {splits}"):
            open_samples(Data.model_validate({"source": source, "root": str(root), "split": "dev"}))
    with pytest.raises(DatasetError, match=r"data\.root is empty"):
        open_samples(Data(source="kitti", split="train"))
    image = kitti_root / f"raw_data/{DRIVE}/image_02/data/0000000048.png"
    image.write_bytes(image.read_bytes()[:60])
    with pytest.raises(SampleError, match=r"0000000048\.png \(60 bytes\) is no picture"):
        kitti.KittiSamples(kitti_root, "train")[0]
    (kitti_root / f"raw_data/{DRIVE}/oxts/data/0000000049.txt").write_text("1 2 3")
    with pytest.raises(SampleError, match="no yaw in field 5"):
        kitti.KittiSamples(kitti_root, "train")[1]
    (kitti_root / "train_files.txt").write_text("2011_09_26_drive_0002_sync/48.png\n")
    with pytest.raises(DatasetError, match="is no date/drive/frame"):
        kitti.KittiSamples(kitti_root, "train")
    (kitti_root / "test1_files.txt").write_text(f"{DRIVE}/0000000048.png 0.5 x 0.8\n")
    with pytest.raises(DatasetError, match="could not convert"):
        kitti.KittiSamples(kitti_root, "test1")
    (vigor_root / "splits/NewYork/pano_label_balanced.txt").write_text("too short\n")
    with pytest.raises(DatasetError, match="line 1: 2 fields, 13 are published"):
        vigor.VigorSamples(vigor_root, "cross_area_train", labels="original")


def test_the_published_part_for_validation_is_apart_from_the_training(vigor_root: Path) -> None:
    rows = (vigor_root / "splits/NewYork/pano_label_balanced.txt").read_text() * 10
    (vigor_root / "splits/NewYork/pano_label_balanced.txt").write_text(rows)
    data = Data(source="vigor", root=str(vigor_root), split="cross_area_train", labels="original")
    parts = [open_samples(data.model_copy(update={"part": part})) for part in ("first_80", "last_20")]
    assert [len(part) for part in parts] == [8, 2]
    chosen = [set(part._chosen.tolist()) for part in parts]  # type: ignore[attr-defined]
    assert not chosen[0] & chosen[1] and chosen[0] | chosen[1] == set(range(10))
