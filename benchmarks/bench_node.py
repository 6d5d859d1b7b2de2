# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Overhead of the node: from publishing an image to the arrival of the pose, with a session that does nothing.

Two processes on this machine, as on a vehicle: the driver publishes images and receives poses, the node is the shipped
one. Each is measured with the default transport of Fast DDS and with config/fastdds.xml.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT, COUNT, RATE_HZ, WARM_UP = 1280, 720, 100, 15.0, 10
JPEG_QUALITY = 90
TIMEOUT_S = 60.0


def run() -> list[dict[str, Any]]:
    """Measure; one row {name, unit, p50, p95, n, note} for each transport and profile; none without rclpy."""
    try:
        import rclpy  # noqa: F401
    except ImportError:
        return []
    rows = []
    for transport in ("raw", "compressed"):
        for profile in ("default", "fastdds.xml"):
            latencies, size = _measure(transport, profile)
            rows.append(
                {
                    "name": f"node overhead, {transport}, {profile}", "unit": "ms",
                    "p50": float(np.percentile(latencies, 50)), "p95": float(np.percentile(latencies, 95)),
                    "n": len(latencies),
                    "note": f"{WIDTH}x{HEIGHT}, {size / 1e3:.0f} kB at {RATE_HZ:g} Hz, image out to pose in, decoded",
                }
            )  # fmt: skip
    return rows


def _measure(transport: str, profile: str) -> tuple[list[float], int]:
    from cvloc_ros.ros.domains import claim_domain

    env = dict(os.environ, ROS_DOMAIN_ID=str(claim_domain()), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")])
    if profile != "default":
        env["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / profile)
    command = [sys.executable, __file__, "drive", transport]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["latencies_ms"], answer["bytes"]


def _image(transport: str) -> tuple[Any, str, int]:
    from sensor_msgs.msg import CompressedImage, Image

    from cvloc_ros.ros.standins import byte_array

    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    if transport == "raw":
        message = Image(height=HEIGHT, width=WIDTH, encoding="bgr8", step=3 * WIDTH, data=byte_array(picture))
        return message, "image", len(message.data)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    message = CompressedImage(format="jpeg", data=byte_array(data))
    return message, "image/compressed", len(message.data)


def drive(transport: str) -> dict[str, Any]:
    """Start the node, send it images and time the poses that come back."""
    import rclpy
    from geometry_msgs.msg import PoseWithCovarianceStamped

    node_process = subprocess.Popen(
        [sys.executable, __file__, "node", "--ros-args", "-p", f"cameras.camera.transport:={transport}",
         "-p", "inputs.wait_s:=0.0", "-p", "output.min_interval_s:=0.0"], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    rclpy.init()
    node = rclpy.create_node("driver")
    message, topic, size = _image(transport)
    arrived: dict[int, int] = {}

    def on_pose(pose: Any) -> None:
        arrived.setdefault(pose.header.stamp.sec * 10**9 + pose.header.stamp.nanosec, time.time_ns())

    node.create_subscription(PoseWithCovarianceStamped, "/cvloc/pose", on_pose, 10)
    publisher = node.create_publisher(type(message), topic, 10)
    sent = []
    try:
        end = time.monotonic() + TIMEOUT_S / 2
        while time.monotonic() < end and len(arrived) < COUNT + WARM_UP:
            stamp = time.time_ns()
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
            publisher.publish(message)
            sent.append(stamp)
            until = time.monotonic() + 1 / RATE_HZ
            while (left := until - time.monotonic()) > 0:
                rclpy.spin_once(node, timeout_sec=left)
    finally:
        node_process.terminate()
        node_process.wait(10)
        node.destroy_node()
        rclpy.shutdown()
    latencies = [(arrived[stamp] - stamp) * 1e-6 for stamp in sent if stamp in arrived]
    return {"latencies_ms": latencies[WARM_UP:], "bytes": size}


def serve() -> int:
    """Run the node with a session that decodes the image and takes the origin for the pose."""
    from cvloc_ros.config import Config
    from cvloc_ros.geo.transforms import TransformTree
    from cvloc_ros.ros.main import main
    from cvloc_ros.session import Session
    from cvloc_ros.types import LocalizationResult, Pose2, PoseEstimate, Status

    class Idle(Session):
        def __init__(self, config: Config) -> None:
            self.config, self.projection, self.transforms = config, None, TransformTree()

        def warm_up(self) -> float:
            return 0.0

        def ready(self, stamp_ns: int) -> bool:  # noqa: ARG002
            return True

        def localize(self, images: Any, age_s: float | None = None) -> LocalizationResult:  # noqa: ARG002
            images[0].decode()
            estimate = PoseEstimate(Pose2(0.0, 0.0, 0.0), np.eye(3), 1.0, 0.0)
            return LocalizationResult(Status.OK, images[0].stamp_ns, estimate=estimate)

        def close(self) -> None:
            pass

    return main(sys.argv[1:], Idle)


if __name__ == "__main__":
    if sys.argv[1] == "drive":
        print(json.dumps(drive(sys.argv[2])))
    else:
        sys.exit(serve())
