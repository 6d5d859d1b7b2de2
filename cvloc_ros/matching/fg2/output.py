# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the network's frames to the map: matches with the pixels and heights that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cvloc_ros.matching.fg2.decode import Drawn
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.aerial import Crop
from cvloc_ros.types import F64, Correspondences, GroundView

_PUBLISHED_INLIER_M = 2.5
_INLIER_CELLS = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What each cell of the plane selected: view (N,), height index (N,), pixel (N, 2); NaN where there is no image."""

    view: NDArray[np.int64]
    height: NDArray[np.int64]
    uv: F64


def trace(share: Tensor, uv: Sequence[F64], views: Sequence[int]) -> Trace:
    """Follow the largest share (1, N, images x heights) back to its view and pixel.

    `uv` holds for each image the pixels (N, heights, 2) of the volume, `views` its index among all views. Candidates
    without a pixel are passed over where a cell has any with one.
    """
    pixels = np.stack(uv, 1)  # (N, images, heights, 2)
    cells, _, heights, _ = pixels.shape
    pixels = pixels.reshape(cells, -1, 2)
    weight = np.where(np.isfinite(pixels).all(-1), share[0].float().cpu().numpy(), -1.0)
    best = weight.argmax(1)
    return Trace(np.asarray(views)[best // heights], best % heights, pixels[np.arange(cells), best])


def to_map(
    drawn: Drawn, crop: Crop, ground: F64, traced: Trace, settings: Fg2Settings, view: GroundView
) -> Correspondences:
    """Make correspondences of drawn matches; `ground` (N, 2) are the cells of the plane in base, metres."""
    cell = drawn.ground.cpu().numpy()
    heights = np.linspace(settings.height_min_m, settings.height_max_m, settings.heights)
    above = float(view.T_base_camera[2, 3]) if settings.published else 0.0
    return Correspondences(
        ground=ground[cell],
        aerial=crop.to_map(drawn.aerial.double().cpu().numpy()),
        weights=drawn.weight.double().cpu().numpy(),
        uv=traced.uv[cell],
        view=traced.view[cell].astype(np.int64),
        inlier_m=_PUBLISHED_INLIER_M if settings.published else _INLIER_CELLS * settings.cell_m,
        height_m=heights[traced.height[cell]] + above,
    )


def nothing() -> Correspondences:
    """No matches."""
    none = np.zeros((0, 2))
    return Correspondences(none, none, np.zeros(0), none, np.zeros(0, np.int64), height_m=np.zeros(0))
