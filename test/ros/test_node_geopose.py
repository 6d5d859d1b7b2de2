# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The pose on the Earth: ~/geopose where geographic_msgs is installed, and a node that does without."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_session import COVARIANCE
from geometry_msgs.msg import PoseWithCovarianceStamped
from rig import stamp_now
from sensor_msgs.msg import NavSatFix

from cvloc_ros.ros import compat

TURN = 0.7
"""Yaw of the datum: true east lies at -TURN in the map."""


@pytest.mark.skipif(compat.GeoPoseWithCovarianceStamped is None, reason="geographic_msgs is not installed")
def test_geopose_is_the_pose_in_east_north_up_with_north_before_east(rig):
    made = rig(geo__projection="local_enu", geo__datum=[47.0, 8.0, TURN])
    made.ready_to_drive()
    made.listen("~/geopose", compat.GeoPoseWithCovarianceStamped)
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.listen("~/fix", NavSatFix)
    made.send_image(stamp_now())
    geopose, pose, fix = made.wait("~/geopose"), made.wait("~/pose"), made.wait("~/fix")
    position, orientation = geopose.pose.pose.position, geopose.pose.pose.orientation
    assert (geopose.header.stamp, geopose.header.frame_id) == (pose.header.stamp, "base_link")
    assert (position.latitude, position.longitude) == (fix.latitude, fix.longitude)
    assert (position.latitude, position.longitude) == pytest.approx((47.0001, 8.0), abs=1e-9)
    assert math.isnan(position.altitude)
    # The session's poses have a yaw of 0.5 in the map, whose x axis is turned from east by TURN.
    assert 2 * math.atan2(orientation.z, orientation.w) == pytest.approx(0.5 + TURN, abs=1e-4)
    c, s = math.cos(TURN), math.sin(TURN)
    east_from_map = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    expected = east_from_map @ COVARIANCE @ east_from_map.T
    covariance = np.reshape(geopose.pose.covariance, (6, 6))
    north_first = np.ix_([1, 0, 5], [1, 0, 5])
    assert covariance[north_first] == pytest.approx(expected, abs=1e-4)
    assert [covariance[i, i] for i in (2, 3, 4)] == [1e6] * 3
    assert np.reshape(fix.position_covariance, (3, 3))[:2, :2] == pytest.approx(expected[:2, :2], abs=1e-4)


def test_without_geographic_msgs_the_node_says_so_and_publishes_the_rest(rig, monkeypatch, capfd):
    monkeypatch.setattr(compat, "GeoPoseWithCovarianceStamped", None)
    made = rig()
    assert "~/geopose is not published: geographic_msgs is not installed" in "".join(capfd.readouterr())
    assert not any(item.topic_name.endswith("/geopose") for item in made.node.publishers)
    made.ready_to_drive()
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.send_image(stamp_now())
    made.wait("~/pose")
