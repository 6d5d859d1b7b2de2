# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Builds the messages that a replay writes."""

from __future__ import annotations

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

FOREVER = QosTime(2147483647, 4294967295)


def profile(depth: int, durability: QosDurability) -> Qos:
    """Return a reliable keep-last profile."""
    return Qos(
        QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, FOREVER, FOREVER, QosLiveliness.AUTOMATIC,
        FOREVER, False,
    )


RELIABLE = profile(10, QosDurability.VOLATILE)
LATCHED = profile(1, QosDurability.TRANSIENT_LOCAL)
