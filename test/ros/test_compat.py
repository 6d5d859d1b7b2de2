# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The packages of a ROS 2 installation and their stand-ins do the same. What is not installed is skipped."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import wait_for
from sensor_msgs.msg import PointField
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from cvloc_ros.ros import compat, standins

WHERE = {
    "TransformBroadcaster": "tf2_ros",
    "StaticTransformBroadcaster": "tf2_ros",
    "quaternion_from_euler": "tf_transformations",
    "euler_from_quaternion": "tf_transformations",
    "create_cloud": "sensor_msgs_py.point_cloud2",
    "read_points": "sensor_msgs_py.point_cloud2",
    "CvBridge": "cv_bridge",
}


@pytest.fixture(params=["installed", "stand-in"])
def side(request):
    """Give the named thing of one side."""

    def get(name: str):
        if request.param == "stand-in":
            return getattr(standins, name)
        try:
            return getattr(importlib.import_module(WHERE[name]), name)
        except ImportError:
            pytest.skip(f"{WHERE[name]} is not installed")

    return get


@pytest.mark.parametrize("angles", [(0.1, -0.2, 0.3), (0.0, 0.0, math.pi), (-3.0, 1.0, 2.0), (0.0, 0.0, 0.0)])
def test_quaternions_of_angles(side, angles):
    from scipy.spatial.transform import Rotation

    quaternion = side("quaternion_from_euler")(*angles)
    expected = Rotation.from_euler("xyz", angles)
    assert Rotation.from_quat(quaternion).as_matrix() == pytest.approx(expected.as_matrix(), abs=1e-12)
    back = Rotation.from_euler("xyz", side("euler_from_quaternion")(quaternion))
    assert back.as_matrix() == pytest.approx(expected.as_matrix(), abs=1e-9)


def fields(*names: str) -> list[PointField]:
    return [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate(names)]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_cloud_is_read_as_it_was_made(side, count):
    points = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    cloud = side("create_cloud")(Header(frame_id="map"), fields("x", "y", "z", "intensity"), points)
    assert (cloud.header.frame_id, cloud.width, cloud.height, cloud.point_step) == ("map", count, 1, 16)
    read = side("read_points")(cloud, field_names=["x", "intensity"])
    assert np.column_stack([read["x"], read["intensity"]]) == pytest.approx(points[:, [0, 3]])


def test_clouds_of_one_side_are_read_by_the_other(side):
    points = np.arange(12, dtype=np.float32).reshape(3, 4)
    cloud = standins.create_cloud(Header(), fields("x", "y", "z", "intensity"), points)
    assert list(side("read_points")(cloud, field_names=["z"])["z"]) == [2.0, 6.0, 10.0]


def test_points_without_place_can_be_left_out(side):
    points = np.array([[1.0, 2.0], [np.nan, 3.0]], np.float32)
    cloud = side("create_cloud")(Header(), fields("x", "y"), points)
    assert len(side("read_points")(cloud, field_names=["x", "y"], skip_nans=True)) == 1


@pytest.mark.parametrize(("encoding", "shape"), [("rgb8", (3, 5, 3)), ("mono8", (3, 5))])
def test_picture_becomes_a_message(side, encoding, shape):
    picture = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    message = side("CvBridge")().cv2_to_imgmsg(picture, encoding=encoding, header=Header(frame_id="map"))
    assert (message.height, message.width, message.encoding, message.header.frame_id) == (3, 5, encoding, "map")
    assert bytes(message.data) == picture.tobytes()


@pytest.mark.parametrize(
    ("name", "topic"), [("TransformBroadcaster", "/tf"), ("StaticTransformBroadcaster", "/tf_static")]
)
def test_broadcasters_send_what_they_are_given(side, name, topic):
    node = rclpy.create_node("broadcaster")
    seen: list[TFMessage] = []
    latched = DurabilityPolicy.TRANSIENT_LOCAL if topic == "/tf_static" else DurabilityPolicy.VOLATILE
    node.create_subscription(TFMessage, topic, seen.append, QoSProfile(depth=10, durability=latched))
    try:
        sender = side(name)(node)
        wait_for(lambda: next(p for p in node.publishers if p.topic_name == topic).get_subscription_count())
        for child in ("a", "b"):
            transform = TransformStamped(child_frame_id=child)
            transform.header.frame_id = "base_link"
            transform.transform.rotation.w = 1.0
            sender.sendTransform(transform if child == "a" else [transform])

        def children():
            rclpy.spin_once(node, timeout_sec=0.1)
            return {item.child_frame_id for message in seen for item in message.transforms} == {"a", "b"}

        wait_for(children)
    finally:
        node.destroy_node()


def test_static_broadcaster_repeats_earlier_transforms_for_those_who_come_late():
    node = rclpy.create_node("static")
    sender = standins.StaticTransformBroadcaster(node)
    for child in ("a", "b"):
        sender.sendTransform(TransformStamped(child_frame_id=child))
    seen: list[TFMessage] = []
    node.create_subscription(
        TFMessage, "/tf_static", seen.append, QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    )

    def both():
        rclpy.spin_once(node, timeout_sec=0.1)
        return seen and len(seen[-1].transforms) == 2

    try:
        wait_for(both)
    finally:
        node.destroy_node()


def test_compat_tells_which_side_it_took():
    assert set(compat.INSTALLED) == {"tf2_ros", "tf_transformations", "sensor_msgs_py", "cv_bridge"}
    assert (compat.CvBridge is standins.CvBridge) is not compat.INSTALLED["cv_bridge"]
