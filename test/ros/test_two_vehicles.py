# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two localizers in two namespaces, each a process of its own: neither hears, names or disturbs the other."""

from __future__ import annotations

import time
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from rig import stamp_now, wait_for
from tf2_msgs.msg import TFMessage
from vehicle import Vehicle, driving

from cvloc_ros.ros import convert
from cvloc_ros.types import Pose2

MODE = ["output.tf_mode:=map_to_odom"]


def test_each_vehicle_has_its_own_poses_transforms_and_diagnostics(tmp_path: Path) -> None:
    left, right = Vehicle("left", tmp_path, MODE, 47.0001), Vehicle("right", tmp_path, MODE, 47.0003)
    poses = {one: one.listen("cvloc/pose", PoseWithCovarianceStamped) for one in (left, right)}
    edges = {one: one.listen("tf", TFMessage) for one in (left, right)}
    told = left.listen("/diagnostics", DiagnosticArray)

    def moved(one: Vehicle) -> bool:
        sent = [item for message in edges[one] for item in message.transforms if item.header.frame_id == "map"]
        return bool(sent or one.drive(poses[one]) < 0)

    with driving(left, right):
        for one in (left, right):
            wait_for(lambda node=one.node: node.count_subscribers("image"), what="the process's subscription")
        wait_for(lambda: moved(left), 30.0, "pose and transform of the first vehicle")
        assert not poses[right]
        assert not edges[right]
        wait_for(lambda: moved(right), 30.0, "pose and transform of the second vehicle")
        places = [{round(item.pose.pose.position.y) for item in poses[one]} for one in (left, right)]
        assert places == [{11}, {33}]
        wanted = {"left/cvloc: localization", "right/cvloc: localization"}
        wait_for(lambda: wanted <= {item.name for message in told for item in message.status}, what="both diagnostics")
        faults = wait_for(lambda: second_sender(left, told), 30.0, "the second sender of the first vehicle, by name")
        assert all(name == "left/cvloc: inputs" and "one of /left/vehicle:" in text for name, text in faults)


def second_sender(one: Vehicle, told: list[DiagnosticArray]) -> set[tuple[str, str]]:
    """Send map to odom beside the localizer; return who told of it, and what."""
    edge = convert.transform(Pose2(1.0, 0.0, 0.0), stamp_now(), "map", "odom")
    one.publishers["tf"].publish(TFMessage(transforms=[edge]))
    time.sleep(0.05)
    statuses = [item for message in told for item in message.status]
    return {(item.name, item.message) for item in statuses if "another node sends map -> odom too" in item.message}
