# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Motion blur: every pixel is averaged along the way that what it shows takes through the image while it is exposed."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.geo import se3
from cvloc_ros.types import F32, F64, U8, CameraModel

_EVERY_PX = 4
_TAP_PX = 1.5
_MOST_TAPS = 12
_LEAST_PX = 0.4
_FAR_M = 1e4


class MotionBlur:
    """Blur of one camera; world and vehicles are taken to stand still, which they nearly do within an exposure."""

    def __init__(self, camera: CameraModel) -> None:
        self._camera = camera
        self._shape = (camera.height, camera.width)
        u, v = np.meshgrid(np.arange(0, camera.width, _EVERY_PX), np.arange(0, camera.height, _EVERY_PX))
        self._coarse = np.stack([u, v], axis=-1).astype(np.float64)
        self._rays = camera.unproject(self._coarse)
        v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float32)
        self._uv = u, v

    def apply(self, image: U8, depth: F32, T_middle_begin: F64, T_middle_end: F64) -> U8:
        """Blur an image (H, W, 3).

        Args:
            image: as seen in the middle of the exposure.
            depth: (H, W) distance along the rays, metres; infinite in the sky.
            T_middle_begin: (4, 4) from the optical frame at the begin of the exposure to that in its middle.
            T_middle_end: the same for its end.
        """
        way = self._way(depth, T_middle_begin, T_middle_end)
        longest = float(np.percentile(np.linalg.norm(way, axis=-1), 95))
        if longest < _LEAST_PX:
            return image
        size = self._shape[1], self._shape[0]
        # Knots lie at every fourth pixel, from the first: the affine puts them there.
        knots = np.array([[1 / _EVERY_PX, 0, 0], [0, 1 / _EVERY_PX, 0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        edge = cv2.BORDER_REPLICATE
        du, dv = (
            cv2.warpAffine(np.ascontiguousarray(way[..., axis]), knots, size, flags=flags, borderMode=edge)
            for axis in (0, 1)
        )
        taps = int(np.clip(np.ceil(longest / _TAP_PX), 2, _MOST_TAPS))
        total = np.zeros((*self._shape, 3), np.float32)
        for share in (np.arange(taps) + 0.5) / taps - 0.5:
            step = np.float32(share)
            u, v = self._uv[0] + step * du, self._uv[1] + step * dv
            cv2.accumulate(cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=edge), total)
        return np.asarray(cv2.convertScaleAbs(total, alpha=1.0 / taps), dtype=np.uint8)

    def _way(self, depth: F32, T_middle_begin: F64, T_middle_end: F64) -> F32:
        """Ways (h, w, 2) in pixels of what the coarse pixels show; 0 where one end is out of view."""
        far = np.minimum(depth[::_EVERY_PX, ::_EVERY_PX], _FAR_M)[..., None]
        points = self._rays * far
        first, seen = self._camera.project(se3.apply(se3.inverse(T_middle_begin), points))
        last, still = self._camera.project(se3.apply(se3.inverse(T_middle_end), points))
        way = np.where((seen & still)[..., None], last - first, 0.0)
        # Across the seam of a panorama the difference is a whole image wide.
        way[np.abs(way[..., 0]) > self._shape[1] / 2] = 0.0
        return np.asarray(way, np.float32)
