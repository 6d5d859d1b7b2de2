# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong with the inputs ends in a named status and in silence on ~/pose."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from rig import HEIGHT, QOS, WIDTH, stamp_now, wait_for
from sensor_msgs.msg import Image, Imu
from tf2_msgs.msg import TFMessage

from cvloc_ros.errors import TileSourceError
from cvloc_ros.ros import compat, convert


@pytest.fixture
def faulty(rig):
    """A node that lacks what the test does not give it."""

    def make(**parameters):
        made = rig(**parameters)
        made.listen("~/pose", PoseWithCovarianceStamped)
        made.listen("~/status", compat.LocalizationStatus)
        return made

    return make


def mount(made) -> None:
    made.send_tf("base_link", "camera", stamp_now(), static=True)
    made.send_camera_info()
    wait_for(lambda: made.session.models and "camera" in made.session.transforms.frames())


def test_no_gnss(faulty):
    made = faulty()
    mount(made)
    made.send_image(stamp_now())
    assert made.status("no_prior").reasons
    assert not made.inbox["~/pose"]


@pytest.mark.parametrize(
    ("latitude", "status", "reason"), [(math.nan, 0, "fix: not_finite"), (47.0, -1, "fix: no_fix")]
)
def test_gnss_without_position(faulty, latitude, status, reason):
    made = faulty()
    mount(made)
    made.send_fix(stamp_now(), latitude=latitude, status=status)
    wait_for(lambda: made.node.health.snapshot().refused.get(reason) == 1)
    made.send_image(stamp_now())
    made.status("no_prior")
    assert not made.inbox["~/pose"]


def test_map_that_cannot_be_opened_at_the_first_fix(faulty):
    made = faulty()

    def closed(fix):
        msg = "no imagery within 100 km; set tiles.source"
        raise TileSourceError(msg)

    made.session.add_fix = closed
    made.send_fix(stamp_now())
    assert "no imagery" in wait_for(lambda: made.node.health.snapshot().troubles.get("fix"))


def test_stale_gnss(faulty):
    made = faulty(prior__fix_max_age_s=1.0)
    made.ready_to_drive()
    made.send_image(stamp_now(+3.0))
    made.status("stale_prior")
    assert not made.inbox["~/pose"]


def test_missing_camera_info(faulty):
    made = faulty()
    made.send_tf("base_link", "camera", stamp_now(), static=True)
    made.send_fix(stamp_now())
    made.send_image(stamp_now())
    made.status("no_camera_info")
    assert not made.inbox["~/pose"]


def test_useless_camera_info(faulty):
    made = faulty()
    made.send_camera_info(width=0)
    wait_for(lambda: "camera_info camera" in made.node.health.snapshot().troubles)
    made.send_camera_info()
    wait_for(lambda: "camera_info camera" not in made.node.health.snapshot().troubles)
    assert made.session.models


def test_missing_tf(faulty):
    made = faulty()
    made.send_camera_info()
    made.send_fix(stamp_now())
    wait_for(lambda: made.session.models and made.session.fixes.newest)
    made.send_image(stamp_now())
    assert "/tf" in " ".join(made.status("no_transform").reasons)
    assert not made.inbox["~/pose"]


def test_image_of_another_size_than_calibrated(faulty):
    made = faulty()
    made.ready_to_drive()
    made.send_image(stamp_now(), width=2 * WIDTH)
    made.status("bad_image")
    assert not made.inbox["~/pose"]


def test_image_of_unknown_encoding(faulty):
    made = faulty()
    made.ready_to_drive()
    made.send_image(stamp_now(), encoding="mystery")
    assert "mystery" in " ".join(made.status("bad_image").reasons)
    made.send_image(stamp_now())
    made.wait("~/pose")


