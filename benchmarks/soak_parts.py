# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of the soak: the drive and its tape, a tile server that fails on command, the driver, a look at a process."""

from __future__ import annotations

import bisect
import sqlite3
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import yaml
from cvloc_ros.msg import LocalizationStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosbags.highlevel import AnyReader
from rosgraph_msgs.msg import Clock

from cvloc_ros.ros.player import message_class, qos_of
from cvloc_ros.simulation import writer
from cvloc_ros.simulation.scene import Scene

SETTLE_S, PATIENCE_S, IDLE_S, CHANGE_S = 0.3, 3.0, 0.15, 120.0
CLOCK_NS = 10_000_000
TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE, "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE, "cleanup": Transition.TRANSITION_CLEANUP,
}  # fmt: skip
QUIET = ("waiting_keyframes", "throttled", "standstill", "old_stamp")
"""Statuses that are told once and not for every image."""


def prepare(folder: Path, seconds: float) -> Path:
    """Make the simulated drive, or keep that of the last time."""
    from cvloc_ros.cli.simulate import progress_bar

    scene = Scene(duration_s=seconds)
    if not writer.is_complete(scene, folder):
        writer.write_drive(scene, folder, progress_bar)
    return folder


def parameters(drive: Path, out: Path, tiles: str) -> Path:
    """Write the parameter file of the node: every image is an attempt, tiles come from `tiles`."""
    tree = writer.node_parameters(Scene.load(drive / writer.SCENE), drive)
    values = tree["/**"]["ros__parameters"]
    values["autostart"] = False
    values["tiles"] = {"source": tiles, "contact": "bench@example.org", "cache_dir": str((out / "cache").resolve())}
    values["matcher"] = {"threads": 1}
    values["output"] = {"min_interval_s": 0.0, "min_travel_m": 0.0}
    path = out / "node.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


@dataclass(frozen=True, slots=True)
class Item:
    """A message of the drive. `camera` is "" for all but images; `ends_set`: the last image of its stamp."""

    log_ns: int
    stamp_ns: int
    topic: str
    data: bytes
    camera: str
    ends_set: bool = False


class Tape:
    """All messages of a drive in memory, and its truth."""

    def __init__(self, drive: Path) -> None:
        """Read bag and truth."""
        self.qos: dict[str, tuple[Any, Any]] = {}
        items: list[Item] = []
        with AnyReader([drive / writer.BAG]) as reader:
            self.start_ns = reader.start_time
            for connection, log_ns, data in reader.messages():
                if connection.topic.startswith(("/ground_truth", "/cvloc", "/imu")):
                    continue
                self.qos[connection.topic] = (message_class(connection.msgtype), qos_of(connection))
                camera = connection.topic.split("/")[2] if "/image" in connection.topic else ""
                stamp_ns = 0
                if camera:  # the header comes first, after four bytes of encapsulation
                    sec, nanosec = struct.unpack_from("<iI", data, 4)
                    stamp_ns = sec * 10**9 + nanosec
                items.append(Item(log_ns, stamp_ns, connection.topic, bytes(data), camera))
        images = [item for item in items if item.camera]
        last = {item.stamp_ns: item for item in images}
        ends = {id(item) for item in last.values()}
        self.items = [_ending(item) if id(item) in ends else item for item in items]
        table = np.loadtxt((drive / writer.TRUTH).read_text(encoding="utf-8").splitlines(), dtype=str)
        self._stamps = [int(text.replace(".", "")) for text in table[:, 0]]
        self._places = table[:, 1:3].astype(float)

    def truth_at(self, stamp_ns: int) -> Any:
        """Return the true position (2,) of base in map; stamps of images are in the truth file."""
        index = bisect.bisect_left(self._stamps, stamp_ns)
        if index >= len(self._stamps) or self._stamps[index] != stamp_ns:
            msg = f"no truth at {stamp_ns}"
            raise ValueError(msg)
        return self._places[index]


def _ending(item: Item) -> Item:
    return Item(item.log_ns, item.stamp_ns, item.topic, item.data, item.camera, ends_set=True)


class TileServer:
    """Serves the tiles of the drive's map; answers 503 while `up` is False."""

    def __init__(self, drive: Path) -> None:
        """Read the map into memory."""
        self.up = True
        with sqlite3.connect(drive / writer.MAP) as file:
            rows = file.execute("select zoom_level, tile_column, tile_row, tile_data from tiles").fetchall()
        self._tiles = {(z, x, 2**z - 1 - y): data for z, x, y, data in rows}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/{{z}}/{{x}}/{{y}}.jpg"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                z, x, y = (int(part) for part in self.path.split(".")[0].split("/")[1:])
                data = server._tiles.get((z, x, y))
                self.send_response(503 if not server.up else 404 if data is None else 200)
                self.send_header("Content-Length", str(len(data) if server.up and data else 0))
                self.end_headers()
                if server.up and data:
                    self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def __enter__(self) -> TileServer:
        """Start serving."""
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass(frozen=True, slots=True)
class Pose:
    """A pose that the node published; `sigma_m` is the larger of its two standard deviations."""

    stamp_ns: int
    x_m: float
    y_m: float
    sigma_m: float


