# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images in a real bag reach the views of a real session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.config import Config, parse
from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.feed import Feed
from cvloc_ros.evaluation.replay import Outcome, play
from cvloc_ros.evaluation.topics import wire
from cvloc_ros.session import Session

TOPIC = "/camera/front/depth"
KIND = "sensor_msgs/msg/Image"
MS = 1_000_000


def config() -> Config:
    cameras = {
        name: {"image_topic": f"/camera/{name}/image", "camera_info_topic": f"/camera/{name}/camera_info",
               "transport": "compressed"}
        for name in ("front", "rear")
    }  # fmt: skip
    cameras["front"]["depth_topic"] = TOPIC
    return parse({
        "geo": {"datum": [47.0, 8.0, 0.0]}, "camera_names": ["front", "rear"], "cameras": cameras,
    })  # fmt: skip


def with_depth(rows: list, maker: object, lag_ns: int) -> list:
    """Add a depth image to each image of the front camera, 20 ms late in the log and `lag_ns` off in its stamp."""
    added = []
    for topic, _, log_ns, message in rows:
        if topic == "/camera/front/image/compressed":
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            metres = np.full((32, 48), 1.0 + len(added), np.float32)
            added.append((TOPIC, KIND, log_ns + 20 * MS, maker.depth(stamp + lag_ns, "front", metres)))
    return sorted([*rows, *added], key=lambda row: row[2])


@pytest.mark.parametrize(("lag_ms", "found"), [(4, True), (80, False)])
def test_depth_of_a_bag_is_joined_by_stamp(
    make_bag: Callable[..., Path], rows: list, maker: object, lag_ms: int, found: bool
) -> None:
    path = make_bag(rows=with_depth(rows, maker, lag_ms * MS))
    with Bag.open(path) as bag:
        wiring = wire(bag, config())
        assert wiring.depths == {TOPIC: "front"}
        assert TOPIC in wiring.topics
        assert TOPIC not in wiring.images
        session = Session(wiring.config, None)  # no map is opened: what is looked at are the views
        feed = Feed(session, wiring)
        outcomes: list[Outcome] = []
        play(bag, session, wiring, feed, outcomes.append)
    seen = [view for outcome in outcomes for view in outcome.result.views if view.camera_name == "front"]
    current = {view.stamp_ns: view for view in seen}
    first = min(current)
    current.pop(first)  # depth that never came before is waited for only by a matcher that cannot do without
    assert len(current) >= 6
    assert all((view.depth is not None) is found for view in current.values())
    if found:
        for stamp_ns, view in current.items():
            assert (view.depth == 1.0 + round((stamp_ns - first) / 5e8)).all()
    trouble = session.troubles()["depth"]
    assert ("limit 0.05" in trouble) is not found
    session.close()


def test_a_depth_topic_that_the_bag_lacks(make_bag: Callable[..., Path]) -> None:
    with Bag.open(make_bag()) as bag:
        with pytest.raises(BagError, match=rf"cameras\.front\.depth_topic: there is no topic {TOPIC}"):
            wire(bag, config())
        wiring = wire(bag, config(), strict=False)
    assert not wiring.depths
    assert any("depth_topic" in note for note in wiring.notes)


def test_depth_messages_arrive_as_the_bag_has_them(
    make_bag: Callable[..., Path], session: type, rows: list, maker: object
) -> None:
    with Bag.open(make_bag(rows=with_depth(rows, maker, 0))) as bag:
        wiring = wire(bag, config())
        fake = session(wiring.config)
        play(bag, fake, wiring, Feed(fake, wiring), lambda _: None)
    depths = [value for name, value in fake.calls if name == "depth"]
    assert len(depths) == 8
    assert {depth.camera for depth in depths} == {"front"}
    np.testing.assert_array_equal(depths[2].decode(), np.full((32, 48), 3.0, np.float32))
