# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A running node and its surroundings for tests: publishers, listeners, and waiting for what is meant to happen."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from fake_session import FakeSession
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, NavSatFix
from tf2_msgs.msg import TFMessage

from cvloc_ros.ros import convert
from cvloc_ros.ros.node import CvlocNode
from cvloc_ros.ros.standins import byte_array

DATUM = [47.0, 8.0, 0.0]
WIDTH, HEIGHT = 64, 48
QOS = {
    "reliable": QoSProfile(depth=10),
    "best_effort": QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT),
    "latched": QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL),
}
_numbers = itertools.count(1)


def wait_for(condition: Callable[[], Any], timeout_s: float = 15.0, what: str = "condition") -> Any:
    """Return the first true value of the condition; fail after the timeout."""
    end = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end, f"{what} did not come true within {timeout_s} s"
        time.sleep(0.005)
    return value


def stamp_now(offset_s: float = 0.0) -> int:
    return time.time_ns() + round(offset_s * 1e9)


class Rig:
    """`node` spins in a thread of its own; `inbox[topic]` collects messages of what `listen` was called for."""

    def __init__(self, namespace: str, session: Callable, parameters: dict[str, Any]) -> None:
        defaults = {"geo.datum": DATUM, "tiles.source": "stripes", "inputs.wait_s": 0.05}
        values = {**defaults, **{name.replace("__", "."): value for name, value in parameters.items()}}
        overrides = [Parameter(name, value=value) for name, value in values.items() if value is not None]
        self.namespace = namespace or f"test{next(_numbers)}"
        self.sessions: list[FakeSession] = []
        self.node = CvlocNode(
            open_session=lambda config: self._keep(session(config)), parameter_overrides=overrides,
            namespace=self.namespace,
        )  # fmt: skip
        self.vehicle = rclpy.create_node("vehicle", namespace=self.namespace)
        self.inbox: dict[str, list[Any]] = defaultdict(list)
        self._publishers: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._executor.add_node(self.vehicle)
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except Exception as err:  # noqa: BLE001  raised by close: a callback that raises would end the node
            self._fault = err

    def run(self, call: Callable[[], Any]) -> Any:
        """Call in the executor's thread, as a service would.

        rclpy's executor does not survive that another thread destroys what it is about to wait for.
        """
        answers: list[Any] = []
        self._executor.create_task(lambda: answers.append(call()))
        return wait_for(lambda: answers, what="call in the executor")[0]

    def start(self) -> bool:
        """Configure and activate."""
        return self.run(self.node.start)

    def transition(self, name: str) -> Any:
        """Do configure, activate, deactivate, cleanup or shutdown; return what it came to."""
        return self.run(getattr(self.node, f"trigger_{name}"))

    def _keep(self, session: FakeSession) -> FakeSession:
        self.sessions.append(session)
        return session

    @property
    def session(self) -> FakeSession:
        return self.sessions[-1]

    def close(self) -> None:
        fault = self._fault
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        self.vehicle.destroy_node()
        if fault is not None:
            raise fault

    # --- listening

    def listen(self, topic: str, kind: Any, qos: str = "reliable") -> list[Any]:
        """Subscribe to a topic of the node and wait for the match."""
        name = topic.replace("~", f"/{self.namespace}/cvloc")
        self.vehicle.create_subscription(kind, name, self.inbox[topic].append, QOS[qos])
        if topic.startswith("~"):
            wait_for(lambda: self.vehicle.count_publishers(name), what=f"publisher of {name}")
            publisher = next(item for item in self.node.publishers if item.topic_name == name)
            wait_for(publisher.get_subscription_count, what=f"listener of {name}")
        return self.inbox[topic]

    def wait(self, topic: str, count: int = 1, timeout_s: float = 15.0) -> Any:
        """Wait until a topic has brought that many messages; return the last."""
        wait_for(lambda: len(self.inbox[topic]) >= count, timeout_s, f"{count} messages on {topic}")
        return self.inbox[topic][-1]

    def status(self, name: str, timeout_s: float = 15.0) -> Any:
        """Wait for a status message of that name."""
        return wait_for(
            lambda: next((item for item in self.inbox["~/status"] if item.status == name), None), timeout_s, name
        )

    def arrived(self, source: str, count: int = 1) -> None:
        """Wait until the node has had that many messages of an input."""
        wait_for(lambda: self.node.health.snapshot().received.get(source, 0) >= count, what=f"{count} of {source}")

    # --- publishing

    def publisher(self, topic: str, kind: Any, qos: str = "reliable", *, match: bool = True) -> Any:
        """Make a publisher once and wait until the node listens to it."""
        if topic not in self._publishers:
            self._publishers[topic] = self.vehicle.create_publisher(kind, topic, QOS[qos])
        made = self._publishers[topic]
        if match:
            wait_for(lambda: made.get_subscription_count() > 0, what=f"subscription of {topic}")
            if kind in (Image, CompressedImage):
                self._settle(topic, made, qos)
        return made

    def _settle(self, topic: str, made: Any, qos: str) -> None:
        """Wait until the node's reader has taken the reliability of this publisher; it subscribes anew for that."""
        inputs = self.node._inputs
        feeds = (*inputs.feeds, *inputs.depth_feeds)
        feed = next(item for item in feeds if item.topic == f"/{self.namespace}/{topic}")
        wait_for(lambda: feed.reliable == (qos != "best_effort"), what=f"reliability of {topic}")
        wait_for(lambda: made.get_subscription_count() == 1, what=f"new subscription of {topic}")

    def send_tf(self, parent: str, child: str, stamp_ns: int, x: float = 0.0, *, static: bool = False) -> None:
        message = TransformStamped(header=convert.header(stamp_ns, parent), child_frame_id=child)
        message.transform.translation.x = x
        message.transform.rotation.w = 1.0
        topic, qos = ("/tf_static", "latched") if static else ("/tf", "reliable")
        self.publisher(topic, TFMessage, qos).publish(TFMessage(transforms=[message]))

    def send_fix(self, stamp_ns: int, latitude: float = 47.0001, longitude: float = 8.0, status: int = 0) -> None:
        message = NavSatFix(header=convert.header(stamp_ns, "base_link"), latitude=latitude, longitude=longitude)
        message.status.status = status
        message.altitude = float("nan")
        self.publisher("fix", NavSatFix).publish(message)

    def send_odom(self, stamp_ns: int, x: float = 0.0, frame: str = "odom", child: str = "base_link") -> None:
        message = Odometry(header=convert.header(stamp_ns, frame), child_frame_id=child)
        message.pose.pose.position.x = x
        message.pose.pose.orientation.w = 1.0
        self.publisher("odom", Odometry).publish(message)

    def send_camera_info(self, width: int = WIDTH, topic: str = "camera_info") -> None:
        message = CameraInfo(width=width, height=HEIGHT, distortion_model="plumb_bob", d=[0.0] * 5)
        message.k = [50.0, 0.0, width / 2, 0.0, 50.0, HEIGHT / 2, 0.0, 0.0, 1.0]
        self.publisher(topic, CameraInfo).publish(message)

    def send_image(
        self, stamp_ns: int, *, topic: str = "image", encoding: str = "rgb8", width: int = WIDTH, qos: str = "reliable",
        frame: str = "camera",
    ) -> None:  # fmt: skip
        pixels = np.full((HEIGHT, width, 3), 100, np.uint8)
        message = Image(
            header=convert.header(stamp_ns, frame), height=HEIGHT, width=width, encoding=encoding, step=3 * width,
            data=byte_array(pixels),
        )  # fmt: skip
        self.publisher(topic, Image, qos).publish(message)

    def send_depth(self, stamp_ns: int, millimetres: int, topic: str = "depth", frame: str = "camera") -> None:
        pixels = np.full((HEIGHT, WIDTH), millimetres, np.uint16)
        message = Image(
            header=convert.header(stamp_ns, frame), height=HEIGHT, width=WIDTH, encoding="16UC1", step=2 * WIDTH,
            data=byte_array(pixels.view(np.uint8)),
        )  # fmt: skip
        self.publisher(topic, Image).publish(message)

    def send_compressed(self, stamp_ns: int, data: bytes, topic: str = "image/compressed") -> None:
        message = CompressedImage(header=convert.header(stamp_ns, "camera"), format="jpeg", data=byte_array(data))
        self.publisher(topic, CompressedImage).publish(message)

    def send_initial_pose(self, stamp_ns: int, x: float, frame: str = "map") -> None:
        message = PoseWithCovarianceStamped(header=convert.header(stamp_ns, frame))
        message.pose.pose.position.x = x
        message.pose.pose.orientation.w = 1.0
        message.pose.covariance = [1.0 if index % 7 == 0 else 0.0 for index in range(36)]
        self.publisher("initialpose", PoseWithCovarianceStamped).publish(message)

    def ready_to_drive(self) -> None:
        """Give calibration, mounting, a fix and odometry, and wait until the session has them."""
        now = stamp_now()
        self.send_tf("base_link", "camera", now, static=True)
        self.send_camera_info()
        self.send_fix(now)
        self.send_odom(now + 10**9)
        wait_for(lambda: self.session.models, what="calibration")
        wait_for(lambda: self.session.fixes.newest and self.session.odometry.newest, what="fix and odometry")
        wait_for(lambda: "camera" in self.session.transforms.frames(), what="mounting")
