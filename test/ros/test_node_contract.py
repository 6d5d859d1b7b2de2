# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a filter and a person may rely on: stamps, covariance, frames, silence."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from fake_session import COVARIANCE
from geometry_msgs.msg import PolygonStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rig import stamp_now, wait_for
from sensor_msgs.msg import Image, NavSatFix, PointCloud2
from visualization_msgs.msg import Marker, MarkerArray

from cvloc_ros.ros import compat, debug

PLANAR = [0, 1, 5]


@pytest.fixture
def driving(rig):
    made = rig()
    made.ready_to_drive()
    return made


def test_pose_has_the_stamp_of_the_image_and_an_exact_covariance(driving):
    driving.listen("~/pose", PoseWithCovarianceStamped)
    stamp = stamp_now()
    driving.send_image(stamp)
    pose = driving.wait("~/pose")
    assert pose.header.stamp.sec * 10**9 + pose.header.stamp.nanosec == stamp
    assert pose.header.frame_id == "map"
    assert pose.pose.pose.position.z == 0.0
    covariance = np.reshape(pose.pose.covariance, (6, 6))
    assert covariance[np.ix_(PLANAR, PLANAR)] == pytest.approx(COVARIANCE)
    assert [covariance[i, i] for i in (2, 3, 4)] == [1e6] * 3
    cross = covariance[np.ix_(PLANAR, [2, 3, 4])]
    assert (cross == 0).all()
    assert (covariance == covariance.T).all()
    assert np.linalg.eigvalsh(covariance).min() > 0


def test_stamps_only_ever_grow(driving):
    driving.listen("~/pose", PoseWithCovarianceStamped)
    base = stamp_now(-0.5)
    driving.listen("~/status", compat.LocalizationStatus)
    for number, offset_ms in enumerate((0, 100, 50, 100, 200), start=1):
        driving.send_image(base + offset_ms * 10**6)
        driving.arrived("image camera", number)
        wait_for(lambda stamp=base + offset_ms * 10**6: driving.session.last_ns >= stamp)
    driving.wait("~/pose", 3)
    stamps = [item.header.stamp.sec * 10**9 + item.header.stamp.nanosec for item in driving.inbox["~/pose"]]
    assert stamps == [base, base + 100 * 10**6, base + 200 * 10**6]
    driving.status("old_stamp")


def test_node_refuses_to_repeat_a_stamp_whatever_the_session_says(driving):
    driving.listen("~/pose", PoseWithCovarianceStamped)
    driving.listen("~/status", compat.LocalizationStatus)
    now = stamp_now()
    driving.session.spoil = lambda result: dataclasses.replace(result, stamp_ns=now)
    driving.send_image(now)
    driving.wait("~/pose")
    driving.send_image(now + 10**8)
    assert "not newer" in driving.status("error").reasons[-1]
    assert len(driving.inbox["~/pose"]) == 1


@pytest.mark.parametrize("covariance", [np.full((3, 3), np.nan), np.zeros((3, 3)), -np.eye(3)])
def test_bad_covariance_is_never_published(driving, covariance):
    driving.session.spoil = lambda result: dataclasses.replace(
        result, estimate=dataclasses.replace(result.estimate, covariance=covariance)
    )
    driving.listen("~/pose", PoseWithCovarianceStamped)
    driving.listen("~/status", compat.LocalizationStatus)
    driving.send_image(stamp_now())
    status = driving.status("error")
    assert not status.accepted
    assert not driving.inbox["~/pose"]


def test_fix_odometry_and_datum_agree_with_the_pose(driving):
    driving.listen("~/fix", NavSatFix)
    driving.listen("~/odometry", Odometry)
    driving.listen("~/datum", NavSatFix, "latched")
    driving.send_image(stamp_now())
    fix, odometry, datum = driving.wait("~/fix"), driving.wait("~/odometry"), driving.wait("~/datum")
    assert (fix.latitude, fix.longitude) == pytest.approx((47.0001, 8.0), abs=1e-9)
    assert math.isnan(fix.altitude)
    assert np.reshape(fix.position_covariance, (3, 3))[:2, :2] == pytest.approx(COVARIANCE[:2, :2], abs=1e-3)
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("map", "base_link")
    assert (datum.latitude, datum.longitude) == (47.0, 8.0)


