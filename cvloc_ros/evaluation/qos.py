# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality-of-service profiles of written bags."""

from __future__ import annotations

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

FOREVER = QosTime(2147483647, 4294967295)


def profile(depth: int, *, latched: bool = False, reliable: bool = True) -> Qos:
    """Return a keep-last profile without deadlines."""
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )


RELIABLE = profile(10)
LATCHED = profile(1, latched=True)
