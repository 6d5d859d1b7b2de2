# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two localizers in two namespaces, each a process of its own: neither hears, names or disturbs the other."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rig import HEIGHT, QOS, WIDTH, stamp_now, wait_for
from sensor_msgs.msg import CameraInfo, Image, NavSatFix
from tf2_msgs.msg import TFMessage

from cvloc_ros.ros import convert
from cvloc_ros.ros.standins import byte_array

SCRIPT = Path(__file__).with_name("fake_localizer.py")
SETTINGS = ["-p", "geo.datum:=[47.0, 8.0, 0.0]", "-p", "tiles.source:=stripes", "-p", "output.tf_mode:=map_to_odom",
            "-p", "inputs.wait_s:=0.05", "-r", "/tf:=tf", "-r", "/tf_static:=tf_static"]  # fmt: skip


class Vehicle:
    """A localizer in a process, and everything that it is sent, in one namespace."""

    def __init__(self, name: str, latitude: float) -> None:
        self.name, self.latitude = name, latitude
        command = [sys.executable, str(SCRIPT), "--ros-args", "-r", f"__ns:=/{name}", *SETTINGS]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.node = rclpy.create_node("vehicle", namespace=name)
        self.poses: list[PoseWithCovarianceStamped] = []
        self.transforms: list[TransformStamped] = []
        self.node.create_subscription(PoseWithCovarianceStamped, "cvloc/pose", self.poses.append, 10)
        self.node.create_subscription(TFMessage, "tf", lambda item: self.transforms.extend(item.transforms), 10)
        self.publishers = {
            topic: self.node.create_publisher(kind, topic, QOS[qos])
            for topic, kind, qos in (
                ("image", Image, "reliable"), ("camera_info", CameraInfo, "reliable"), ("fix", NavSatFix, "reliable"),
                ("odom", Odometry, "reliable"), ("tf", TFMessage, "reliable"), ("tf_static", TFMessage, "latched"),
            )
        }  # fmt: skip

    def send(self, stamp_ns: int) -> None:
        """Publish what an attempt needs, the image last."""
        info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model="plumb_bob", d=[0.0] * 5)
        info.k = [50.0, 0.0, WIDTH / 2, 0.0, 50.0, HEIGHT / 2, 0.0, 0.0, 1.0]
        odom = Odometry(header=convert.header(stamp_ns, "odom"), child_frame_id="base_link")
        odom.pose.pose.orientation.w = 1.0
        fix = NavSatFix(header=convert.header(stamp_ns, "base_link"), latitude=self.latitude, longitude=8.0)
        fix.status.status = 0
        image = Image(header=convert.header(stamp_ns, "camera"), height=HEIGHT, width=WIDTH, encoding="rgb8",
                      step=3 * WIDTH, data=byte_array(bytes(3 * WIDTH * HEIGHT)))  # fmt: skip
        mounting, track = TransformStamped(child_frame_id="camera"), TransformStamped(child_frame_id="base_link")
        mounting.header, track.header = convert.header(stamp_ns, "base_link"), convert.header(stamp_ns, "odom")
        mounting.transform.rotation.w = track.transform.rotation.w = 1.0
        for topic, message in (
            ("tf_static", TFMessage(transforms=[mounting])), ("tf", TFMessage(transforms=[track])),
            ("camera_info", info), ("odom", odom), ("fix", fix), ("image", image),
        ):  # fmt: skip
            self.publishers[topic].publish(message)

    def close(self) -> str:
        self.process.send_signal(signal.SIGINT)
        output = self.process.communicate(timeout=30)[0]
        self.node.destroy_node()
        return output


@pytest.fixture
def vehicles() -> Iterator[list[Vehicle]]:
    made = [Vehicle("left", 47.0001), Vehicle("right", 47.0003)]
    executor = SingleThreadedExecutor()
    for vehicle in made:
        executor.add_node(vehicle.node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield made
    executor.shutdown()
    thread.join()
    for vehicle in made:
        output = vehicle.close()
        assert vehicle.process.returncode == 0, output
        assert "Traceback" not in output


def test_each_vehicle_has_its_own_poses_transforms_and_diagnostics(vehicles: list[Vehicle]) -> None:
    left, right = vehicles
    names: set[str] = set()
    left.node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda item: names.update(status.name for status in item.status), 10
    )
    for vehicle in vehicles:
        wait_for(lambda node=vehicle.node: node.count_subscribers("image"), what="the process's subscription")

    def found(vehicle: Vehicle) -> bool:
        vehicle.send(stamp_now())
        return bool(vehicle.poses and [item for item in vehicle.transforms if item.child_frame_id == "odom"])

    wait_for(lambda: found(left), what="a pose of the first vehicle")
    assert not right.poses
    assert not right.transforms
    wait_for(lambda: found(right), what="a pose of the second vehicle")
    places = [{round(item.pose.pose.position.y) for item in vehicle.poses} for vehicle in vehicles]
    assert places == [{11}, {33}]
    wait_for(lambda: {"left/cvloc: localization", "right/cvloc: localization"} <= names, what="both diagnostics")
