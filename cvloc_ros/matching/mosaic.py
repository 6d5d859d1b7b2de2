# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ground features of several keyframes joined into one raster around the vehicle."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import cv2
import numpy as np

from cvloc_ros.ground import GroundGrid, GroundProjector
from cvloc_ros.matching.features import gradient_direction
from cvloc_ros.types import F32, GroundView, Pose2

_KEEP = 64  # keyframes whose features are kept


class MosaicBuilder:
    """Projects each keyframe once, keeps its features, and joins them at the newest pose.

    Features, not colours, are joined: exposure differs from frame to frame, and a seam must not become an edge.
    """

    def __init__(self, project_ground: GroundProjector, range_m: float) -> None:
        self._project_ground = project_ground
        self._range_m = range_m
        self._kept: OrderedDict[tuple[object, ...], tuple[F32, F32]] = OrderedDict()

    def build(self, views: Sequence[GroundView], resolution_m: float) -> tuple[F32, F32]:
        """Join views.

        Args:
            views: Of one or several stamps; `T_ref_base` says where each was taken, seen from the reference pose.
            resolution_m: Cell size of the result.

        Returns:
            features (2, n, n) along +x and +y of the reference base frame, weight (n, n) in 0..1, both f32,
            centred on the reference pose (between cells: n is even).
        """
        keyframes: dict[tuple[int, Pose2], list[GroundView]] = {}
        for view in views:
            keyframes.setdefault((view.stamp_ns, view.T_ref_base), []).append(view)
        travelled = max(math.hypot(pose.x_m, pose.y_m) for _, pose in keyframes)
        cells = 2 * math.ceil((self._range_m + travelled) / resolution_m)
        total = np.zeros((2, cells, cells), np.float32)
        trust = np.zeros((cells, cells), np.float32)
        for (_, pose), group in keyframes.items():
            features, weight = self._features(group, resolution_m)
            moved, seen = carry(features, weight, pose, resolution_m, cells)
            total += moved
            trust += seen
        total /= np.maximum(trust, np.float32(1e-6))
        np.minimum(trust, np.float32(1.0), out=trust)
        return total, trust

    def _features(self, views: Sequence[GroundView], resolution_m: float) -> tuple[F32, F32]:
        # The stamp and the mounting make the key: pitch and roll of an old keyframe never change again.
        key = (resolution_m, *((v.camera_name, v.stamp_ns, v.T_base_camera.tobytes()) for v in views))
        if key not in self._kept:
            r = self._range_m
            image = self._project_ground(views, GroundGrid(-r, r, -r, r, resolution_m))
            features, trusted = gradient_direction(image.rgb, image.valid, resolution_m)
            self._kept[key] = (features, trusted * image.weight)
            if len(self._kept) > _KEEP:
                self._kept.popitem(last=False)
        return self._kept[key]


def carry(features: F32, weight: F32, pose: Pose2, resolution_m: float, cells: int) -> tuple[F32, F32]:
    """Move a raster centred on a keyframe into one of `cells` squared centred on the reference pose.

    Returns weighted features (2, cells, cells), their vectors turned with the keyframe, and weights.
    """
    c, s = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
    here, there = (weight.shape[0] - 1) / 2, (cells - 1) / 2
    right, down = pose.x_m / resolution_m + there, there - pose.y_m / resolution_m
    source_from_target = np.array(
        [[c, -s, here - c * right + s * down], [s, c, here - s * right - c * down]], np.float64
    )
    x, y = features
    stack = np.dstack([(c * x - s * y) * weight, (s * x + c * y) * weight, weight])
    moved = np.empty((cells, cells, 3), np.float32)
    cv2.warpAffine(
        stack,
        source_from_target,
        (cells, cells),
        moved,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.ascontiguousarray(moved[..., :2].transpose(2, 0, 1)), moved[..., 2]