def test_truncated_jpeg_and_a_whole_one(faulty):
    made = faulty(cameras__camera__transport="compressed")
    made.ready_to_drive()
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    data = cv2.imencode(".jpg", picture)[1].tobytes()
    made.send_compressed(stamp_now(), data[: len(data) // 2])
    made.status("bad_image")
    assert not made.inbox["~/pose"]
    made.send_compressed(stamp_now(), data)
    made.wait("~/pose")


def test_image_without_stamp(faulty):
    made = faulty()
    made.ready_to_drive()
    made.send_image(0)
    assert "stamp is 0" in made.status("old_stamp").reasons[0]
    assert not made.inbox["~/pose"]


def test_stamps_going_back_clear_everything_and_it_goes_on(faulty):
    made = faulty()
    made.ready_to_drive()
    made.send_image(stamp_now())
    made.wait("~/pose")
    before = stamp_now(-1000.0)
    made.send_image(before)
    wait_for(lambda: made.session.resets == 1)
    assert made.node.health.snapshot().clock_jumps == 1
    made.send_fix(before + 10**8)
    wait_for(lambda: made.session.fixes.newest)
    made.session.config = made.session.config.model_copy(
        update={"estimation": made.session.config.estimation.model_copy(update={"max_latency_s": 1e6})}
    )
    made.send_odom(before + 2 * 10**8)
    made.send_image(before + 2 * 10**8)
    made.wait("~/pose", 2)
    assert made.session.resets == 1


def test_odometry_going_back_is_a_clock_jump_too(faulty):
    made = faulty()
    made.ready_to_drive()
    made.send_odom(stamp_now(-1000.0))
    wait_for(lambda: made.session.resets == 1)
    assert "odom" in made.node.health.snapshot().clock_jump


def test_fault_in_the_session_is_a_status_and_the_next_image_is_tried(faulty):
    made = faulty()
    made.ready_to_drive()

    def explode(result):
        msg = "matcher out of order"
        raise RuntimeError(msg)

    made.session.spoil = explode
    made.send_image(stamp_now())
    assert "matcher out of order" in made.status("error").reasons[0]
    made.session.spoil = lambda result: result
    made.send_image(stamp_now())
    made.wait("~/pose")


def test_initial_pose_in_a_foreign_frame_or_with_nan_is_refused(faulty):
    made = faulty()
    refused = lambda: sum(made.node.health.snapshot().refused.values())
    made.send_initial_pose(stamp_now(), 1.0, frame="odom")
    wait_for(lambda: refused() == 1)
    made.send_initial_pose(stamp_now(), math.nan)
    wait_for(lambda: refused() == 2)
    made.send_initial_pose(stamp_now(), 2.0)
    wait_for(lambda: made.session.initial)
    assert [item[1].x_m for item in made.session.initial] == [2.0]


def test_odometry_in_another_frame_is_told_and_of_another_child_is_moved(faulty):
    made = faulty()
    made.send_odom(stamp_now(), child="wheel", frame="world")
    wait_for(lambda: made.node.health.snapshot().refused.get("odom: no_transform"))
    assert "frames.odom" in made.node.health.snapshot().troubles["odom frame"]
    made.send_tf("base_link", "wheel", stamp_now(), x=2.0, static=True)
    wait_for(lambda: "wheel" in made.session.transforms.frames())
    made.send_odom(stamp_now(), x=10.0, child="wheel")
    wait_for(lambda: made.session.odometry.newest)
    assert made.session.odometry.newest[1].pose.x_m == pytest.approx(8.0)


def test_heading_and_attitude_of_an_imu(faulty):
    made = faulty(inputs__heading_topic="compass", inputs__imu_topic="imu")
    message = Imu(header=convert.header(stamp_now(), "base_link"))
    message.orientation = convert.quaternion(1.2)
    made.publisher("compass", Imu).publish(message)
    made.publisher("imu", Imu).publish(message)
    wait_for(lambda: made.session.headings and made.session.attitudes)
    assert made.session.headings[0].yaw_rad == pytest.approx(1.2)
    message.orientation_covariance[0] = -1.0
    made.publisher("compass", Imu).publish(message)
    wait_for(lambda: made.node.health.snapshot().refused.get("heading: no_orientation"))


def test_silence_of_the_camera_is_reported_with_the_topic(faulty):
    made = faulty(output__image_timeout_s=0.2)
    made.listen("/diagnostics", DiagnosticArray)

    def told():
        made.node.publish_diagnostics()
        texts = [status.message for array in made.inbox["/diagnostics"] for status in array.status]
        return any(f"no image on /{made.namespace}/image" in text for text in texts)

    wait_for(told)
    assert f"no image on /{made.namespace}/image" in made.status("no_image").reasons[0]
    for _ in range(3):
        made.node.publish_diagnostics()
    mount(made)
    made.send_image(stamp_now())
    made.status("no_prior")
    assert [message.status for message in made.inbox["~/status"]].count("no_image") == 1


def test_wrong_type_on_the_image_topic_is_reported(faulty):
    made = faulty()
    # One participant cannot have two types on a topic, so this takes another one.
    context = rclpy.Context()
    context.init()
    stranger = rclpy.create_node("stranger", namespace=made.namespace, context=context)
    stranger.create_publisher(TFMessage, "image", 1)
    text = wait_for(lambda: made.node.health.snapshot().troubles.get(f"/{made.namespace}/image type"))
    assert "cameras.camera.transport" in text
    stranger.destroy_node()
    context.shutdown()


def broken(*_, **__):
    msg = "never seen before"
    raise ZeroDivisionError(msg)


@pytest.mark.parametrize(
    ("method", "topic", "send"),
    [
        ("add_odom", "odom", lambda made: made.send_odom(stamp_now())),
        ("add_transform", "/tf", lambda made: made.send_tf("odom", "base_link", stamp_now())),
        ("set_calibration", "camera_info", lambda made: made.send_camera_info(width=32)),
    ],
)
def test_message_whose_handling_fails_is_counted_and_the_node_lives(faulty, method, topic, send):
    made = faulty()
    made.ready_to_drive()
    setattr(made.session, method, broken)
    send(made)
    name = topic if topic.startswith("/") else f"/{made.namespace}/{topic}"
    wait_for(lambda: made.node.health.snapshot().refused.get(f"{name}: fault"))
    made.send_image(stamp_now())
    made.status("ok")


def test_incompatible_qos_is_reported(faulty):
    made = faulty()
    made.publisher("initialpose", PoseWithCovarianceStamped, "best_effort", match=False)
    text = wait_for(lambda: made.node.health.snapshot().troubles.get(f"/{made.namespace}/initialpose QoS"))
    assert "reliability" in text


@pytest.mark.parametrize("offered", ["reliable", "best_effort"])
def test_image_reader_takes_the_reliability_that_is_offered(faulty, offered):
    made = faulty()
    made.ready_to_drive()
    made.publisher("image", Image, offered)
    feed = made.node._inputs.feeds[0]
    wait_for(lambda: feed.reliable == (offered == "reliable"))
    wait_for(lambda: made.publisher("image", Image, offered).get_subscription_count() == 1)
    made.send_image(stamp_now(), qos=offered)
    made.wait("~/pose")


def test_reader_becomes_best_effort_again_when_a_second_publisher_offers_no_more(faulty):
    made = faulty()
    made.publisher("image", Image, "reliable")
    feed = made.node._inputs.feeds[0]
    wait_for(lambda: feed.reliable)
    other = made.vehicle.create_publisher(Image, "image", QOS["best_effort"])
    wait_for(lambda: not feed.reliable)
    wait_for(lambda: other.get_subscription_count() == 1)
