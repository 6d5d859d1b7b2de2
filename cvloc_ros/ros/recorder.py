# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes what a running node publishes into a bag, byte for byte, in the order of arrival."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from sensor_msgs.msg import Image

from cvloc_ros import resources
from cvloc_ros.errors import BagError, CvlocError
from cvloc_ros.ros.compat import LocalizationStatus

POSE, STATUS, OVERLAY = "pose", "status", "debug/overlay"
_STATUS_TYPE = "cvloc_ros/msg/LocalizationStatus"


class Recorder:
    """Records `~/pose`, `~/status` and, if wanted, `~/debug/overlay` of one node. A context manager.

    Spins in a thread of its own. `counts` tells how many messages of each topic have arrived.
    """

    def __init__(
        self, context: Context, bag: Path, now_ns: Callable[[], int], node_name: str = "cvloc", *,
        pictures: bool = False,
    ) -> None:  # fmt: skip
        """Subscribe and open the bag, which must not exist; `now_ns` gives the log time of an arrival.

        Raises:
            CvlocError: the package's status message was not generated, or the bag cannot be written.
        """
        if LocalizationStatus is None:
            msg = f"{_STATUS_TYPE} is not built; run `make setup`, or colcon build with ROS 2"
            raise CvlocError(msg)
        self._now_ns = now_ns
        self.fault = ""
        """Why recording stopped early; empty while all is well."""
        self._last_heard = time.monotonic()
        self._lock = threading.Lock()
        self.node: Node = Node("cvloc_recorder", context=context)
        deep = QoSProfile(depth=200)
        kinds = {POSE: (PoseWithCovarianceStamped, deep), STATUS: (LocalizationStatus, deep)}
        if pictures:
            kinds[OVERLAY] = (Image, QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT))
        self.counts = dict.fromkeys(kinds, 0)
        try:
            self._writer = Writer(bag, version=8, storage_plugin=StoragePlugin.MCAP)
            self._writer.open()
        except Exception as err:
            self.node.destroy_node()
            msg = f"{bag}: cannot be written: {err}"
            raise BagError(msg) from err
        self._connections = self._add_connections(node_name)
        self._subscriptions = [
            self.node.create_subscription(kind, f"/{node_name}/{name}", self._keeper(name), qos, raw=True)
            for name, (kind, qos) in kinds.items()
        ]
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="recorder", daemon=True)

    def connected(self) -> bool:
        """Tell whether every topic has a publisher."""
        return all(self.node.count_publishers(s.topic_name) > 0 for s in self._subscriptions)

    def quiet_for(self, seconds: float) -> bool:
        """Tell whether nothing has arrived for so long (wall clock)."""
        return time.monotonic() - self._last_heard >= seconds

    def __enter__(self) -> Recorder:
        """Start to record."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        """Stop, complete the bag and free the node."""
        self._executor.shutdown()
        self._thread.join(timeout=5.0)
        with self._lock:
            self._writer.close()
        self.node.destroy_node()

    def _add_connections(self, node_name: str) -> dict[str, Connection]:
        store = get_typestore(Stores.ROS2_HUMBLE)
        definition = resources.find("msg/LocalizationStatus.msg").read_text(encoding="utf-8")
        store.register(get_types_from_msg(definition, _STATUS_TYPE))
        types = {POSE: "geometry_msgs/msg/PoseWithCovarianceStamped", STATUS: _STATUS_TYPE,
                 OVERLAY: "sensor_msgs/msg/Image"}  # fmt: skip
        return {
            name: self._writer.add_connection(f"/{node_name}/{name}", types[name], typestore=store)
            for name in self.counts
        }

    def _keeper(self, name: str) -> Callable[[Any], None]:
        def keep(data: bytes) -> None:
            with self._lock:
                self._writer.write(self._connections[name], self._now_ns(), data)
            self.counts[name] += 1
            self._last_heard = time.monotonic()

        return keep

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as err:  # noqa: BLE001  a thread has nobody to tell; `fault` is asked for
            self.fault = f"{type(err).__name__}: {err}"
