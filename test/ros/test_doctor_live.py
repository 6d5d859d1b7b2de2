# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc doctor live` on real topics."""

from __future__ import annotations

import threading

import numpy as np
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, NavSatFix
from tf2_msgs.msg import TFMessage

from cvloc_ros.config import parse
from cvloc_ros.evaluation.doctor.check import Level
from cvloc_ros.ros.doctor import examine_live


class Vehicle(Node):
    """Publishes 20 times a second; the camera has no mounting."""

    def __init__(self) -> None:
        super().__init__("vehicle")
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.statics = self.create_publisher(TFMessage, "/tf_static", latched)
        self.fixes = self.create_publisher(NavSatFix, "/fix", 10)
        self.odometry = self.create_publisher(Odometry, "/odom", 10)
        self.images = self.create_publisher(Image, "/front/image", qos_profile_sensor_data)
        self.infos = self.create_publisher(CameraInfo, "/front/camera_info", qos_profile_sensor_data)
        edge = TransformStamped()
        edge.header.frame_id, edge.child_frame_id = "base_link", "gnss"
        edge.transform.rotation.w = 1.0
        self.statics.publish(TFMessage(transforms=[edge]))
        self.timer = self.create_timer(0.05, self.publish)

    def publish(self) -> None:
        now = self.get_clock().now().to_msg()
        fix = NavSatFix(latitude=47.0, longitude=8.0, position_covariance_type=2)
        fix.status.status = 0  # the default of Jazzy means "never set"
        fix.position_covariance = np.diag([4.0, 4.0, 9.0]).ravel()
        odom = Odometry(child_frame_id="base_link")
        odom.pose.pose.orientation.w = 1.0
        image = Image(height=8, width=8, encoding="mono8", step=8, data=bytes(64))
        info = CameraInfo(height=8, width=8, distortion_model="plumb_bob", d=[0.1, 0.0, 0.0, 0.0, 0.0])
        info.k = np.array([8.0, 0, 4, 0, 8, 4, 0, 0, 1])
        info.r, info.p = np.eye(3).ravel(), np.array([8.0, 0, 4, 0, 0, 8, 4, 0, 0, 0, 1, 0])
        frames = ((fix, "gnss"), (odom, "odom"), (image, "front_optical"), (info, "front_optical"))
        for message, frame in frames:
            message.header.stamp, message.header.frame_id = now, frame
        self.fixes.publish(fix)
        self.odometry.publish(odom)
        self.images.publish(image)
        self.infos.publish(info)


def test_live_topics_are_found_and_judged() -> None:
    vehicle, executor = Vehicle(), SingleThreadedExecutor()
    executor.add_node(vehicle)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        checks = examine_live(parse({"geo": {"datum": [47.0, 8.0, 0.0]}}), seconds=2.0)
    finally:
        executor.shutdown()
        thread.join()
        vehicle.destroy_node()
    found = {(check.level, check.subject): check.finding for check in checks}
    assert "fixes usable" in found[Level.OK, "GNSS"]
    assert "cameras front" in found[Level.OK, "topics"]
    assert "base_link -> gnss" in found[Level.OK, "TF"]
    assert "no transform from base_link to front_optical" in found[Level.FAIL, "camera front"]
    assert "raw and best effort" in found[Level.WARN, "QoS"]
    assert "8x8" in found[Level.OK, "camera front"]