def test_status_tells_the_whole_attempt(driving):
    driving.listen("~/status", compat.LocalizationStatus)
    driving.send_image(stamp_now())
    status = driving.status("ok")
    assert status.accepted
    assert status.has_candidate
    assert status.has_prior
    assert status.has_window
    assert (status.sequence, status.score, status.tiles, status.tiles_cached) == (1, 0.7, 4, 3)
    assert list(status.stages) == ["patch", "match"]
    assert status.latency_s > 0
    assert math.isfinite(status.innovation_sigma)
    assert 0.0 < status.protection_level_m < 100.0
    assert status.depth_scale == 0.5
    assert status.attribution == "© Someone"


def test_shapes_and_debug_pictures_come_while_somebody_listens(driving):
    driving.listen("~/markers", MarkerArray)
    driving.listen("~/search_window", PolygonStamped)
    for name in ("overlay", "aerial", "score"):
        driving.listen(f"~/debug/{name}", Image, "best_effort")
    driving.listen("~/debug/points", PointCloud2, "best_effort")
    driving.send_image(stamp_now())
    assert len(driving.wait("~/search_window").polygon.points) == 4
    wipe, *shown = driving.wait("~/markers").markers
    assert wipe.action == Marker.DELETEALL
    assert [marker.ns for marker in shown] == ["prior ellipse", "prior", "pose ellipse", "pose", "status"]
    assert shown[-1].text.startswith("ok\nscore 0.70")
    for name in ("overlay", "aerial", "score"):
        picture = driving.wait(f"~/debug/{name}")
        assert (picture.encoding, picture.step) == ("rgb8", 3 * picture.width)
        assert len(picture.data) == picture.step * picture.height
    points = compat.read_points(driving.wait("~/debug/points"), ["x", "intensity"])
    assert list(points["intensity"]) == pytest.approx([1.0, 0.5, 0.2])


def test_map_comes_in_colour_also_to_who_looks_later_while_the_vehicle_stands(driving):
    driving.listen("~/pose", PoseWithCovarianceStamped)
    driving.send_image(stamp_now())
    driving.wait("~/pose")
    driving.listen("~/debug/map", PointCloud2)
    cloud = driving.wait("~/debug/map")
    points = compat.read_points(cloud, ["x", "y", "rgb"])
    assert cloud.header.frame_id == "map"
    assert np.ptp(points["x"]) == pytest.approx(80.0, abs=1.0)
    packed = np.ascontiguousarray(points["rgb"]).view(np.uint32)
    assert set(packed >> 24) == {0}
    assert (packed & 0xFF == packed >> 16).all()  # grey stripes
    assert packed.max() == 0xC8C8C8


def test_debug_pictures_are_not_made_for_nobody(driving, monkeypatch):
    made = []
    monkeypatch.setitem(debug.PICTURES, "~/debug/overlay", made.append)
    driving.listen("~/pose", PoseWithCovarianceStamped)
    driving.send_image(stamp_now())
    driving.wait("~/pose")
    assert not made


def test_worker_thread_alone_localizes(driving):
    driving.listen("~/pose", PoseWithCovarianceStamped)
    for number in range(1, 4):
        driving.send_image(stamp_now())
        driving.wait("~/pose", number)
    assert len(driving.session.threads) == 1


def test_newest_image_wins_and_drops_are_counted(driving):
    driving.listen("~/status", compat.LocalizationStatus)
    driving.session.delay_s = 0.3
    driving.publisher("image", Image)
    for number in range(1, 7):
        sent = stamp_now()
        driving.send_image(sent)
        driving.arrived("image camera", number)
    wait_for(lambda: driving.session.localized and driving.session.localized[-1][0].stamp_ns == sent)
    wait_for(lambda: driving.inbox["~/status"] and driving.inbox["~/status"][-1].dropped_images > 0)
    assert len(driving.session.localized) < 6
