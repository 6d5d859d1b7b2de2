# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from cvloc_ros import config
from cvloc_ros.errors import CvlocError
from cvloc_ros.geo.projection import Projection
from cvloc_ros.simulation import writer
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.registration import registration_error
from cvloc_ros.simulation.scene import HeadingSpec, ImuSpec, Scene
from cvloc_ros.simulation.town import make_layout
from cvloc_ros.simulation.view import map_image
from cvloc_ros.simulation.world import build_world

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {
    "/tf_static": 1, "/cvloc/datum": 1, "/tf": 61, "/odom": 61, "/fix": 3, "/ground_truth/pose": 76, "/imu": 301,
    "/camera/front/camera_info": 15, "/camera/front/image/compressed": 15,
    "/camera/rear/camera_info": 15, "/camera/rear/image/compressed": 15,
}  # fmt: skip
LATCHED = {"/tf_static", "/cvloc/datum"}


def _stamp(message: Any) -> int:
    header = message.transforms[0].header if hasattr(message, "transforms") else message.header
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


@pytest.fixture(scope="module")
def recorded(drive: Path) -> dict[str, list[tuple[int, Any]]]:
    found = defaultdict(list)
    with AnyReader([drive / "bag"]) as reader:
        for connection, log_ns, data in reader.messages():
            found[connection.topic].append((log_ns, reader.deserialize(data, connection.msgtype)))
    return dict(found)


def test_all_topics_are_there_with_their_counts(recorded: dict[str, list[Any]]) -> None:
    assert {topic: len(items) for topic, items in recorded.items()} == COUNTS


def test_latched_topics_are_offered_so(drive: Path) -> None:
    with AnyReader([drive / "bag"]) as reader:
        for connection in reader.connections:
            durability = connection.ext.offered_qos_profiles[0].durability.name
            assert (durability == "TRANSIENT_LOCAL") == (connection.topic in LATCHED)


def test_delays_between_stamp_and_log_time(recorded: dict[str, list[Any]]) -> None:
    for topic, delay_ms in (("/fix", 120), ("/odom", 5), ("/camera/front/image/compressed", 50)):
        for log_ns, message in recorded[topic]:
            assert (log_ns - _stamp(message)) / 1e6 == pytest.approx(delay_ms, abs=0.01)


def test_both_cameras_and_their_calibration_have_the_same_stamps(recorded: dict[str, list[Any]]) -> None:
    stamps = [[_stamp(m) for _, m in recorded[topic]] for topic in sorted(COUNTS) if topic.startswith("/camera")]
    assert all(one == stamps[0] for one in stamps)
    assert np.diff(stamps[0]) == pytest.approx(200e6)


def test_images_decode_to_the_size_of_the_calibration(recorded: dict[str, list[Any]]) -> None:
    info = recorded["/camera/rear/camera_info"][0][1]
    image = cv2.imdecode(np.array(recorded["/camera/rear/image/compressed"][0][1].data), cv2.IMREAD_COLOR)
    assert image.shape == (info.height, info.width, 3) == (200, 320, 3)
    assert info.distortion_model == "plumb_bob" and len(info.d) == 5
    assert image.std() > 15


def test_truth_topic_truth_file_and_trajectory_agree(
    drive: Path, scene: Scene, recorded: dict[str, list[Any]]
) -> None:
    lines = [line.split() for line in (drive / "truth.tum").read_text().splitlines() if not line.startswith("#")]
    trajectory = make_trajectory(scene, make_layout(scene))
    assert len(lines) == len(recorded["/ground_truth/pose"])
    for line, (_, message) in zip(lines, recorded["/ground_truth/pose"], strict=True):
        position = message.pose.pose.position
        exact = trajectory.pose((_stamp(message) - scene.start_s * 10**9) * 1e-9)
        assert int(line[0].replace(".", "")) == _stamp(message)
        assert np.allclose([float(line[1]), float(line[2])], [position.x, position.y], atol=1e-6)
        assert np.allclose([exact.x_m, exact.y_m], [position.x, position.y], atol=1e-6)
        assert message.header.frame_id == "map"


def test_datum_topic_and_fixes_fit_the_projection(scene: Scene, recorded: dict[str, list[Any]]) -> None:
    datum = recorded["/cvloc/datum"][0][1]
    assert (datum.latitude, datum.longitude) == scene.datum
    projection = Projection(scene.projection, *scene.datum)
    trajectory = make_trajectory(scene, make_layout(scene))
    for _, message in recorded["/fix"]:
        pose = trajectory.pose((_stamp(message) - scene.start_s * 10**9) * 1e-9)
        off = projection.to_map(message.latitude, message.longitude) - pose.xy
        assert np.linalg.norm(off) < 12
        assert message.position_covariance[0] == pytest.approx(2.5**2 + 0.2**2 + 0.5)
        assert message.header.frame_id == "gnss"


def test_same_scene_same_bytes(drive: Path, scene: Scene, tmp_path: Path, silent: Any) -> None:
    writer.write_drive(Scene.load(drive / "scene.yaml"), tmp_path, silent)
    for name in ("bag/bag.mcap", "bag/metadata.yaml", "map.mbtiles", "truth.tum", "scene.yaml", "mask_front.png"):
        assert (tmp_path / name).read_bytes() == (drive / name).read_bytes(), name


