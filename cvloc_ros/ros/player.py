# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag over DDS with `/clock`: the bytes of every message go out as they were recorded."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosgraph_msgs.msg import Clock

from cvloc_ros.errors import BagError

CLOCK_HZ = 100.0
MATCH_TIMEOUT_S = 30.0
_POLL_S = 0.02
_SETTLE_S = 0.3


@dataclass(slots=True)
class Played:
    """What was sent: messages by topic, and the largest delay of a message behind its time."""

    counts: dict[str, int] = field(default_factory=dict)
    late_s: float = 0.0
    skipped: tuple[str, ...] = ()
    """Topics that were not played, each with the reason."""


class Player:
    """Publishes a bag from a node of the caller; needs no executor. Use as a context manager."""

    def __init__(
        self, node: Node, bag: Path, skip: Callable[[str], bool] = lambda topic: topic.startswith("/cvloc/")
    ) -> None:
        """Open the bag and make its publishers; topics for which `skip` is true are left out.

        Raises:
            BagError: the bag cannot be read, or nothing of it can be played.
        """
        try:
            self._reader = AnyReader([bag])
            self._reader.open()
        except Exception as err:
            msg = f"{bag}: cannot be read as a bag: {err}"
            raise BagError(msg) from err
        self._begun = (time.monotonic(), self._reader.start_time, 0.0)
        self._publishers: dict[str, Any] = {}
        skipped = []
        for connection in self._reader.connections:
            if skip(connection.topic) or connection.topic in self._publishers:
                continue
            kind = message_class(connection.msgtype)
            if kind is None:
                skipped.append(f"{connection.topic}: {connection.msgtype} is not installed")
                continue
            self._publishers[connection.topic] = node.create_publisher(kind, connection.topic, qos_of(connection))
        self._clock = node.create_publisher(Clock, "/clock", 10)
        self.played = Played(dict.fromkeys(self._publishers, 0), skipped=tuple(skipped))
        if not self._publishers:
            self.close()
            msg = f"{bag}: none of its topics can be played: {'; '.join(skipped) or 'all are left out'}"
            raise BagError(msg)

    @property
    def total(self) -> int:
        """Number of messages that `play` will send."""
        return sum(1 if c.msgcount is None else c.msgcount for c in self._connections())

    def now_ns(self) -> int:
        """Time of the bag at this moment; its start before `play`."""
        begun, start_ns, rate = self._begun
        return start_ns + round((time.monotonic() - begun) * rate * 1e9)

    def unmatched(self, topics: Collection[str]) -> list[str]:
        """Topics among the given ones that nobody receives yet, or that the bag does not have."""
        waiting = []
        for topic in topics:
            publisher = self._publishers.get(topic)
            if publisher is None or publisher.get_subscription_count() == 0:
                waiting.append(topic)
        return waiting

    def wait_for(
        self, topics: Collection[str], timeout_s: float = MATCH_TIMEOUT_S, ready: Callable[[], bool] = lambda: True
    ) -> list[str]:
        """Wait until every given topic and /clock are received and `ready` is true; return the topics that are not.

        Keeps the clock at the start of the bag meanwhile, and asks `ready` many times a second.
        """
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self._tick(self._reader.start_time)
            asked, waiting = ready(), self.unmatched(topics)
            if asked and not waiting and self._clock.get_subscription_count() > 0:
                # A reader may match a moment after its writer; what is sent before that is lost without a word.
                time.sleep(_SETTLE_S)
                return []
            time.sleep(_POLL_S)
        return self.unmatched(topics) or ["/clock"]

    def play(self, rate: float = 1.0, alive: Callable[[], bool] = lambda: True) -> Iterator[str]:
        """Send all messages at their log time divided by `rate`, yielding the topic of each after it was sent.

        Raises:
            ValueError: the rate is not positive.
        """
        if not rate > 0:
            msg = f"rate {rate} must be above 0; 1 is real time"
            raise ValueError(msg)
        start_ns = self._reader.start_time
        self._begun = (time.monotonic(), start_ns, rate)
        next_tick = start_ns
        for connection, log_ns, data in self._reader.messages(connections=self._connections()):
            while next_tick <= log_ns:
                self._sleep_until(next_tick)
                self._tick(next_tick)
                next_tick += round(1e9 / CLOCK_HZ)
                if not alive():
                    return
            self._sleep_until(log_ns)
            self._tick(log_ns)
            self._publishers[connection.topic].publish(bytes(data))
            self.played.counts[connection.topic] += 1
            yield connection.topic

    def idle(self, until: Callable[[], bool], timeout_s: float) -> bool:
        """Let the clock run on after the last message until `until` is true; False after the timeout (wall clock)."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if until():
                return True
            self._tick(self.now_ns())
            time.sleep(1.0 / CLOCK_HZ)
        return until()

    def close(self) -> None:
        """Close the bag; the publishers go with the node."""
        self._reader.close()

    def __enter__(self) -> Player:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bag."""
        self.close()

    def _connections(self) -> list[Connection]:
        return [c for c in self._reader.connections if c.topic in self._publishers]

    def _sleep_until(self, log_ns: int) -> None:
        begun, start_ns, rate = self._begun
        ahead = begun + (log_ns - start_ns) * 1e-9 / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        self.played.late_s = max(self.played.late_s, -ahead)

    def _tick(self, at_ns: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = int(at_ns // 10**9), int(at_ns % 10**9)
        self._clock.publish(message)


def message_class(name: str) -> Any:
    """Return the rclpy class of a type such as `sensor_msgs/msg/Image`; None where its package is not installed."""
    package, _, kind = name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind, None)
    except ImportError:
        return None


def qos_of(connection: Connection) -> QoSProfile:
    """Return the profile with which a topic was recorded; reliable and volatile where the bag does not say."""
    offered = connection.ext.offered_qos_profiles if isinstance(connection.ext, ConnectionExtRosbag2) else []
    if not offered:
        return QoSProfile(depth=10)
    first = offered[0]
    latched = any(profile.durability.name == "TRANSIENT_LOCAL" for profile in offered)
    reliable = all(profile.reliability.name != "BEST_EFFORT" for profile in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        # A deep queue is no queue of old messages here: it is what a slow network needs to keep reliability.
        depth=max(int(first.depth), 10) if not latched else max(int(first.depth), 1),
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        lifespan=Duration(),
    )
