# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The heights that a method has selected for its matches, as a height map and in the camera image."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.overlays.canvas import Canvas, u8, write
from cvloc_ros.types import F64, U8, Correspondences, GroundView, LocalizationResult

_LEGEND_PX = 14
_OPACITY = 0.65


def surface(result: LocalizationResult, size_px: int = 640) -> U8:
    """Show the matched ground cells on the map at the pose that was found, coloured by their height.

    The stronger match of a cell is on top; below is the scale of the colours. Returns RGB (size_px + 40, size_px, 3),
    grey where the matcher selects no heights or there is no pose.
    """
    found, patch = result.matches, result.patch
    shown = result.estimate or result.candidate
    if found is None or found.height_m is None or not len(found.weights) or patch is None or shown is None:
        blank = np.full((size_px + 40, size_px, 3), 40, np.uint8)
        write(blank, "no heights", (6, 20))
        return blank
    canvas = Canvas.around(result, patch, size_px)
    low, high = float(found.height_m.min()), float(found.height_m.max())
    colours = height_colours(found.height_m, low, high)
    half = cell_side(found) / 2
    square = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    painted = canvas.rgb.copy()
    for index in np.argsort(found.weights):
        corners = canvas.pixels(shown.pose.apply(found.ground[index] + square))
        cv2.fillConvexPoly(painted, np.round(corners * 16).astype(np.int32), colours[index].tolist(), cv2.LINE_AA, 4)
    canvas.rgb[:] = u8(cv2.addWeighted(painted, _OPACITY, canvas.rgb, 1.0 - _OPACITY, 0.0))
    canvas.estimate(shown.pose, shown.covariance, (255, 255, 255))
    canvas.scale_bar()
    canvas.note(patch.attribution)
    write(canvas.rgb, "surface: heights of the matched cells", (6, 16), 0.4)
    return np.vstack([canvas.rgb, _legend(low, high, size_px)])


def heights(result: LocalizationResult, size_px: int = 640) -> U8:
    """Show the surface on the map, and beside it where it is in the camera image that most matches come from.

    Returns RGB (size_px + 40, 2 size_px, 3); see `surface`.
    """
    left, right = surface(result, size_px), np.full((size_px + 40, size_px, 3), 20, np.uint8)
    found = result.matches
    if found is not None and found.height_m is not None and len(found.weights) and result.views:
        view = int(np.bincount(found.view, minlength=len(result.views)).argmax())
        colours = height_colours(found.height_m, float(found.height_m.min()), float(found.height_m.max()))
        picture = _in_camera(result.views[view], found, view, colours, size_px)
        right[: len(picture), : picture.shape[1]] = picture
    return np.hstack([left, right])


def _in_camera(view: GroundView, found: Correspondences, number: int, colours: U8, size_px: int) -> U8:
    """Draw matches where they are seen, coloured by their height, the strongest on top."""
    scale = min(size_px / view.camera.width, size_px / view.camera.height)
    size = max(round(view.camera.width * scale), 1), max(round(view.camera.height * scale), 1)
    rgb = cv2.resize(view.rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    for index in np.argsort(found.weights):
        if found.view[index] == number and np.isfinite(found.uv[index]).all():
            u, v = np.round((found.uv[index] + 0.5) * scale - 0.5).astype(int).tolist()
            cv2.circle(rgb, (u, v), 4, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(rgb, (u, v), 3, colours[index].tolist(), -1, cv2.LINE_AA)
    if view.T_base_camera[2, 1] > 0:  # mounted upside down
        rgb = np.ascontiguousarray(rgb[::-1, ::-1])
    write(rgb, f"{view.camera_name}: matched pixels by height", (6, 16), 0.4)
    return u8(rgb)


def height_colours(height_m: F64, low_m: float, high_m: float) -> U8:
    """Colour heights (N,), metres, as RGB (N, 3): violet is low, yellow is high."""
    level = np.clip((height_m - low_m) / max(high_m - low_m, 1e-9), 0.0, 1.0)
    grey = (level * 255).astype(np.uint8).reshape(-1, 1)
    return u8(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)).reshape(-1, 3)[:, ::-1]


def cell_side(found: Correspondences) -> float:
    """Distance of neighbouring ground points, metres; 1 where there is but one."""
    points = np.unique(np.round(found.ground, 3), axis=0)[:400]
    if len(points) < 2:
        return 1.0
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def _legend(low_m: float, high_m: float, width_px: int) -> U8:
    strip = np.full((40, width_px, 3), 20, np.uint8)
    strip[4 : 4 + _LEGEND_PX] = height_colours(np.linspace(low_m, high_m, width_px), low_m, high_m)
    write(strip, f"{round(low_m, 1) + 0.0:+.1f} m above the ground", (6, 34), 0.4)
    write(strip, f"{high_m:+.1f} m", (width_px - 70, 34), 0.4)
    return strip
