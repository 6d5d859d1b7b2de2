# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A localizer with a fake session as a process of its own, and in this one all that it is sent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rig import HEIGHT, QOS, WIDTH, stamp_now, wait_for
from sensor_msgs.msg import CameraInfo, Image, NavSatFix
from tf2_msgs.msg import TFMessage

from cvloc_ros import messages
from cvloc_ros.cli.processes import Process, private_environment
from cvloc_ros.ros import convert
from cvloc_ros.ros.standins import byte_array

SETTINGS = ("geo.datum:=[47.0, 8.0, 0.0]", "tiles.source:=stripes", "inputs.wait_s:=0.05")
TOPICS = {
    "image": (Image, "reliable"), "camera_info": (CameraInfo, "reliable"), "fix": (NavSatFix, "reliable"),
    "odom": (Odometry, "reliable"), "tf": (TFMessage, "reliable"), "tf_static": (TFMessage, "latched"),
}  # fmt: skip


class Vehicle:
    """`node` publishes in the namespace; /tf is moved into it, so that vehicles do not disturb each other."""

    def __init__(self, name: str, folder: Path, parameters: Sequence[str] = (), latitude: float = 47.0001) -> None:
        self.name, self.latitude = name, latitude
        settings = [word for pair in (*SETTINGS, *parameters) for word in ("-p", pair)]
        moved = ["-r", "/tf:=tf", "-r", "/tf_static:=tf_static"]
        environment = private_environment(int(os.environ["ROS_DOMAIN_ID"]))
        environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
        self.process = Process(
            "fake_localizer", ["--ros-args", "-r", f"__ns:=/{name}", *settings, *moved], environment,
            folder / f"{name}.log",
        )  # fmt: skip
        self.node = rclpy.create_node("vehicle", namespace=name)
        self.publishers = {
            topic: self.node.create_publisher(kind, topic, QOS[qos]) for topic, (kind, qos) in TOPICS.items()
        }

    def listen(self, topic: str, kind: Any, qos: Any = 10) -> list[Any]:
        """Collect the messages of a topic from now on."""
        heard: list[Any] = []
        self.node.create_subscription(kind, topic, heard.append, qos)
        return heard

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

    def drive(self, poses: list[Any], timeout_s: float = 30.0) -> int:
        """Send moments until the pose of the newest one is among `poses`, so that none is under way; its stamp."""
        stamps: list[int] = []

        def answered() -> bool:
            stamps.append(stamp_now())
            self.send(stamps[-1])
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                if poses and messages.stamp_ns(poses[-1]) == stamps[-1]:
                    return True
                time.sleep(0.01)
            return False

        wait_for(answered, timeout_s, f"a pose of {self.name}")
        return stamps[-1]


@contextmanager
def driving(*vehicles: Vehicle) -> Iterator[None]:
    """Spin the nodes of vehicles; at the end stop the processes and check that they ended well."""
    executor = SingleThreadedExecutor()
    for vehicle in vehicles:
        executor.add_node(vehicle.node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join()
        ends = [(vehicle.process.stop(), vehicle.process.tail(100)) for vehicle in vehicles]
        for vehicle in vehicles:
            vehicle.node.destroy_node()
    for code, log in ends:
        assert code == 0, log
        assert "Traceback" not in log
