# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc doctor live`: listens to the running system for a while and applies the checks of a bag."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rclpy
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu, NavSatFix
from tf2_msgs.msg import TFMessage

from cvloc_ros.config import Config
from cvloc_ros.evaluation.doctor.check import Check
from cvloc_ros.evaluation.doctor.examine import examine
from cvloc_ros.evaluation.doctor.survey import Survey
from cvloc_ros.evaluation.salvage import Topic
from cvloc_ros.evaluation.topics import wire

TYPES = {
    f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}": kind
    for kind in (Image, CompressedImage, CameraInfo, NavSatFix, Odometry, Imu, TFMessage, PoseStamped,
                 PoseWithCovarianceStamped)
}
DISCOVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class LiveTopics:
    """The topics of a running graph that somebody publishes."""

    topics: Mapping[str, Topic]
    path: str = "the running system"

    @classmethod
    def of(cls, node: Node) -> LiveTopics:
        """Ask the graph."""
        found = {}
        for name, types in sorted(node.get_topic_names_and_types()):
            offers = [info.qos_profile for info in node.get_publishers_info_by_topic(name)]
            if not offers:
                continue
            weak = any(offer.reliability == ReliabilityPolicy.BEST_EFFORT for offer in offers)
            latched = any(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
            found[name] = Topic(name, types[0], len(offers), "best_effort" if weak else "reliable", latched)
        return cls(found)

    def find(self, *types: str) -> list[Topic]:
        """Return the topics of the given short type names, by name."""
        return [topic for topic in self.topics.values() if topic.type.split("/")[-1] in types]


def examine_live(config: Config, seconds: float, cameras: Mapping[str, Any] | None = None) -> list[Check]:
    """Listen for `seconds` and check what came."""
    own = not rclpy.ok()
    if own:
        rclpy.init()
    node = Node("cvloc_doctor")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        _spin(executor, DISCOVERY_S)
        live = LiveTopics.of(node)
        if "/clock" in live.topics:
            node.set_parameters([Parameter("use_sim_time", Parameter.Type.BOOL, True)])
            _spin(executor, 0.5)
        survey = Survey(wire(live, config, cameras=cameras, strict=False))
        for name in sorted(survey.wiring.topics & set(live.topics)):
            _listen(node, live.topics[name], survey)
        _spin(executor, seconds)
        return examine(survey, live.topics)
    finally:
        executor.shutdown()
        node.destroy_node()
        if own:
            rclpy.try_shutdown()


def _listen(node: Node, topic: Topic, survey: Survey) -> None:
    kind = TYPES.get(topic.type)
    if kind is None:
        return
    profile = QoSProfile(
        depth=200,
        reliability=ReliabilityPolicy.BEST_EFFORT if topic.reliability == "best_effort" else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE,
    )

    def see(message: Any) -> None:
        survey.see(topic.name, node.get_clock().now().nanoseconds, message)

    node.create_subscription(kind, topic.name, see, profile)


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=left)
