# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ground half of Loc²: descriptors of the tokens of a view, and where each token lies for one unit of scale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from cvloc_ros.config import Depth, Loc2
from cvloc_ros.matching.depth.depth_map import DepthMap, DepthProvider
from cvloc_ros.matching.layers.views import check_image, roll, same_picture, to_tensor, unrolled
from cvloc_ros.matching.loc2 import lifting
from cvloc_ros.types import F64, GroundView, Mask

_KEPT = 16
_COLUMNS = {"equirectangular": 1428}
_COLUMNS_ELSE = 1232


@dataclass(frozen=True, slots=True, eq=False)
class GroundPoints:
    """Of N tokens: which may match (N,), their pixels (N, 2), their displacements from the camera (N, 2).

    Displacements are in axes of base at the view's own stamp, `camera_xy` (2,) is the camera's place there. `metric`:
    displacements are metres; otherwise up to a factor.
    """

    valid: Mask
    uv: F64
    displacement: F64
    camera_xy: F64
    metric: bool

    def of(self, which: NDArray[np.intp]) -> GroundPoints:
        """Return the tokens with these numbers (M,)."""
        return replace(self, valid=self.valid[which], uv=self.uv[which], displacement=self.displacement[which])


@dataclass(frozen=True, slots=True, eq=False)
class GroundHalf:
    """Descriptors (D, N) of the tokens of a view that may match, and where they lie."""

    descriptors: torch.Tensor
    points: GroundPoints


class GroundEncoder:
    """Turns views into ground halves; those of recent views are kept, as keyframes come again and again."""

    def __init__(
        self,
        describe: Callable[[torch.Tensor], torch.Tensor],
        depth: DepthProvider,
        settings: tuple[Loc2, Depth],
        device: torch.device,
        *,
        patch_px: int,
        published: bool,
    ) -> None:
        """Take what describes an image (1, 3, H, W) in 0..1, the depth, and the size of the backbone's patches."""
        self._describe, self._depth = describe, depth
        self._loc2, self._limits = settings
        self._device, self._patch_px, self._published = device, patch_px, published
        cuda: Any = torch.cuda
        self._side: Any = cuda.Stream(device) if device.type == "cuda" else None
        self._kept: OrderedDict[tuple[str, int], tuple[GroundView, int, GroundHalf]] = OrderedDict()

    def __call__(self, view: GroundView, roll_px: int = 0) -> GroundHalf:
        """Return the half of a view; `roll_px` columns of a panorama move from its left to its right before.

        Raises:
            ImageError: the image does not fit its camera, or its depth is missing.
        """
        key = (view.camera_name, view.stamp_ns)
        kept = self._kept.get(key)
        if kept is None or not same_picture(kept[0], view) or kept[1] != roll_px:
            kept = self._kept[key] = (view, roll_px, self._encode(view, roll_px))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return kept[2]

    def size_px(self, view: GroundView) -> tuple[int, int]:
        """Rows and columns of the image that the backbone is given, whole patches."""
        if self._loc2.ground_size:
            rows, cols = self._loc2.ground_size
        else:
            cols = _COLUMNS.get(view.camera.kind, _COLUMNS_ELSE)
            rows = round(cols * view.camera.height / view.camera.width)
        step = self._patch_px
        return max(rows // step, 1) * step, max(cols // step, 1) * step

    def _encode(self, view: GroundView, roll_px: int) -> GroundHalf:
        image = self.image(view, roll_px)
        with torch.inference_mode():
            described = self._describe(image)[0]
        with torch.cuda.stream(self._side) if self._side is not None else nullcontext():
            points = self.points(view, roll_px)
        use = np.flatnonzero(points.valid)
        return GroundHalf(described[:, torch.from_numpy(use).to(self._device)], points.of(use))

    def image(self, view: GroundView, roll_px: int = 0) -> torch.Tensor:
        """Return the image (1, 3, rows, columns) that is described, the right way up, as networks know pictures.

        Raises:
            ImageError: the image does not fit its camera.
        """
        check_image(view)
        rgb = np.roll(view.rgb, -roll_px, axis=1) if roll_px else view.rgb
        return to_tensor(rgb[::-1, ::-1] if _turned(view) else rgb, self.size_px(view), self._device)

    def points(self, view: GroundView, roll_px: int = 0) -> GroundPoints:
        """Return where the tokens of `image` lie; their pixels are those of the view as it came.

        Raises:
            ImageError: depth is missing.
        """
        rows, cols = (side // self._patch_px for side in self.size_px(view))
        depth = self._depth(view)
        if roll_px:
            depth, view = _rolled(depth, roll_px / view.camera.width), roll(view, roll_px)
        uv = lifting.token_pixels(view.camera, rows, cols, published=self._published)
        rays = lifting.token_rays(view, uv, depth.along)
        metres, near = lifting.token_depth(depth, rows, cols, self._limits.max_m, published=self._published)
        valid = near & np.isfinite(rays).all(axis=1) & _usable(view, rows, cols)
        displacement = np.where(valid[:, None], rays[:, :2] * metres[:, None], 0.0)
        uv = unrolled(uv, roll_px, view.camera.width) if roll_px else uv
        if _turned(view):
            uv, displacement, valid = uv[::-1], displacement[::-1], np.ascontiguousarray(valid[::-1])
        return GroundPoints(valid, uv, displacement, view.T_base_camera[:2, 3].astype(np.float64), depth.metric)


def _rolled(depth: DepthMap, share: float) -> DepthMap:
    """Move a share of the columns from the left to the right."""
    columns = round(share * depth.values.shape[1])
    return DepthMap(np.roll(depth.values, -columns, axis=1), depth.along, depth.metric)


def _turned(view: GroundView) -> bool:
    """Tell whether the camera is mounted upside down; its picture is then turned, and its tokens with it."""
    return bool(view.T_base_camera[2, 1] > 0)


def _usable(view: GroundView, rows: int, cols: int) -> Mask:
    """Tokens of which at least half may be used."""
    if view.valid is None:
        return np.ones(rows * cols, bool)
    share = cv2.resize(view.valid.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(share.ravel() >= 0.5)