class Driver:
    """Plays the vehicle and its lifecycle manager from the caller's thread. Use as a context manager."""

    def __init__(self, tape: Tape) -> None:
        """Make publishers, listeners and the client of the transitions."""
        self.tape = tape
        self.refused = 0
        """Transitions that did not succeed."""
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = Node("soak_driver", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._publishers = {
            topic: self._node.create_publisher(kind, topic, qos) for topic, (kind, qos) in tape.qos.items()
        }
        self._clock = self._node.create_publisher(Clock, "/clock", 10)
        self._tick_ns = 0
        self._poses: list[Pose] = []
        self._statuses: list[Any] = []
        self._node.create_subscription(PoseWithCovarianceStamped, "/cvloc/pose", self._on_pose, 100)
        self._node.create_subscription(LocalizationStatus, "/cvloc/status", self._on_status, 100)
        self._change = self._node.create_client(ChangeState, "/cvloc/change_state")

    def __enter__(self) -> Driver:
        """Wait for the node."""
        if not self._change.wait_for_service(60.0):
            msg = "the node did not start; see out/soak/node.log"
            raise RuntimeError(msg)
        return self

    def __exit__(self, *_: object) -> None:
        """End the node of the driver."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def change(self, *names: str) -> None:
        """Ask for transitions, one after the other."""
        for name in names:
            future = self._change.call_async(ChangeState.Request(transition=Transition(id=TRANSITIONS[name])))
            self._executor.spin_until_future_complete(future, CHANGE_S)
            if not future.done():
                msg = f"{name} was not answered within {CHANGE_S:g} s; see out/soak/node.log"
                raise RuntimeError(msg)
            self.refused += not future.result().success

    def connect(self) -> None:
        """Put the clock at the start and wait until the node hears every topic."""
        end = time.monotonic() + CHANGE_S
        self._tick(self.tape.start_ns)
        while any(item.get_subscription_count() == 0 for item in (*self._publishers.values(), self._clock)):
            self._spin(0.02)
            if time.monotonic() > end:
                missing = [name for name, item in self._publishers.items() if item.get_subscription_count() == 0]
                msg = f"the node does not hear {', '.join(missing) or '/clock'}"
                raise RuntimeError(msg)
        self._spin(SETTLE_S)

    def send(self, item: Item) -> None:
        """Let the clock come to a message and send it."""
        if item.log_ns - self._tick_ns >= CLOCK_NS or item.log_ns < self._tick_ns:
            self._tick(item.log_ns)
        self._publishers[item.topic].publish(item.data)

    def wait_for(self, stamp_ns: int) -> None:
        """Give the node the time that it needs for the image of this stamp; briefly where it says nothing of it."""
        quiet = bool(self._statuses) and self._statuses[-1].status in QUIET
        end = time.monotonic() + (IDLE_S if quiet else PATIENCE_S)
        while time.monotonic() < end and not (self._statuses and _stamp_ns(self._statuses[-1]) == stamp_ns):
            self._spin(end - time.monotonic(), once=True)

    def taken_poses(self) -> list[Pose]:
        """Return the poses since the last call."""
        taken, self._poses = self._poses, []
        return taken

    def taken_statuses(self) -> list[Any]:
        """Return the statuses since the last call."""
        taken, self._statuses = self._statuses, []
        return taken

    def entities(self) -> dict[str, int]:
        """Count what the node has on the network: topics it publishes and reads, services."""
        self._spin(SETTLE_S)
        node = self._node
        return {
            "published topics": len(node.get_publisher_names_and_types_by_node("cvloc", "/")),
            "read topics": len(node.get_subscriber_names_and_types_by_node("cvloc", "/")),
            "services": len(node.get_service_names_and_types_by_node("cvloc", "/")),
        }

    def _tick(self, at_ns: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(at_ns, 10**9)
        self._clock.publish(message)
        self._tick_ns = at_ns

    def _spin(self, seconds: float, *, once: bool = False) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)
            if once:
                return

    def _on_pose(self, message: Any) -> None:
        position, covariance = message.pose.pose.position, np.reshape(message.pose.covariance, (6, 6))[:2, :2]
        sigma_m = float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
        self._poses.append(Pose(_stamp_ns(message), position.x, position.y, sigma_m))

    def _on_status(self, message: Any) -> None:
        self._statuses.append(message)


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec * 10**9 + stamp.nanosec)


def _names(pid: int) -> list[str]:
    return [path.read_text(encoding="utf-8").strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")]


def sample(pid: int) -> dict[str, Any]:
    """Return resident size, threads and open files of a process."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    return {
        "rss_mb": int(fields["VmRSS"].split()[0]) / 1024,
        "threads": int(fields["Threads"]),
        "names": dict(sorted(Counter(_names(pid)).items())),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }
