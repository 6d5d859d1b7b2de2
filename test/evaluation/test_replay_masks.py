# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks in a real bag reach the views of a real session."""

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

TOPIC = "/camera/front/mask"


def config(topic: str = TOPIC) -> Config:
    cameras = {
        name: {"image_topic": f"/camera/{name}/image", "camera_info_topic": f"/camera/{name}/camera_info",
               "transport": "compressed"}
        for name in ("front", "rear")
    }  # fmt: skip
    cameras["front"]["mask_topic"] = topic
    return parse({
        "geo": {"datum": [47.0, 8.0, 0.0]}, "camera_names": ["front", "rear"], "cameras": cameras,
    })  # fmt: skip


def mask(maker: object, stamp_ns: int, rows: int) -> object:
    """A vehicle that is seen in the lowest rows."""
    pixels = np.zeros((32, 48), np.uint8)
    pixels[32 - rows :] = 255
    return maker.new(
        "sensor_msgs/msg/Image", header=maker.header(stamp_ns, "camera_front_optical_frame"), height=32, width=48,
        encoding="mono8", is_bigendian=0, step=48, data=pixels.ravel(),
    )


def test_masks_of_a_bag_hold_until_the_next(make_bag: Callable[..., Path], rows: list, maker: object) -> None:
    begin = min(log_ns for *_, log_ns, _ in rows)
    end = max(log_ns for *_, log_ns, _ in rows)
    middle = (begin + end) // 2
    added = [
        (TOPIC, "sensor_msgs/msg/Image", log_ns, mask(maker, log_ns, height))
        for log_ns, height in ((begin, 4), (middle, 10))
    ]
    with Bag.open(make_bag(rows=sorted([*rows, *added], key=lambda row: row[2]))) as bag:
        wiring = wire(bag, config())
        assert wiring.masks == {TOPIC: "front"}
        session = Session(wiring.config, None)
        outcomes: list[Outcome] = []
        play(bag, session, wiring, Feed(session, wiring), outcomes.append)
    masked = [
        (outcome.log_time_ns, int((~view.valid[:, 0]).sum()))
        for outcome in outcomes for view in outcome.result.views if view.camera_name == "front"
        and view.stamp_ns == outcome.images[0].stamp_ns
    ]  # fmt: skip
    assert {height for at_ns, height in masked if at_ns < middle} == {4}
    assert {height for at_ns, height in masked if at_ns > middle + 10**9} == {10}
    assert all(view.valid is None for item in outcomes for view in item.result.views if view.camera_name == "rear")
    session.close()


def test_named_topic_of_masks_must_be_there(make_bag: Callable[..., Path]) -> None:
    with Bag.open(make_bag()) as bag, pytest.raises(BagError, match=r"cameras\.front\.mask_topic: there is no topic"):
        wire(bag, config("/nowhere"))
