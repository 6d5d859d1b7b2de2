# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/ros.md against a node in a process of its own, as any other node of the system sees it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from geometry_msgs.msg import PoseWithCovarianceStamped
from lifecycle_msgs.msg import TransitionEvent
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rig import wait_for
from test_documents import rows
from vehicle import Vehicle, driving

from cvloc_ros import messages
from cvloc_ros.ros import compat, outputs

OPTIONAL_INPUTS = ("inputs.filter_topic", "inputs.heading_topic", "inputs.imu_topic", "cameras.camera.depth_topic",
                   "cameras.camera.mask_topic")  # fmt: skip
OF_EVERY_NODE = {"/rosout", "/parameter_events"}
ABSENT = {name for name, (message, _) in outputs.OPTIONAL.items() if getattr(compat, message) is None}


@pytest.fixture(scope="module")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vehicle]:
    named = [f"{key}:={key.replace('.', '_')}" for key in OPTIONAL_INPUTS]
    made = Vehicle("contract", tmp_path_factory.mktemp("contract"), named)
    with driving(made):
        wait_for(lambda: ("cvloc", "/contract") in made.node.get_node_names_and_namespaces(), 30.0, "the process")
        wait_for(lambda: made.node.count_subscribers("image"), 30.0, "its subscription")
        yield made


def written(endpoint: TopicEndpointInfo) -> tuple[str, str]:
    """Type and QoS in the words of the document; the depth of a queue is not told to other processes."""
    qos = endpoint.qos_profile
    words = "reliable" if qos.reliability == ReliabilityPolicy.RELIABLE else "best effort"
    latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return endpoint.topic_type.replace("/msg/", "/"), "latched" if latched else words


def own(endpoints: list[TopicEndpointInfo]) -> TopicEndpointInfo:
    (found,) = [item for item in endpoints if (item.node_namespace, item.node_name) == ("/contract", "cvloc")]
    return found


def documented(section: str) -> dict[str, tuple[str, str]]:
    """Absolute name -> type and QoS without depth."""
    found = {}
    for name, (kind, qos) in rows(section).items():
        full = name.replace("<name>", "camera").replace(".", "_").replace("~", "/contract/cvloc")
        found[full if full.startswith("/") else f"/contract/{full}"] = (kind, qos.rpartition(" ")[0])
    return found


def message_class(kind: str) -> Any:
    package, _, name = kind.partition("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def test_publishers_are_those_of_the_document_with_type_and_qos(vehicle: Vehicle) -> None:
    told = {name: value for name, value in documented("Outputs").items()
            if name.replace("/contract/cvloc", "~") not in ABSENT}  # fmt: skip

    def seen() -> dict[str, tuple[str, str]]:
        found = {}
        for name, _ in vehicle.node.get_publisher_names_and_types_by_node("cvloc", "/contract"):
            found[name] = written(own(vehicle.node.get_publishers_info_by_topic(name)))
        return {name: value for name, value in found.items() if name not in OF_EVERY_NODE}

    wait_for(lambda: len(seen()) > len(told), what="all publishers")
    found = seen()
    event = found.pop("/contract/cvloc/transition_event")
    assert event[0] == f"lifecycle_msgs/{TransitionEvent.__name__}"
    assert found == told  # and there is none on tf: tf_mode is none
    assert [name for name, (_, qos) in found.items() if qos == "latched"] == ["/contract/cvloc/datum"]


def test_subscriptions_are_those_of_the_document_with_type_and_qos(vehicle: Vehicle) -> None:
    found: dict[str, tuple[str, str]] = {}
    for name, _ in vehicle.node.get_subscriber_names_and_types_by_node("cvloc", "/contract"):
        found[name] = written(own(vehicle.node.get_subscriptions_info_by_topic(name)))
    told = documented("Inputs")
    kind = told.pop("/tf")[0]
    assert (found.pop("/contract/tf"), found.pop("/contract/tf_static")) == ((kind, "reliable"), (kind, "latched"))
    found.pop("/parameter_events", None)
    assert found.keys() == told.keys()
    for name, (kind, qos) in found.items():
        assert kind == told[name][0]
        if "image" not in name and "cameras_" not in name:  # these follow the publishers
            assert qos == told[name][1], name


def test_services_are_those_of_the_document(vehicle: Vehicle) -> None:
    offered = {
        name.replace("/contract/cvloc/", "~/"): kinds[0].replace("/srv/", "/")
        for name, kinds in vehicle.node.get_service_names_and_types_by_node("cvloc", "/contract")
        if kinds[0].startswith("std_srvs/")
    }
    assert offered == {name: kind for name, (kind, _) in rows("Services").items()}


def test_nothing_but_the_datum_reaches_who_comes_late_and_all_else_comes_with_the_next_pose(vehicle: Vehicle) -> None:
    told = {name: value for name, value in documented("Outputs").items() if name.startswith("/contract")
            and name.replace("/contract/cvloc", "~") not in ABSENT}  # fmt: skip
    first = vehicle.listen("cvloc/pose", PoseWithCovarianceStamped)
    last_ns = vehicle.drive(first)

    def kept(qos: str) -> QoSProfile:
        reliability = ReliabilityPolicy.BEST_EFFORT if qos == "best effort" else ReliabilityPolicy.RELIABLE
        durability = DurabilityPolicy.TRANSIENT_LOCAL if qos == "latched" else DurabilityPolicy.VOLATILE
        return QoSProfile(depth=10, reliability=reliability, durability=durability)

    heard: dict[str, list[Any]] = {
        name: vehicle.listen(name, message_class(kind), kept(qos))
        for name, (kind, qos) in told.items()
    }
    wait_for(lambda: heard["/contract/cvloc/datum"], what="datum")
    wait_for(lambda: vehicle.drive(first) and all(heard.values()), 60.0, "a message on every topic")
    for name in heard.keys() - {"/contract/cvloc/datum", "/contract/cvloc/markers"}:  # these have no stamp of an image
        assert min(map(messages.stamp_ns, heard[name])) > last_ns, name
