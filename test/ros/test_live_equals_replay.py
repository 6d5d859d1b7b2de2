# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A real drive played over DDS in real time to the shipped executable gives the poses of the replay."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from cvloc_ros import config
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.feed import Feed, InitialYaw
from cvloc_ros.evaluation.replay import Part, play
from cvloc_ros.evaluation.topics import wire
from cvloc_ros.messages import stamp_ns
from cvloc_ros.ros import convert
from cvloc_ros.ros.player import Player
from cvloc_ros.session import Session
from cvloc_ros.types import PoseEstimate

DRIVE = Path(__file__).resolve().parents[3] / "shared" / "data" / "paris_drive"
SECONDS = 12.0
START_YAW_DEG = -86.0
SETTINGS = {
    "geo": {"datum": [48.8503, 2.3346, 0.0], "projection": "local_enu"},
    "tiles": {"source": str(DRIVE / "map.mbtiles")},
    "estimation": {"max_latency_s": 30.0},  # a busy machine that runs the tests may be slow
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DRIVE.exists(), reason="the drive ../shared/data/paris_drive is not here"),
]


def replayed() -> tuple[dict[int, PoseEstimate], tuple, config.Config]:
    """Replay the start of the drive; return poses by stamp, the initial pose and the configuration."""
    found: dict[int, PoseEstimate] = {}
    initial: list[tuple] = []
    with Bag.open(DRIVE / "bag") as bag:
        wiring = wire(bag, config.merge(config.Config(), SETTINGS), "", {})
        session = Session.open(wiring.config)
        keep = session.set_initial_pose
        session.set_initial_pose = lambda *given: initial.append(given) or keep(*given)
        feed = Feed(session, wiring, InitialYaw(START_YAW_DEG))

        def on_result(outcome) -> None:
            if outcome.result.estimate is not None:
                found[outcome.result.stamp_ns] = outcome.result.estimate

        play(bag, session, wiring, feed, on_result, Part(duration_s=SECONDS), progress=False)
        session.close()
    return found, initial[0], wiring.config


def overrides(tree: dict, prefix: str = "") -> list[str]:
    """Command-line form of parameters."""
    flags: list[str] = []
    for name, value in tree.items():
        if isinstance(value, dict):
            flags += overrides(value, f"{prefix}{name}.")
        else:
            flags += ["-p", f"{prefix}{name}:={value}"]
    return flags


def test_live_poses_are_those_of_the_replay():
    expected, (stamp, pose, covariance), used = replayed()
    cameras = {name: {"image_topic": camera.image_topic, "camera_info_topic": camera.camera_info_topic,
                      "transport": camera.transport} for name, camera in used.cameras.items()}  # fmt: skip
    tree = {**SETTINGS, "use_sim_time": True, "camera_names": list(cameras), "cameras": cameras}
    command = [sys.executable, "-m", "cvloc_ros.ros.main", "--ros-args", *overrides(tree)]
    process = subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    listener, player_node = rclpy.create_node("listener"), rclpy.create_node("bag_player")
    live: dict[int, PoseWithCovarianceStamped] = {}
    listener.create_subscription(
        PoseWithCovarianceStamped, "/cvloc/pose", lambda message: live.setdefault(stamp_ns(message), message), 10
    )
    start = player_node.create_publisher(PoseWithCovarianceStamped, "initialpose", 1)
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    thread = threading.Thread(target=spin, args=(executor,))
    thread.start()
    try:
        with Player(player_node, DRIVE / "bag") as player:
            topics = [f"{camera.image_topic}/compressed" for camera in used.cameras.values()]
            assert not player.wait_for([*topics, "/fix", "/odom", "/tf", "/tf_static"])
            begin = player.now_ns()
            for topic in player.play():
                if topic == "/fix" and start is not None:
                    start.publish(convert.pose_with_covariance(PoseEstimate(pose, covariance, 0.0, 0.0), stamp, "map"))
                    start = None
                if player.now_ns() - begin > (SECONDS + 1.0) * 1e9:
                    break
    finally:
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=15)[0]
        executor.shutdown()
        thread.join()
        listener.destroy_node()
        player_node.destroy_node()
    common = sorted(set(live) & set(expected))
    assert len(common) >= 3, output
    for at in common:
        there, here = live[at].pose.pose, expected[at].pose
        apart = math.hypot(there.position.x - here.x_m, there.position.y - here.y_m)
        turned = math.remainder(2 * math.atan2(there.orientation.z, there.orientation.w) - here.yaw_rad, math.tau)
        assert apart < 0.05
        assert abs(math.degrees(turned)) < 0.1


def spin(executor: SingleThreadedExecutor) -> None:
    with contextlib.suppress(ExternalShutdownException):
        executor.spin()
