# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images reach the session of the node over DDS, and what is wrong with them is told."""

from __future__ import annotations

import numpy as np
from rig import stamp_now, wait_for


def test_depth_is_stored_undecoded_and_counted(rig):
    made = rig(cameras__camera__depth_topic="depth")
    stamps = [stamp_now() + step * 10**7 for step in range(3)]
    for step, stamp_ns in enumerate(stamps):
        made.send_depth(stamp_ns, 1500 + step)
    wait_for(lambda: len(made.session.depths) == 3, what="depth")
    assert [depth.stamp_ns for depth in made.session.depths] == stamps
    first = made.session.depths[0]
    assert first.frame_id == "camera"
    np.testing.assert_allclose(first.decode(), np.full((48, 64), 1.5), rtol=1e-6)
    assert made.node.health.snapshot().received["depth camera"] == 3


def test_no_depth_topic_no_subscription(rig):
    made = rig()
    assert not made.node._inputs.depth_feeds
