# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A whole replay with a stand-in for the matcher: feeding, grouping, outputs, determinism, report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.config import Config, load, merge, parse
from cvloc_ros.errors import BagError, CvlocError
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.feed import Feed, InitialYaw
from cvloc_ros.evaluation.mosaic import PatchMosaic
from cvloc_ros.evaluation.replay import Outcome, Part, play
from cvloc_ros.evaluation.run import Options, run
from cvloc_ros.evaluation.topics import wire
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.types import AerialPatch, Pose2

MakeBag = Callable[..., Path]
CONFIG = parse({"geo": {"datum": [47.0, 8.0, 0.0]}, "tiles": {"source": "none.mbtiles"}})


def played(path: Path, session_type: type, part: Part | None = None) -> tuple[list[Outcome], object]:
    with Bag.open(path) as bag:
        wiring = wire(bag, CONFIG)
        session = session_type(wiring.config)
        outcomes: list[Outcome] = []
        play(bag, session, wiring, Feed(session, wiring), outcomes.append, part)
    return outcomes, session


@pytest.mark.parametrize("storage", ["mcap", "sqlite3", "ros1"])
def test_every_image_set_is_attempted_once_and_in_order(make_bag: MakeBag, session: type, storage: str) -> None:
    outcomes, fake = played(make_bag(storage), session)
    assert [o.result.stamp_ns for o in outcomes] == sorted(o.result.stamp_ns for o in outcomes)
    assert len(outcomes) == 8
    assert all([i.camera for i in o.images] == ["front", "rear"] for o in outcomes)
    assert all(call[1][2] for call in fake.calls if call[0] == "localize"), "odometry had not reached the image"
    assert {call[1] for call in fake.calls if call[0] == "calibration"} == {"front", "rear"}


def test_part_of_a_bag_still_has_static_transforms(make_bag: MakeBag, session: type) -> None:
    outcomes, fake = played(make_bag(), session, Part(start_s=1.0, duration_s=1.0))
    assert len(outcomes) == 2
    assert "camera_front_optical_frame" in fake.transforms.frames()
    outcomes, _ = played(make_bag(name="other"), session, Part(max_images=3))
    assert len(outcomes) == 3


def test_initial_pose_comes_from_the_first_usable_fix(make_bag: MakeBag, session: type) -> None:
    with Bag.open(make_bag()) as bag:
        wiring = wire(bag, CONFIG)
        fake = session(wiring.config)
        feed = Feed(fake, wiring, InitialYaw(30.0))
        for item in bag.messages(wiring.topics):
            feed.handle(item)
    assert fake.initial is not None
    stamp, pose = fake.initial
    assert stamp == 1_700_000_000 * 10**9
    assert pose.x_m == pytest.approx(3.0, abs=0.01)
    assert np.degrees(pose.yaw_rad) == pytest.approx(30.0)


def test_initial_yaw_of_the_truth_starts_at_the_first_fix_with_truth(make_bag: MakeBag, session: type) -> None:
    second_ns = 1_700_000_001 * 10**9
    truth = Trajectory.of([(second_ns, Pose2(0.0, 0.0, 1.0)), (second_ns + 1, Pose2(0.0, 0.0, 1.0))], "test")
    with Bag.open(make_bag()) as bag:
        wiring = wire(bag, CONFIG)
        fake = session(wiring.config)
        feed = Feed(fake, wiring, InitialYaw(-3.0, 12.0, truth))
        for item in bag.messages(wiring.topics):
            feed.handle(item)
    stamp, pose = fake.initial
    assert stamp == second_ns
    assert np.degrees(pose.yaw_rad) == pytest.approx(np.degrees(1.0) - 3.0)


def test_two_replays_write_the_same_files(make_bag: MakeBag, session: type, tmp_path: Path) -> None:
    path = make_bag()
    for name in ("one", "two"):
        run(CONFIG, Options(path, tmp_path / name, report=False), session)
    for name in ("poses.tum", "truth.tum", "config.yaml", "bag/bag.db3", "bag/metadata.yaml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    run(CONFIG, Options(path, tmp_path / "one", report=False), session)


def test_outputs_hold_what_was_published(make_bag: MakeBag, session: type, tmp_path: Path) -> None:
    replayed = run(CONFIG, Options(make_bag(), tmp_path / "out", report=False), session)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["images"], metrics["image_sets"], metrics["attempts"]) == (16, 8, 7)
    assert metrics["published"] == 6
    assert metrics["attempts_inside"] == 5
    assert metrics["availability"] == 1.0
    assert metrics["position_error_m"]["max"] == pytest.approx(0.1)
    assert metrics["gnss_position_error_m"]["median"] == pytest.approx(3.0, abs=0.02)
    assert metrics["nees_mean"] == pytest.approx(0.25)
    assert (metrics["integrity"]["failures"], metrics["integrity"]["n"]) == (0, 6)
    with Bag.open(tmp_path / "out" / "bag") as bag:
        read = list(bag.messages())
    statuses = [m.message for m in read if m.topic == "/cvloc/status"]
    poses = [m.message for m in read if m.topic == "/cvloc/pose"]
    transforms = [m.message.transforms[0] for m in read if m.topic == "/tf"]
    assert (len(statuses), len(poses), len(transforms)) == (8, 6, 6)
    assert statuses[0].status == "waiting_keyframes" and not statuses[0].accepted
    assert statuses[1].accepted and statuses[1].y == pytest.approx(0.1)
    assert np.isnan(statuses[0].protection_level_m)
    assert np.isnan(statuses[1].depth_scale)
    assert statuses[1].protection_level_m == pytest.approx(200**0.5), "another place is 0.1 as likely"
    assert poses[0].pose.covariance[35] == pytest.approx(0.0004) and poses[0].pose.covariance[14] == 1e6
    assert transforms[0].header.frame_id == "map" and transforms[0].child_frame_id == "odom"
    assert transforms[0].transform.translation.y == pytest.approx(0.1)
    assert load(tmp_path / "out" / "config.yaml") == replayed.config


