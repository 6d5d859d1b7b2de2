# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated time, its jumps, and several cameras."""

from __future__ import annotations

import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from rig import stamp_now, wait_for
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from cvloc_ros.ros import convert

SECOND = 10**9


@pytest.fixture
def simulated(rig):
    made = rig(use_sim_time=True, output__tf_mode="map_to_odom")

    def tick(stamp_ns: int) -> None:
        made.publisher("/clock", Clock).publish(Clock(clock=convert.time_message(stamp_ns)))
        wait_for(lambda: made.node.get_clock().now().nanoseconds == stamp_ns, what="clock")

    made.tick = tick
    return made


def drive_at(made, stamp_ns: int, poses: int) -> None:
    made.tick(stamp_ns)
    made.send_fix(stamp_ns)
    for offset in (-SECOND, SECOND):
        made.send_tf("odom", "base_link", stamp_ns + offset)
    made.send_odom(stamp_ns)
    wait_for(lambda: made.session.fixes.newest and made.session.odometry.newest)
    wait_for(lambda: made.session.transforms.latest_stamp("odom", "base_link") == stamp_ns + SECOND)
    made.send_image(stamp_ns)
    made.wait("~/pose", poses)


def test_simulated_time_and_a_jump_back(simulated):
    made = simulated
    made.listen("/tf", TFMessage)
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.send_tf("base_link", "camera", 100 * SECOND, static=True)
    made.send_camera_info()
    wait_for(lambda: made.session.models)
    drive_at(made, 100 * SECOND, 1)
    made.tick(50 * SECOND)
    wait_for(lambda: made.session.resets == 1)
    assert "50.0 s" in made.node.health.snapshot().clock_jump
    drive_at(made, 51 * SECOND, 2)
    assert made.session.resets == 1
    made.tick(51 * SECOND + SECOND // 2)

    def late():
        sent = [item for message in made.inbox["/tf"] for item in message.transforms if item.header.frame_id == "map"]
        return sent and sent[-1].header.stamp == convert.time_message(51 * SECOND + SECOND // 2 + SECOND // 5)

    wait_for(late, what="map to odom stamped with the simulated clock")


def test_image_offset_moves_the_stamp(rig):
    made = rig(cameras__camera__stamp_offset_s=-0.1)
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.ready_to_drive()
    now = stamp_now()
    made.send_image(now)
    assert made.wait("~/pose").header.stamp == convert.time_message(now - SECOND // 10)


@pytest.fixture
def two_eyed(rig):
    made = rig(
        camera_names=["left", "right"], inputs__wait_s=0.3,
        cameras__left__image_topic="left", cameras__right__image_topic="right",
        cameras__left__camera_info_topic="camera_info", cameras__right__camera_info_topic="camera_info",
    )  # fmt: skip
    made.listen("~/pose", PoseWithCovarianceStamped)
    made.ready_to_drive()
    for topic in ("left", "right"):
        made.publisher(topic, Image)
    return made


def test_images_of_two_cameras_close_in_time_are_one_attempt(two_eyed):
    now = stamp_now()
    two_eyed.send_image(now, topic="left")
    two_eyed.send_image(now + SECOND // 50, topic="right")
    two_eyed.wait("~/pose")
    (images,) = two_eyed.session.localized
    assert [image.camera for image in images] == ["left", "right"]


def test_one_camera_alone_is_used_after_a_while_and_then_at_once(two_eyed):
    two_eyed.send_image(stamp_now(), topic="left")
    two_eyed.wait("~/pose")
    assert [image.camera for image in two_eyed.session.localized[0]] == ["left"]
    two_eyed.send_image(stamp_now(), topic="left")
    two_eyed.wait("~/pose", 2)
    assert two_eyed.node._inputs.incomplete_sets == 2
