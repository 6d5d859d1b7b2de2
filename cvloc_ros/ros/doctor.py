# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc doctor live`: listens to the running system for a while and applies the checks of a bag.

Beyond those it asks navsat_transform for its map, and repeats what a localizer that runs says of itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, Imu, NavSatFix
from tf2_msgs.msg import TFMessage

from cvloc_ros.config import Config
from cvloc_ros.evaluation.doctor.check import Check, fail, ok, steps, warn
from cvloc_ros.evaluation.doctor.examine import examine
from cvloc_ros.evaluation.doctor.survey import Survey
from cvloc_ros.evaluation.salvage import Topic
from cvloc_ros.evaluation.topics import wire
from cvloc_ros.geo.projection import Projection
from cvloc_ros.ros.datum_check import ALWAYS, DATUM, disagreement
from cvloc_ros.ros.diagnostic_keys import TABLE

TYPES = {
    f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}": kind
    for kind in (Image, CompressedImage, CameraInfo, NavSatFix, Odometry, Imu, TFMessage, PoseStamped,
                 PoseWithCovarianceStamped)
}
DISCOVERY_S = 2.0
PRESENT_S, ANSWER_S = 0.5, 2.0


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
        told: dict[str, DiagnosticStatus] = {}
        node.create_subscription(DiagnosticArray, "/diagnostics", partial(_keep, told), 10)
        _spin(executor, seconds)
        checks = [*examine(survey, live.topics), *steps({"datum": check_navsat(node, executor, config)})]
        order = list(dict.fromkeys(check.step for check in checks))
        return [*sorted(checks, key=lambda check: order.index(check.step)), *steps({"localizer": _localizers(told)})]
    finally:
        executor.shutdown()
        node.destroy_node()
        if own:
            rclpy.try_shutdown()


def check_navsat(node: Node, executor: SingleThreadedExecutor, config: Config) -> Iterator[Check]:
    """Compare the map of a navsat_transform that runs with ours, by its parameters."""
    if not config.geo.navsat_node or not config.geo.datum:
        return
    name = node.resolve_service_name(config.geo.navsat_node)
    client = node.create_client(GetParameters, f"{name}/get_parameters")
    try:
        if not client.wait_for_service(PRESENT_S):  # the graph names services that have clients only, too
            yield ok("navsat_transform", f"no {name} runs; give it the same datum when it does")
            return
        answers: dict[str, Any] = {}
        for key in (*ALWAYS, DATUM):  # one at a time: a name that is not declared spoils the answer to all others
            future = client.call_async(GetParameters.Request(names=[key]))
            executor.spin_until_future_complete(future, ANSWER_S)
            if not future.done():
                yield warn("navsat_transform", f"{name} does not answer what its datum is", "is it busy, or hung?")
                return
            values = future.result().values
            answers[key] = parameter_value_to_python(values[0]) if values else None
        fault = disagreement(Projection.from_config(config.geo), answers, name)
        remedy = "see docs/robot-localization.md, One datum"
        yield fail("navsat_transform", fault, remedy) if fault else ok("navsat_transform", "the same map")
    finally:
        node.destroy_client(client)


def _keep(told: dict[str, DiagnosticStatus], message: DiagnosticArray) -> None:
    told |= {status.name: status for status in message.status if status.name.split(": ")[-1] in TABLE}


def _localizers(told: Mapping[str, DiagnosticStatus]) -> Iterator[Check]:
    """Repeat what localizers that run say of themselves; their sentences hold the remedy."""
    if not told:
        yield ok("localizer", "none runs yet: `ros2 launch cvloc_ros cvloc.launch.py params_file:=...`")
    for name, status in sorted(told.items()):
        if status.level == DiagnosticStatus.OK:
            yield ok(name, status.message)
        else:
            make = warn if status.level == DiagnosticStatus.WARN else fail
            yield make(name, status.message, "see docs/diagnostics.md")


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
