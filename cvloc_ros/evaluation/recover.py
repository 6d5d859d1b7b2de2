# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rewrites a damaged bag as a sound one, without deserialising anything."""

from __future__ import annotations

from pathlib import Path

from rosbags.rosbag2 import StoragePlugin, Writer

from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.qos import profile


def rewrite(source: Path, target: Path) -> tuple[int, list[str]]:
    """Copy every readable message of a ROS 2 bag into a new mcap bag; return their number and notes on the damage.

    Raises:
        BagError: the target exists, nothing can be read, or it is a ROS 1 bag.
    """
    if target.exists():
        msg = f"{target} exists; choose a new folder"
        raise BagError(msg)
    if source.suffix == ".bag":
        msg = f"{source} is a ROS 1 bag; `rosbag reindex` mends those"
        raise BagError(msg)
    count = 0
    with Bag.open(source) as bag, Writer(target, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for raw, store in bag.raw_messages():
            if raw.topic not in connections:
                topic = bag.topics[raw.topic]
                qos = profile(10, latched=topic.latched, reliable=topic.reliability != "best_effort")
                connections[raw.topic] = writer.add_connection(
                    raw.topic, raw.type, typestore=store, offered_qos_profiles=[qos]
                )
            writer.write(connections[raw.topic], raw.log_time_ns, raw.data)
            count += 1
        return count, list(bag.notes)

