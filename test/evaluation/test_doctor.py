# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor finds what was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvloc_ros.config import Config, merge, parse
from cvloc_ros.evaluation.doctor.check import Check, Level, table
from cvloc_ros.evaluation.doctor.examine import examine_bag
from cvloc_ros.evaluation.doctor.motion import check_motion
from cvloc_ros.evaluation.doctor.survey import Survey
from cvloc_ros.evaluation.topics import Wiring
from cvloc_ros.geo.projection import Projection
from cvloc_ros.types import GeoFix, HeadingSample, OdomSample, Pose2

MakeBag = Callable[..., Path]
Row = tuple[str, str, int, object]
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "paris_drive"
START_NS = 1_700_000_000 * 10**9
HOUR_NS = 3600 * 10**9
DATUM = parse({"geo": {"datum": [47.0, 8.0, 0.0]}})


def bad(checks: list[Check], level: Level = Level.FAIL) -> str:
    return "\n".join(f"{c.subject}: {c.finding} {c.remedy}" for c in checks if c.level is level)


def test_sound_drive_has_nothing_to_mend_but_the_map(make_bag: MakeBag) -> None:
    checks = examine_bag(make_bag(), DATUM)
    assert bad(checks) == ""
    assert "no map given" in bad(checks, Level.WARN)
    assert "0 FAIL" in table(checks)


def test_missing_camera_info(make_bag: MakeBag, rows: list[Row]) -> None:
    path = make_bag(rows=[row for row in rows if row[0] != "/camera/rear/camera_info"])
    assert "camera rear: no camera_info" in bad(examine_bag(path, DATUM))


def test_missing_mounting(make_bag: MakeBag, rows: list[Row]) -> None:
    path = make_bag(rows=[row for row in rows if row[0] != "/tf_static"])
    found = bad(examine_bag(path, DATUM))
    assert "no transform from base_link to camera_front_optical_frame" in found and "mounting" in found
    given = {name: {"mounting": [0.5, 0.0, 2.0, 0.0, 0.3, 0.0]} for name in ("front", "rear")}
    assert bad(examine_bag(path, DATUM, given)) == ""


def test_camera_that_looks_at_the_sky(make_bag: MakeBag, rows: list[Row], maker: object) -> None:
    up = maker.transform(rows[0][2], "base_link", "camera_front_optical_frame", 0.0, 0.0, 2.0)
    static = [row for row in rows if row[0] == "/tf_static"][1:]
    rest = [row for row in rows if row[0] != "/tf_static"]
    path = make_bag(rows=[(*static[0][:3], up), *static, *rest])
    assert "camera front: only 0.0% of its pixels see ground" in bad(examine_bag(path, DATUM))


def test_zero_stamps_and_a_foreign_clock(make_bag: MakeBag, rows: list[Row], maker: object) -> None:
    changed = [
        (t, k, s, maker.odom(0, 0.0) if t == "/odom" else maker.fix(s - HOUR_NS, 0.0, 0.0) if t == "/fix" else m)
        for t, k, s, m in rows
    ]
    found = bad(examine_bag(make_bag(rows=changed), DATUM))
    assert "/odom: 40 of 40 stamps are zero" in found
    assert "/fix: stamps are 3600" in found


def test_no_usable_fix(make_bag: MakeBag, rows: list[Row], maker: object) -> None:
    lost = [(t, k, s, maker.fix(s, 0.0, 0.0, status=-1)) if t == "/fix" else (t, k, s, m) for t, k, s, m in rows]
    assert "none of 4 fixes is usable" in bad(examine_bag(make_bag(rows=lost), DATUM))


def test_antenna_that_nothing_ties_to_the_vehicle(make_bag: MakeBag, rows: list[Row]) -> None:
    for topic, _, _, message in rows:
        if topic == "/fix":
            message.header.frame_id = "mast"
    found = bad(examine_bag(make_bag(rows=rows), DATUM), Level.WARN)
    assert "the place of the antenna is not known" in found and "publish base_link -> mast" in found


def test_wrong_image_size_and_calibration(make_bag: MakeBag, rows: list[Row], maker: object) -> None:
    changed = []
    for topic, kind, stamp, message in rows:
        if topic == "/camera/front/camera_info":
            message.width = 96
        if topic == "/camera/rear/camera_info":
            message.k = np.zeros(9)
            message.p = np.zeros(12)
        changed.append((topic, kind, stamp, message))
    found = bad(examine_bag(make_bag(rows=changed), DATUM))
    assert "camera front: image is (48, 32), camera_info says (96, 32)" in found
    assert "camera rear: calibration refused" in found


def test_far_datum_and_frames_with_slash(make_bag: MakeBag, rows: list[Row], maker: object) -> None:
    for topic, _, _, message in rows:
        if topic == "/fix":
            message.header.frame_id = "/gps"
    path = make_bag(rows=rows)
    warnings = bad(examine_bag(path, merge(Config(), {"geo": {"datum": [45.0, 8.0, 0.0]}})), Level.WARN)
    assert "222 km from it" in warnings
    assert "leading slash: /gps" in warnings


def test_missing_map_file_is_a_finding_not_a_crash(make_bag: MakeBag, tmp_path: Path) -> None:
    config = merge(DATUM, {"tiles": {"source": str(tmp_path / "absent.mbtiles")}})
    assert "absent.mbtiles" in bad(examine_bag(make_bag(), config))


def test_bag_without_camera(make_bag: MakeBag, rows: list[Row]) -> None:
    path = make_bag(rows=[row for row in rows if "camera" not in row[0]])
    assert "no camera" in bad(examine_bag(path, DATUM))


