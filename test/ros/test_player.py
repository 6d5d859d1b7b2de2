# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Player and recorder over real DDS."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from cvloc_ros.msg import LocalizationStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header, String

from cvloc_ros.errors import BagError
from cvloc_ros.ros import playback
from cvloc_ros.ros.player import Player, qos_of
from cvloc_ros.ros.recorder import Recorder

STORE = get_typestore(Stores.ROS2_JAZZY)
START_NS = 1_700_000_000_000_000_000
STEP_NS = 20_000_000
COUNT = 40
FOREVER = QosTime(2147483647, 4294967295)


def _profile(durability: QosDurability, reliability: QosReliability = QosReliability.RELIABLE) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST, 5, reliability, durability, FOREVER, FOREVER, QosLiveliness.AUTOMATIC, FOREVER, False
    )


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """40 headers in 0.8 s, one latched text, one topic of a node's own, one of an unknown type."""
    path = tmp_path / "bag"
    header, text = STORE.types["std_msgs/msg/Header"], STORE.types["std_msgs/msg/String"]
    time = STORE.types["builtin_interfaces/msg/Time"]
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        def add(topic: str, kind: str, durability: QosDurability = QosDurability.VOLATILE) -> Any:
            return writer.add_connection(topic, kind, typestore=STORE, offered_qos_profiles=[_profile(durability)])

        latched = add("/described", "std_msgs/msg/String", QosDurability.TRANSIENT_LOCAL)
        counted = add("/counted", "std_msgs/msg/Header")
        own = add("/cvloc/datum", "std_msgs/msg/String")
        odd = add("/odd", "geometry_msgs/msg/Point32")
        hello = STORE.serialize_cdr(text("hello"), "std_msgs/msg/String")
        writer.write(latched, START_NS, hello)
        writer.write(own, START_NS, hello)
        writer.write(odd, START_NS, bytes(16))
        for number in range(COUNT):
            at = START_NS + number * STEP_NS
            message = header(time(at // 10**9, at % 10**9), f"frame {number}")
            writer.write(counted, at, STORE.serialize_cdr(message, "std_msgs/msg/Header"))
    return path


@pytest.fixture
def context() -> Iterator[Context]:
    context = Context()
    rclpy.init(args=[], context=context)
    yield context
    context.try_shutdown()


@pytest.fixture
def heard(context: Context) -> Iterator[dict[str, list[Any]]]:
    """All that a subscriber of the bag's topics hears."""
    found: dict[str, list[Any]] = defaultdict(list)
    node = Node("listener", context=context)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for topic, kind, qos in (
        ("/counted", Header, QoSProfile(depth=100)), ("/described", String, latched),
        ("/clock", Clock, QoSProfile(depth=500)),
        ("/cvloc/datum", String, QoSProfile(depth=1)),
    ):  # fmt: skip
        node.create_subscription(kind, topic, found[topic].append, qos)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield found
    executor.shutdown()
    thread.join(5)
    node.destroy_node()


def test_every_message_arrives_in_order_with_the_clock(
    context: Context, bag: Path, heard: dict[str, list[Any]]
) -> None:
    node = Node("player", context=context)
    with Player(node, bag) as player:
        assert player.wait_for(["/counted", "/described"]) == []
        sent = list(player.play(rate=4.0))
        assert player.idle(lambda: len(heard["/counted"]) == COUNT and len(heard["/described"]) == 1, 10.0)
        assert player.played.counts == {"/counted": COUNT, "/described": 1, "/odd": 1}
    assert sent.count("/counted") == COUNT
    assert [message.frame_id for message in heard["/counted"]] == [f"frame {n}" for n in range(COUNT)]
    assert heard["/cvloc/datum"] == [], "the node's own topics are not played over it"
    clock = np.array([m.clock.sec * 10**9 + m.clock.nanosec for m in heard["/clock"]])
    assert (np.diff(clock) >= 0).all()
    played = clock[(clock > START_NS) & (clock <= START_NS + (COUNT - 1) * STEP_NS)]
    assert len(played) >= 70, "100 Hz of bag time"
    node.destroy_node()


def test_a_topic_that_nobody_receives_is_named(context: Context, bag: Path, heard: dict[str, list[Any]]) -> None:
    node = Node("player", context=context)
    with Player(node, bag) as player:
        assert {"/odd", "/gone"} <= set(player.wait_for(["/odd", "/gone", "/counted"], timeout_s=0.5))
        assert heard["/counted"] == []
        assert {"/odd", "/gone"} <= set(player.unmatched(["/odd", "/gone", "/counted"]))
    node.destroy_node()


def test_playing_ends_when_it_is_no_longer_wanted(context: Context, bag: Path) -> None:
    node = Node("player", context=context)
    with Player(node, bag) as player:
        sent: list[str] = []
        sent.extend(player.play(rate=10.0, alive=lambda: player.played.counts["/counted"] < 10))
        assert 10 <= len(sent) < COUNT
    node.destroy_node()


def test_rate_must_be_positive(context: Context, bag: Path) -> None:
    node = Node("player", context=context)
    with Player(node, bag) as player, pytest.raises(ValueError, match="rate 0"):
        next(player.play(rate=0))
    node.destroy_node()


@pytest.mark.parametrize("skip_all", [True, False])
def test_what_cannot_be_played_is_told(context: Context, bag: Path, tmp_path: Path, *, skip_all: bool) -> None:
    node = Node("player", context=context)
    path = bag if skip_all else tmp_path / "nothing"
    with pytest.raises(BagError, match="left out" if skip_all else "nothing"):
        Player(node, path, skip=lambda _: True)
    node.destroy_node()


def test_quality_of_service_is_that_of_the_recording(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        profiles = {connection.topic: qos_of(connection) for connection in reader.connections}
    assert profiles["/described"].durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert profiles["/counted"].durability == DurabilityPolicy.VOLATILE


def _node_with_answers(context: Context, name: str) -> tuple[Node, Any, Any]:
    node = Node(name, context=context)
    pose = node.create_publisher(PoseWithCovarianceStamped, "~/pose", 10)
    status = node.create_publisher(LocalizationStatus, "~/status", 10)
    return node, pose, status


def test_answers_are_recorded_as_they_were_sent(context: Context, tmp_path: Path) -> None:
    node, pose, status = _node_with_answers(context, "cvloc")
    recorder = Recorder(context, tmp_path / "answers", lambda: 7 * 10**9)
    with recorder:
        deadline = 200
        while not (pose.get_subscription_count() and status.get_subscription_count()) and deadline:
            threading.Event().wait(0.05)
            deadline -= 1
        assert recorder.connected()
        threading.Event().wait(0.3)
        for number in range(20):
            message = LocalizationStatus(sequence=number, status="ok", reasons=["a", "b"], score=0.5)
            message.header.stamp.sec = number
            status.publish(message)
            pose.publish(PoseWithCovarianceStamped(header=message.header))
        for _ in range(200):
            if recorder.counts == {"pose": 20, "status": 20}:
                break
            threading.Event().wait(0.05)
        assert recorder.fault == ""
    node.destroy_node()
    with AnyReader([tmp_path / "answers"]) as reader:
        rows = [(c.topic, reader.deserialize(data, c.msgtype), log) for c, log, data in reader.messages()]
    statuses = [message for topic, message, _ in rows if topic == "/cvloc/status"]
    assert [message.sequence for message in statuses] == list(range(20))
    assert statuses[3].reasons == ["a", "b"] and statuses[3].score == 0.5
    assert sum(topic == "/cvloc/pose" for topic, *_ in rows) == 20
    assert {log for *_, log in rows} == {7 * 10**9}


def test_playback_gives_up_when_nobody_listens(
    bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = playback.main([str(bag), "--record", str(tmp_path / "answers"), "--wait", "/counted", "--timeout", "0.5"])
    told = capsys.readouterr()
    assert code == 1
    assert "/counted" in told.err
    assert json.loads(told.out.splitlines()[0])["state"] == "waiting"


def test_playback_tells_that_the_bag_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert playback.main([str(tmp_path / "no bag"), "--record", str(tmp_path / "answers")]) == 1
    assert "no bag" in capsys.readouterr().err
