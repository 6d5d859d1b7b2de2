# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The pose of another filter as an input of the node."""

from __future__ import annotations

from nav_msgs.msg import Odometry
from rig import stamp_now, wait_for

from cvloc_ros.ros import convert


def send(made, frame: str) -> None:
    message = Odometry(header=convert.header(stamp_now(), frame), child_frame_id="base_link")
    message.pose.pose.position.x = 4.0
    message.pose.pose.orientation.w = 1.0
    made.publisher("odometry/global", Odometry).publish(message)


def test_pose_of_a_filter_arrives_and_one_in_another_frame_is_refused_and_told(rig):
    made = rig(prior__source="filter", inputs__filter_topic="odometry/global")
    send(made, "odom")
    told = wait_for(lambda: made.node.health.snapshot().troubles.get("filter frame"))
    assert "frames.map" in told
    assert made.node.health.snapshot().refused == {"filter: wrong_frame": 1}
    send(made, "map")
    (sample,) = wait_for(lambda: made.session.filtered)
    assert sample.pose.x_m == 4.0
    assert "filter frame" not in made.node.health.snapshot().troubles


def test_filter_as_prior_and_a_transform_of_our_own_exclude_each_other(rig):
    made = rig(
        start=False, prior__source="filter", inputs__filter_topic="odometry/global", output__tf_mode="map_to_odom"
    )
    assert not made.start()
    assert "set output.tf_mode to none" in made.node._failure
