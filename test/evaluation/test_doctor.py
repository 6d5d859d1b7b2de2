# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The doctor finds what was broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.config import Config, merge, parse
from cvloc_ros.evaluation.doctor.check import Check, Level, table
from cvloc_ros.evaluation.doctor.examine import examine_bag

MakeBag = Callable[..., Path]
Row = tuple[str, str, int, object]
DATA = Path(__file__).parents[2].parent / "shared" / "data" / "paris_drive"
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


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/paris_drive is absent")
def test_paris_drive_is_sound() -> None:
    config = parse({"geo": {"datum": [48.8503, 2.3346, 0.0]}, "tiles": {"source": str(DATA / "map.mbtiles")}})
    checks = examine_bag(DATA / "bag", config)
    assert bad(checks) == ""
    assert any(c.subject == "imagery" and "imagery at" in c.finding for c in checks)
