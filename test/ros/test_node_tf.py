# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The transforms that go out, and when none may."""

from __future__ import annotations

import itertools
import time

import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from rig import stamp_now, wait_for
from tf2_msgs.msg import TFMessage

from cvloc_ros.ros import convert, tf
from cvloc_ros.ros.tf_senders import TwoSenders
from cvloc_ros.types import Pose2


def sent(made, child: str) -> list:
    return [item for message in made.inbox["/tf"] for item in message.transforms
            if (item.header.frame_id, item.child_frame_id) == ("map", child)]  # fmt: skip


def drive(made) -> None:
    made.ready_to_drive()
    now = stamp_now()
    made.send_tf("odom", "base_link", now - 10**9, x=5.0)
    made.send_tf("odom", "base_link", now + 10**9, x=7.0)
    wait_for(lambda: (made.session.transforms.latest_stamp("odom", "base_link") or 0) > now)
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.send_image(now)
    made.wait("~/pose")


def test_mode_none_has_no_publisher_on_tf(rig):
    made = rig()
    assert "/tf" not in {item.topic_name for item in made.node.publishers}
    drive(made)
    assert "/tf" not in {item.topic_name for item in made.node.publishers}


def test_map_to_odom_is_computed_at_the_image_and_sent_again_ahead_of_time(rig):
    made = rig(output__tf_mode="map_to_odom", output__tf_tolerance_s=0.3)
    made.listen("/tf", TFMessage)
    drive(made)
    wait_for(lambda: len(sent(made, "odom")) >= 3)
    first, *_, last = sent(made, "odom")
    pose = made.inbox["~/pose"][-1].pose.pose.position
    T_map_odom = Pose2(first.transform.translation.x, first.transform.translation.y, 0.5)
    expected = T_map_odom @ Pose2(6.0, 0.0, 0.0)
    assert (expected.x_m, expected.y_m) == pytest.approx((pose.x, pose.y))
    stamps = [item.header.stamp.sec * 10**9 + item.header.stamp.nanosec for item in sent(made, "odom")]
    assert all(a < b for a, b in itertools.pairwise(stamps))
    assert last.transform == first.transform
    assert stamps[-1] > made.inbox["~/pose"][-1].header.stamp.sec * 10**9


def test_nothing_is_sent_before_the_first_estimate_or_without_odometry(rig):
    made = rig(output__tf_mode="map_to_odom")
    made.listen("/tf", TFMessage)
    made.ready_to_drive()
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.send_image(stamp_now())
    made.wait("~/pose")
    assert "odom" in wait_for(lambda: made.node.health.snapshot().troubles.get("tf output"))
    assert not sent(made, "odom")


def test_reset_silences_the_transform_until_the_next_estimate(rig):
    made = rig(output__tf_mode="map_to_odom")
    made.listen("/tf", TFMessage)
    drive(made)
    wait_for(lambda: sent(made, "odom"))
    made.node.request_reset()
    wait_for(lambda: made.session.resets)
    assert made.node._tf_output._T_map_odom is None


def test_map_to_base_link_has_the_stamp_of_the_image(rig):
    made = rig(output__tf_mode="map_to_base_link")
    made.listen("/tf", TFMessage)
    drive(made)
    (item,) = wait_for(lambda: sent(made, "base_link"))
    assert item.header.stamp == made.inbox["~/pose"][-1].header.stamp


def test_own_transform_does_not_enter_the_tree_and_a_second_sender_is_reported(rig):
    made = rig(output__tf_mode="map_to_odom")
    made.listen("/tf", TFMessage)
    drive(made)
    wait_for(lambda: len(sent(made, "odom")) >= 3)
    assert "tf duplicate" not in made.node.health.snapshot().troubles
    assert made.session.transforms.frames().get("odom") is None
    foreign = TFMessage(transforms=[convert.transform(Pose2(0.0, 0.0, 0.0), stamp_now(), "map", "odom")])
    made.publisher("/tf", TFMessage).publish(foreign)
    told = wait_for(lambda: made.node.health.snapshot().troubles.get("tf duplicate"))
    assert "tf_mode" in told
    assert f"/{made.namespace}/vehicle" in told
    assert f"/{made.namespace}/cvloc" not in told


def test_second_sender_that_stops_is_forgotten(rig, monkeypatch):
    monkeypatch.setattr(tf, "WITHIN_S", 0.1)
    made = rig(output__tf_mode="map_to_odom")
    made.ready_to_drive()
    made.send_tf("map", "odom", stamp_now())
    wait_for(lambda: made.node.health.snapshot().troubles.get("tf duplicate"))
    time.sleep(0.15)
    made.send_tf("odom", "base_link", stamp_now())
    wait_for(lambda: "tf duplicate" not in made.node.health.snapshot().troubles)


def test_two_filters_that_send_the_same_transform_are_noticed_and_named(rig):
    made = rig()
    made.ready_to_drive()
    now = stamp_now()
    for number in range(8):
        made.send_tf("map", "odom", now + number * 10**7, x=5.0 * (number % 2))
    told = wait_for(lambda: made.node.health.snapshot().troubles.get("tf odom sent twice"))
    assert "map -> odom" in told
    assert f"/{made.namespace}/vehicle" in told


@pytest.mark.parametrize(
    ("values", "two"),
    [
        ([0.0, 5.0] * 4, True),
        ([*[0.0] * 5, 3.0] * 4, True),
        ([0.0] * 10 + [5.0] * 10, False),
        ([0.1 * (number % 2) for number in range(20)], False),
        (list(range(20)), False),
        ([0.0, 9.0, 0.0, 0.0, 0.0, 0.0], False),
    ],
    ids=["in turn", "one rare", "one jump", "noise", "motion", "one outlier"],
)
def test_two_senders_are_told_from_jumps_and_motion(values, two):
    watch = TwoSenders()
    assert any(watch.add(Pose2(float(x), 0.0, 0.0), 0.1 * index) for index, x in enumerate(values)) == two


def test_transform_of_another_localizer_is_taken_when_none_is_sent(rig):
    made = rig()
    made.send_tf("map", "odom", stamp_now())
    wait_for(lambda: made.session.transforms.frames().get("odom") == "map")
