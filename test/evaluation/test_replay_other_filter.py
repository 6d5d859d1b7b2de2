# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses of another filter in a bag reach the session, those in the frame of the map alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cvloc_ros.config import parse
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.feed import Feed
from cvloc_ros.evaluation.replay import play
from cvloc_ros.evaluation.topics import wire

TOPIC, KIND = "/odometry/global", "nav_msgs/msg/Odometry"
CONFIG = parse({
    "geo": {"datum": [47.0, 8.0, 0.0]}, "prior": {"source": "filter"}, "inputs": {"filter_topic": "odometry/global"},
})  # fmt: skip


@pytest.mark.parametrize("frame", ["map", "odom"])
def test_poses_of_a_filter_are_handed_over_in_the_frame_of_the_map(
    make_bag: Callable[..., Path], rows: list, maker: object, session: type, frame: str
) -> None:
    added = []
    for topic, _, log_ns, message in rows:
        if topic == "/odom":
            pose = maker.odom(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec, 7.0)
            pose.header.frame_id = frame
            added.append((TOPIC, KIND, log_ns + 1, pose))
    with Bag.open(make_bag(rows=sorted([*rows, *added], key=lambda row: row[2]))) as bag:
        wiring = wire(bag, CONFIG)
        assert (wiring.filter, wiring.odom) == (TOPIC, "/odom")
        fake = session(wiring.config)
        feed = Feed(fake, wiring)
        play(bag, fake, wiring, feed, lambda _outcome: None)
    handed = [sample for kind, sample in fake.calls if kind == "filter"]
    assert len(handed) == (len(added) if frame == "map" else 0)
    assert all(sample.pose.x_m == 7.0 for sample in handed)
    assert feed.refused[TOPIC, "in frame odom"] == (0 if frame == "map" else len(added))
    assert len(feed.odometry) == len(added)
