# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the network's frames to the map: matches with the pixels and heights of their surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cvloc_ros.matching.fg2.output import Trace
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.aerial import Seen
from cvloc_ros.matching.layers.sampling import Matches
from cvloc_ros.matching.viewbridge.surface import Surface
from cvloc_ros.types import F64, Correspondences


def reproject(surface: Surface, uv: Sequence[F64], views: Sequence[int]) -> Trace:
    """Project the surface of each column into the image that shows it best.

    `uv` holds for each image the pixels (N, heights, 2) of the volume, `views` its index among all views.
    """
    height = surface.index[0].cpu().numpy()
    cells = np.arange(len(height))
    share = surface.share[0].detach().float().cpu().numpy().reshape(len(height), len(uv), -1)
    pixels = np.stack([part[cells, height] for part in uv], 1)
    weight = np.where(np.isfinite(pixels).all(-1), share[cells, :, height], -1.0)
    best = weight.argmax(1)
    return Trace(np.asarray(views, np.int64)[best], height, pixels[cells, best])


def to_map(
    drawn: Matches, seen: Seen, ground: F64, traced: Trace, settings: Fg2Settings, inlier_m: float
) -> Correspondences:
    """Make correspondences of drawn matches, best first; `ground` (N, 2) are the cells of the plane in base, metres."""
    weights = drawn.weight[0].double().cpu().numpy()
    order = np.argsort(-weights, kind="stable")
    order = order[weights[order] > 0.0]
    cell = drawn.ground[0].cpu().numpy()[order]
    heights = np.linspace(settings.height_min_m, settings.height_max_m, settings.heights)
    there = seen.points.double().cpu().numpy()[drawn.aerial[0].cpu().numpy()[order]]
    return Correspondences(
        ground=ground[cell],
        aerial=seen.crop.to_map(there),
        weights=weights[order],
        uv=traced.uv[cell],
        view=traced.view[cell],
        inlier_m=inlier_m,
        height_m=heights[traced.height[cell]],
    )
