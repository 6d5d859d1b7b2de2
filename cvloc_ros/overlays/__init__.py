# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of one attempt that a person can judge (NumPy and OpenCV only)."""

from cvloc_ros.overlays.cells import cells
from cvloc_ros.overlays.matches import matches
from cvloc_ros.overlays.pictures import aerial, evidence_points, on_host, overlay, score, through_camera
from cvloc_ros.overlays.surface import heights, surface

__all__ = [
    "aerial", "cells", "evidence_points", "heights", "matches", "on_host", "overlay", "score", "surface",
    "through_camera",
]  # fmt: skip