def test_sqlite3_of_version_8_for_humble(scene: Scene, tmp_path: Path, silent: Any) -> None:
    humble = replace(scene, storage="sqlite3", bag_version=8, duration_s=1.0, map_zooms=(18,))
    writer.write_drive(humble, tmp_path, silent)
    assert "version: 8" in (tmp_path / "bag" / "metadata.yaml").read_text()
    with AnyReader([tmp_path / "bag"]) as reader:
        assert {c.topic for c in reader.connections} == set(COUNTS)


def test_an_absolute_heading_is_written_and_named_only_on_request(
    scene: Scene, tmp_path: Path, silent: Any, recorded: dict[str, list[Any]]
) -> None:
    assert {t.child_frame_id for t in recorded["/tf_static"][0][1].transforms} >= {"gnss", "imu"}
    asked = replace(scene, duration_s=1.0, map_zooms=(18,), heading=HeadingSpec(rate_hz=10.0))
    writer.write_drive(asked, tmp_path, silent)
    assert config.load(tmp_path / "cvloc.yaml").inputs.heading_topic == "/heading"
    with AnyReader([tmp_path / "bag"]) as reader:
        assert next(c for c in reader.connections if c.topic == "/heading").msgcount == 10


def test_a_drive_without_inertial_sensor(scene: Scene, tmp_path: Path, silent: Any) -> None:
    bare = replace(scene, duration_s=1.0, map_zooms=(18,), imu=ImuSpec(rate_hz=0.0))
    writer.write_drive(bare, tmp_path, silent)
    with AnyReader([tmp_path / "bag"]) as reader:
        assert {c.topic for c in reader.connections} == set(COUNTS) - {"/imu"}


def test_the_registration_error_along_the_drive_is_written(scene: Scene, tmp_path: Path, silent: Any) -> None:
    """The flat renderer once named an error in the truth file that its map did not have."""
    off = replace(scene, map_zooms=(18,), map_error_m=2.0)
    writer.write_drive(off, tmp_path, silent)
    rows = np.loadtxt(tmp_path / "registration.csv", delimiter=",", skiprows=2)
    assert np.allclose(registration_error(off, rows[:, 1:3]), rows[:, 3:], atol=2e-3)
    assert "2 m and 150 m" in (tmp_path / "truth.tum").read_text()
    plain = build_world(replace(off, map_error_m=0.0))
    _, shown = map_image(build_world(off))
    assert np.abs(shown.astype(int) - map_image(plain)[1]).mean() > 2


def test_parameters_are_valid_and_name_the_map(drive: Path) -> None:
    loaded = config.load(drive / "cvloc.yaml")
    assert loaded.camera_names == ["front", "rear"]
    assert Path(loaded.tiles.source) == drive / "map.mbtiles"
    assert Path(loaded.cameras["front"].mask_file).is_file()


def test_a_drive_cut_off_is_not_complete_and_is_made_again(scene: Scene, tmp_path: Path, silent: Any) -> None:
    short = replace(scene, duration_s=1.0, map_zooms=(18,))
    writer.write_drive(short, tmp_path, silent)
    assert writer.is_complete(short, tmp_path)
    assert not writer.is_complete(scene, tmp_path)
    (tmp_path / "scene.yaml").rename(tmp_path / "scene.yaml.part")
    (tmp_path / "bag" / "metadata.yaml").unlink()
    assert not writer.is_complete(short, tmp_path)
    writer.write_drive(short, tmp_path, silent)
    assert writer.is_complete(short, tmp_path)


def test_a_bag_of_somebody_else_is_never_removed(scene: Scene, tmp_path: Path, silent: Any) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "mine.mcap").write_bytes(b"precious")
    with pytest.raises(CvlocError, match="no simulation wrote"):
        writer.write_drive(scene, tmp_path, silent)
    assert (tmp_path / "bag" / "mine.mcap").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_written_is_named(scene: Scene, tmp_path: Path, silent: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CvlocError, match="file"):
        writer.write_drive(scene, tmp_path / "file" / "below", silent)


@pytest.mark.parametrize("limit", [30_000, 400_000])
def test_full_disk_is_told_with_the_remedy(scene: Scene, tmp_path: Path, limit: int) -> None:
    """A limit on the size of files stands for the full disk: the map, then the bag, cannot be completed."""
    (tmp_path / "scene.yaml").write_text(replace(scene, map_zooms=(18,)).to_yaml())
    script = f"""
import resource, signal, sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from cvloc_ros.errors import CvlocError
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.writer import write_drive
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
scene = Scene.load(Path({str(tmp_path / "scene.yaml")!r}))
try:
    write_drive(scene, Path({str(tmp_path / "out")!r}), lambda total, title: nullcontext(SimpleNamespace(update=len)))
except CvlocError as err:
    sys.exit(f"told: {{err}}")
"""
    script = script.replace("update=len", "update=lambda steps: None")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "told: " in done.stderr and "free some space" in done.stderr, done.stderr[-800:]
    assert not (tmp_path / "out" / "scene.yaml").exists()
