# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/ros.md against a node in a process of its own, as any other node of the system sees it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from geometry_msgs.msg import PolygonStamped, PoseWithCovarianceStamped
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


def all_of(seen: Callable[[], Iterable[str]], wanted: Iterable[str]) -> None:
    """Wait until discovery has told of everything that is wanted; what is too much is for the test to say."""
    wait_for(lambda: set(wanted) <= set(seen()), 30.0, f"discovery of {sorted(set(wanted))}")


def test_publishers_are_those_of_the_document_with_type_and_qos(vehicle: Vehicle) -> None:
    told = {name: value for name, value in documented("Outputs").items()
            if name.replace("/contract/cvloc", "~") not in ABSENT}  # fmt: skip

    def names() -> set[str]:
        seen = vehicle.node.get_publisher_names_and_types_by_node("cvloc", "/contract")
        return {name for name, _ in seen} - OF_EVERY_NODE

    event = "/contract/cvloc/transition_event"
    all_of(names, [*told, event])
    found = {name: written(own(vehicle.node.get_publishers_info_by_topic(name))) for name in names()}
    assert found.pop(event)[0] == f"lifecycle_msgs/{TransitionEvent.__name__}"
    assert found == told  # and there is none on tf: tf_mode is none
    assert [name for name, (_, qos) in found.items() if qos == "latched"] == ["/contract/cvloc/datum"]


def test_subscriptions_are_those_of_the_document_with_type_and_qos(vehicle: Vehicle) -> None:
    told = documented("Inputs")
    kind = told.pop("/tf")[0]
    told |= {"/contract/tf": (kind, "reliable"), "/contract/tf_static": (kind, "latched")}

    def names() -> set[str]:
        seen = vehicle.node.get_subscriber_names_and_types_by_node("cvloc", "/contract")
        return {name for name, _ in seen} - OF_EVERY_NODE

    all_of(names, told)
    assert names() == told.keys()
    for name, (kind, qos) in told.items():
        found = written(own(vehicle.node.get_subscriptions_info_by_topic(name)))
        assert found[0] == kind
        if "image" not in name and "cameras_" not in name:  # these follow the publishers
            assert found[1] == qos, name


def test_services_are_those_of_the_document(vehicle: Vehicle) -> None:
    told = {name: kind for name, (kind, _) in rows("Services").items()}

    def offered() -> dict[str, str]:
        seen = vehicle.node.get_service_names_and_types_by_node("cvloc", "/contract")
        names = {name.replace("/contract/cvloc/", "~/"): kinds[0].replace("/srv/", "/") for name, kinds in seen}
        return {name: kind for name, kind in names.items() if kind.startswith("std_srvs/")}

    all_of(offered, told)
    assert offered() == told


def test_nothing_but_the_datum_reaches_who_comes_late_and_all_else_comes_with_the_next_pose(vehicle: Vehicle) -> None:
    told = {name: value for name, value in documented("Outputs").items() if name.startswith("/contract")
            and name.replace("/contract/cvloc", "~") not in ABSENT}  # fmt: skip
    first = vehicle.listen("cvloc/pose", PoseWithCovarianceStamped)
    last = vehicle.listen("cvloc/search_window", PolygonStamped)  # what is published last of an attempt
    last_ns = vehicle.drive(first)
    wait_for(lambda: last and messages.stamp_ns(last[-1]) == last_ns, what="the end of that attempt")

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
    # The datum and markers have no stamp of an image, and debug topics are drawn after their attempt.
    stamped = [name for name in heard if not name.endswith(("/datum", "/markers")) and "/debug/" not in name]
    assert min(messages.stamp_ns(item) for name in stamped for item in heard[name]) > last_ns
    assert "/contract/cvloc/pose" in stamped