def bend(steps: int = 60) -> np.ndarray:
    """x, y, yaw every second at 2 m/s: straight, then a left turn."""
    yaw = np.clip(np.arange(steps) - 30, 0, None) * 0.05
    step = 2.0 * np.column_stack([np.cos(yaw), np.sin(yaw)])
    return np.column_stack([np.cumsum(step, axis=0), yaw])


def driven(odometry: np.ndarray, heading_rad: float | None = None) -> str:
    """What is found where GNSS tells of `bend`, and odometry of something else."""
    survey = Survey(Wiring(DATUM, {}, {}, fix="/fix", odom="/odom"))
    plane = Projection("local_enu", 47.0, 8.0)
    for number, ((x, y, yaw), own) in enumerate(zip(bend(), odometry, strict=True)):
        stamp = START_NS + number * 10**9
        latitude, longitude = plane.to_geodetic(np.array([x, y]))
        survey.fixes.append(GeoFix(float(latitude), float(longitude), stamp, np.eye(2)))
        survey.track.append(OdomSample(stamp, Pose2(*map(float, own))))
        if heading_rad is not None:
            survey.headings.append(HeadingSample(stamp, float(yaw + heading_rad), 0.1))
    return "\n".join(f"{c.level.value} {c.subject}: {c.finding}" for c in check_motion(survey))


def turned(path: np.ndarray, by_rad: float) -> np.ndarray:
    rotation = np.array([[np.cos(by_rad), -np.sin(by_rad)], [np.sin(by_rad), np.cos(by_rad)]])
    return np.column_stack([path[:, :2] @ rotation.T, path[:, 2] + by_rad])


def test_odometry_that_agrees_with_gnss_whatever_its_start() -> None:
    found = driven(turned(bend(), 2.0), heading_rad=0.05)
    assert "OK motion: odometry and GNSS agree to 0.0 m" in found
    assert "OK heading: +2.9 degrees" in found
    assert "WARN" not in found


@pytest.mark.parametrize(
    ("odometry", "words"),
    [
        (bend() * [1, -1, -1], "turns left where GNSS turns right"),
        (bend() * [3.6, 3.6, 1], "3.60 times those of GNSS"),
        (bend() + np.array([0.0, 0.0, np.pi / 2]), "moves -90 degrees from where its x axis points"),
        (np.column_stack([bend()[:, 0], 0 * bend()[:, 1:]]), "m from that of GNSS"),
    ],
)
def test_odometry_with_turned_axes_or_wrong_units(odometry: np.ndarray, words: str) -> None:
    assert words in driven(odometry)


def test_compass_for_a_heading() -> None:
    assert "heading: it is 90 degrees from the direction of the drive" in driven(bend(), heading_rad=np.pi / 2)


def test_vehicle_that_stands_is_told_to_drive() -> None:
    survey = Survey(Wiring(DATUM, {}, {}, fix="/fix", odom="/odom"))
    survey.fixes = [GeoFix(47.0, 8.0, START_NS + n * 10**9, np.eye(2)) for n in range(5)]
    survey.track = [OdomSample(START_NS + n * 10**9, Pose2(0.0, 0.0, 0.0)) for n in range(5)]
    assert "drive 20 m with a bend" in next(check_motion(survey)).finding


def test_localizer_of_the_bag_that_had_another_datum(make_bag: MakeBag, rows: list[Row], maker: object) -> None:
    other = maker.fix(rows[0][2], 50.0, 0.0)
    path = make_bag(rows=[("/cvloc/datum", "sensor_msgs/msg/NavSatFix", rows[0][2], other), *rows])
    assert "/cvloc/datum lies 50.1 m from geo.datum" in bad(examine_bag(path, DATUM), Level.WARN)


def test_map_that_ends_beside_the_vehicle(make_bag: MakeBag, tmp_path: Path) -> None:
    tiles = 2**19
    column = int((8.0 + 180.0) / 360.0 * tiles)
    row = int((1.0 - np.arcsinh(np.tan(np.radians(47.0))) / np.pi) / 2.0 * tiles)
    ground = np.random.default_rng(1).integers(60, 200, (256, 256, 3), np.uint8)
    (tmp_path / "19" / str(column)).mkdir(parents=True)  # about 52 m wide, 44 m of it west of the start
    for y in (row - 1, row, row + 1):
        cv2.imwrite(str(tmp_path / "19" / str(column) / f"{y}.png"), ground)
    checks = examine_bag(make_bag(), merge(DATUM, {"tiles": {"source": str(tmp_path)}}))
    assert "imagery at 100%" in bad(checks, Level.OK)
    assert "of the 70 m around the last fix take a larger map" in bad(checks, Level.WARN)


def test_steps_and_what_to_mend_first(make_bag: MakeBag, tmp_path: Path) -> None:
    checks = examine_bag(make_bag(), merge(DATUM, {"tiles": {"source": str(tmp_path / "absent.mbtiles")}}))
    lines = table(checks).splitlines()
    headings = [line for line in lines if line and not line.startswith((" ", "OK", "WARN", "FAIL"))]
    assert headings[:7] == ["topics", "frames", "stamps", "cameras", "GNSS and odometry", "datum", "imagery"]
    assert headings[-1].startswith("first: imagery: see tiles.source")


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/paris_drive is absent")
def test_paris_drive_is_sound() -> None:
    config = parse({"geo": {"datum": [48.8503, 2.3346, 0.0]}, "tiles": {"source": str(DATA / "map.mbtiles")}})
    checks = examine_bag(DATA / "bag", config)
    assert bad(checks) == ""
    assert any(c.subject == "imagery" and "imagery at" in c.finding for c in checks)