@pytest.mark.parametrize("name", ["poses.tum", "config.yaml", "metrics.json"])
def test_a_full_disk_ended_a_replay_with_a_traceback(
    name: str, make_bag: MakeBag, session: type, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to("/dev/full")
    with pytest.raises(CvlocError, match=rf"{name}: cannot be written: No space left on device; free"):
        run(CONFIG, Options(make_bag(), tmp_path / "out", report=False), session)


def test_an_outage_after_the_end_was_reported_as_one_that_was_survived(
    make_bag: MakeBag, session: type, tmp_path: Path
) -> None:
    with pytest.raises(BagError, match=r"outage 100,15 begins after the last image"):
        run(CONFIG, Options(make_bag(), tmp_path / "out", gnss_outages=((100.0, 15.0),), report=False), session)


def test_truth_without_datum_is_refused_with_the_remedy(make_bag: MakeBag, session: type, tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"--datum LAT,LON.*--truth none"):
        run(Config(), Options(make_bag(), tmp_path / "out"), session)
    replayed = run(Config(), Options(make_bag(name="b"), tmp_path / "out", truth="none", report=False), session)
    assert replayed.metrics["within_1m"] is None
    assert replayed.config.geo.datum_source == "first_fix"


def test_datum_topic_of_the_bag_is_used(
    make_bag: MakeBag, session: type, tmp_path: Path, maker: object, rows: list[tuple[str, str, int, object]]
) -> None:
    rows.append(("/cvloc/datum", "sensor_msgs/msg/NavSatFix", rows[0][2], maker.fix(rows[0][2], 0.0, 0.0)))
    path = make_bag(rows=sorted(rows, key=lambda row: row[2]))
    replayed = run(Config(), Options(path, tmp_path / "out", report=False), session)
    assert replayed.config.geo.datum == pytest.approx([47.0, 8.0, 0.0])


def test_report_is_complete_and_loads_nothing(make_bag: MakeBag, session: type, tmp_path: Path) -> None:
    path = make_bag(custom={"simulated": "true", "note": "a <test> drive"})
    run(CONFIG, Options(path, tmp_path / "out"), session)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    own = text.split("<script>")[0] + text.rsplit("<script>", 1)[1]
    assert not re.search(r"https?://", own)
    assert all(uri.startswith("data:") for uri in re.findall(r"""<[^>]*\s(?:src|href)\s*=\s*["']?([^"'\s>]+)""", own))
    assert "default-src 'none'" in text
    assert "simulated" in text
    assert "a &lt;test&gt; drive" in text and "<test>" not in own
    assert "(c) test" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    assert len(data["map"]["published"]) == 6
    assert data["map"]["image"]["uri"].startswith("data:image/webp;base64,")
    assert "imagery &lt;ends&gt;" in data["map"]["refused"][0][3]
    assert len(text) < 15e6


def test_keys_of_map_addresses_stay_out_of_results(make_bag: MakeBag, session: type, tmp_path: Path) -> None:
    source = "https://user:word@tiles.test/{z}/{x}/{y}.png?style=sat&api_key=abc123"
    run(merge(CONFIG, {"tiles": {"source": source}}), Options(make_bag(), tmp_path / "out"), session)
    for name in ("report.html", "metrics.json", "bag/bag.db3"):
        content = (tmp_path / "out" / name).read_bytes()
        assert b"abc123" not in content and b"user:word" not in content, name
    assert b"style=sat" in (tmp_path / "out" / "metrics.json").read_bytes()


def test_part_without_image_is_refused(make_bag: MakeBag, session: type, tmp_path: Path) -> None:
    with pytest.raises(BagError, match="no image"):
        run(CONFIG, Options(make_bag(), tmp_path / "out", part=Part(start_s=100.0), report=False), session)


def test_mosaic_joins_patches_and_knows_where_imagery_ends() -> None:
    mosaic = PatchMosaic(0.5)
    for left in (-40.0, 10.0):
        valid = np.ones((100, 100), dtype=bool)
        rgb = np.full((100, 100, 3), 50 if left < 0 else 200, np.uint8)
        mapping = np.array([[0.5, 0.0, left + 0.25], [0.0, -0.5, 24.75]])
        mosaic.add(AerialPatch(rgb, valid, 0.5, mapping, "", 1.0, (left,)))
    points = np.array([[-39.0, 0.0], [9.0, 24.0], [11.0, -24.0], [59.0, 0.0], [61.0, 0.0], [0.0, 26.0], [500.0, 0.0]])
    np.testing.assert_array_equal(mosaic.valid_at(points), [True, True, True, True, False, False, False])
    assert mosaic.street_share(Pose2(0.0, 0.0, 0.5)) == 1.0
    assert mosaic.street_share(Pose2(60.0, 0.0, 0.0)) == pytest.approx(0.5, abs=0.05)
    picture = mosaic.picture(np.array([[0.0, 0.0], [20.0, 0.0]]), margin_m=5.0)
    assert picture is not None
    column = int((-2.0 - picture.x_min_m) / 0.5)
    assert picture.rgba[10, column, 0] == 50 and picture.rgba[10, -2, 0] == 200
