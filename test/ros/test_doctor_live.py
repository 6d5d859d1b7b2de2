# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc doctor live` on real topics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, NavSatFix
from tf2_msgs.msg import TFMessage

from cvloc_ros.config import parse
from cvloc_ros.evaluation.doctor.check import Level
from cvloc_ros.ros.doctor import examine_live
from cvloc_ros.ros.node import CvlocNode


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


@pytest.fixture
def running() -> Iterator[Callable[[Node], Node]]:
    """Spin nodes in a thread."""
    executor = SingleThreadedExecutor()
    thread = threading.Thread(target=executor.spin)
    thread.start()
    nodes: list[Node] = []

    def run(node: Node) -> Node:
        nodes.append(node)
        executor.add_node(node)
        return node

    yield run
    executor.shutdown()
    thread.join()
    for node in nodes:
        node.destroy_node()


def found(settings: dict[str, Any]) -> dict[tuple[Level, str], str]:
    checks = examine_live(parse({"geo": {"datum": [47.0, 8.0, 0.0]}, **settings}), seconds=1.5)
    return {(check.level, f"{check.step}: {check.subject}"): f"{check.finding} -> {check.remedy}" for check in checks}


def test_live_topics_are_found_and_judged(running: Callable[[Node], Node], tmp_path: Path) -> None:
    vehicle = running(Vehicle())
    vehicle.create_client(GetParameters, "/navsat_transform/get_parameters")  # as a localizer that waits for it has
    told = found({"tiles": {"source": str(tmp_path / "absent.mbtiles")}})
    assert "fixes usable" in told[Level.OK, "GNSS and odometry: GNSS"]
    assert "cameras front" in told[Level.OK, "topics: topics"]
    assert "base_link -> gnss" in told[Level.OK, "frames: TF"]
    assert "no transform from base_link to front_optical" in told[Level.FAIL, "cameras: camera front"]
    assert "raw and best effort" in told[Level.WARN, "topics: QoS"]
    assert "8x8" in told[Level.OK, "cameras: camera front"]
    assert "Hz" in told[Level.OK, "stamps: /fix"]
    assert "moved 0 m" in told[Level.OK, "GNSS and odometry: motion"]
    assert "0.00 km from the start" in told[Level.OK, "datum: datum"]
    assert "no /navsat_transform runs" in told[Level.OK, "datum: navsat_transform"]
    assert "absent.mbtiles" in told[Level.FAIL, "imagery: imagery"]
    assert "none runs yet" in told[Level.OK, "localizer: localizer"]


def test_map_of_others_that_run_is_compared_and_what_a_localizer_says_is_told(running: Callable[[Node], Node]) -> None:
    parameters = {"wait_for_datum": True, "datum": [47.0, 8.001, 0.0]}
    running(Node(
        "navsat_transform", parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()],
        automatically_declare_parameters_from_overrides=True,
    ))  # fmt: skip
    running(CvlocNode(parameter_overrides=[Parameter("tiles.source", value="/nowhere.mbtiles")])).trigger_configure()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    vehicle = running(Vehicle())
    vehicle.create_publisher(NavSatFix, "/cvloc/datum", latched).publish(NavSatFix(latitude=47.001, longitude=8.0))
    told = found({})
    assert "up to 76" in told[Level.FAIL, "datum: navsat_transform"]
    assert "/cvloc/datum lies 111" in told[Level.WARN, "datum: datum"]
    assert "configure failed" in told[Level.FAIL, "localizer: cvloc: localization"]
