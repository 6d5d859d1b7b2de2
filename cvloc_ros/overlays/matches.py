# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Matched points between the camera images and the map, for methods that match points."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from cvloc_ros.overlays.canvas import GREEN, RED, WHITE, Canvas, u8, write
from cvloc_ros.types import F64, U8, AerialPatch, Correspondences, GroundView, LocalizationResult, Pose2, SearchWindow

LIMIT = 60
"""Most matches that are drawn: the strongest, spread over the images."""

_CELL_PX = 28
_TALLEST = 0.3
_MARGIN_M = 4.0
_VIEWS = 2
_LABELS = 24
_LABEL_PX = (46, 13)
_GREY = 40
_Indices = NDArray[np.int64]


def matches(result: LocalizationResult, size_px: int = 640, limit: int = LIMIT) -> U8:
    """Show matches between camera image and map, coloured by weight, with the selected height where there is one.

    Above are the current camera images, below left the map; a line joins what was matched (yellow: the strongest,
    violet: the weakest of those shown). Below right each ground point is laid onto the map at the pose that was found
    and joined to its match: short lines agree. Returns RGB (height, 2 size_px, 3).
    """
    found, patch = result.matches, result.patch
    if found is None or patch is None or not len(found.weights) or not result.views:
        blank = np.full((size_px // 4, 2 * size_px, 3), _GREY, np.uint8)
        write(blank, "no matches", (6, 20))
        return blank
    top, shown = _cameras(result.views, 2 * size_px)
    place = _places(found, result.views, shown)
    chosen = _spread(found, place, limit)
    colours = _colours(found.weights[chosen])
    left, right = (_around(result, patch, found.aerial[chosen], size_px) for _ in range(2))
    left.scale_bar()
    left.note(patch.attribution)
    _residuals(right, result, found, chosen, colours)
    whole = np.vstack([top, np.hstack([left.rgb, right.rgb])])
    _lines(whole, place[chosen], left.pixels(found.aerial[chosen]) + np.array([0.0, top.shape[0]]), colours)
    whole[top.shape[0] :, size_px:] = right.rgb  # lines pass behind it
    if found.height_m is not None:
        strongest = chosen[::-1]
        _heights(whole, place[strongest], found.height_m[strongest])
    _legend(whole, result, found, len(chosen), (size_px + 6, top.shape[0]))
    return whole


class _Shown(NamedTuple):
    """Where a view lies in the picture."""

    view: int
    left_px: int
    scale: float
    flipped: bool


def _cameras(views: Sequence[GroundView], width_px: int) -> tuple[U8, list[_Shown]]:
    """Put the newest images (at most two) side by side."""
    newest = max(view.stamp_ns for view in views)
    indices = [index for index, view in enumerate(views) if view.stamp_ns == newest][:_VIEWS]
    each, left_px = width_px // len(indices), 0
    shown, pictures = [], []
    for index in indices:
        view = views[index]
        # No taller than this, so that the lines of a single image stay over the left map.
        scale = min(each / view.camera.width, _TALLEST * width_px / view.camera.height)
        size = (round(view.camera.width * scale), max(round(view.camera.height * scale), 1))
        flipped = bool(view.T_base_camera[2, 1] > 0)  # mounted upside down
        rgb = u8(cv2.resize(view.rgb, size, interpolation=cv2.INTER_AREA))
        pictures.append(rgb[::-1, ::-1] if flipped else rgb)
        shown.append(_Shown(index, left_px, scale, flipped))
        left_px += size[0]
    row = np.zeros((max(picture.shape[0] for picture in pictures), width_px, 3), np.uint8)
    for part, picture in zip(shown, pictures, strict=True):
        row[: picture.shape[0], part.left_px : part.left_px + picture.shape[1]] = picture
        write(row, views[part.view].camera_name, (part.left_px + 6, 16))
    return row, shown


def _places(found: Correspondences, views: Sequence[GroundView], shown: Sequence[_Shown]) -> F64:
    """Pixels (N, 2) of the matches in the row of images; NaN for those of views that are not shown."""
    place = np.full((len(found.weights), 2), np.nan)
    for part in shown:
        own = found.view == part.view
        uv = found.uv[own]
        if part.flipped:
            camera = views[part.view].camera
            uv = np.array([camera.width - 1, camera.height - 1]) - uv
        place[own] = (uv + 0.5) * part.scale - 0.5 + np.array([part.left_px, 0.0])
    return place


def _spread(found: Correspondences, place: F64, limit: int) -> _Indices:
    """Choose strong matches, one for each small cell of the images; from the weakest to the strongest."""
    taken: set[tuple[int, int]] = set()
    chosen: list[int] = []
    for index in np.argsort(-found.weights):
        if not np.isfinite(place[index]).all() or not found.weights[index] > 0:
            continue
        cell = (int(place[index, 0] // _CELL_PX), int(place[index, 1] // _CELL_PX))
        if cell not in taken:
            taken.add(cell)
            chosen.append(int(index))
        if len(chosen) == limit:
            break
    return np.array(chosen[::-1], dtype=np.int64)


def _colours(weights: F64) -> list[tuple[int, int, int]]:
    """Colour of each match by the rank of its weight."""
    if not len(weights):
        return []
    rank = np.argsort(np.argsort(weights)) / max(len(weights) - 1, 1)
    table = cv2.applyColorMap((rank * 255).astype(np.uint8).reshape(-1, 1), cv2.COLORMAP_PLASMA)[:, 0, ::-1]
    return [(int(r), int(g), int(b)) for r, g, b in table]


def _around(result: LocalizationResult, patch: AerialPatch, points: F64, size_px: int) -> Canvas:
    """Cut the map out around the matched points and the pose."""
    shown = result.estimate or result.candidate
    points = points if shown is None else np.vstack([points, shown.pose.xy])
    if not len(points):
        return Canvas.around(result, patch, size_px)
    low, high = points.min(axis=0), points.max(axis=0)
    half = float((high - low).max()) / 2 + _MARGIN_M
    window = SearchWindow(Pose2.at((low + high) / 2, 0.0), max((half - 5.0) / 1.25, 1.0), 0.0)
    canvas = Canvas.around(dataclasses.replace(result, window=window), patch, size_px)
    if shown is not None:
        canvas.estimate(shown.pose, shown.covariance, GREEN if result.estimate else RED)
    return canvas


def _residuals(
    canvas: Canvas, result: LocalizationResult, found: Correspondences, chosen: _Indices,
    colours: Sequence[tuple[int, int, int]],
) -> None:  # fmt: skip
    """Join each ground point, laid onto the map at the pose, to the point that it was matched to."""
    shown = result.estimate or result.candidate
    if shown is None:
        write(canvas.rgb, "no pose", (6, 16))
        return
    moved = canvas.pixels(shown.pose.apply(found.ground[chosen]))
    there = canvas.pixels(found.aerial[chosen])
    error = np.linalg.norm(shown.pose.apply(found.ground[chosen]) - found.aerial[chosen], axis=1)
    for start, end, colour, agrees in zip(moved, there, colours, error < found.inlier_m, strict=True):
        first, last = ((round(float(x)), round(float(y))) for x, y in (start, end))
        cv2.line(canvas.rgb, first, last, colour, 1, cv2.LINE_AA)
        cv2.circle(canvas.rgb, last, 3, colour, -1 if agrees else 1, cv2.LINE_AA)
    write(canvas.rgb, "ground points at the pose, joined to their matches (filled: agrees)", (6, 16), 0.4)


def _lines(rgb: U8, starts: F64, ends: F64, colours: Sequence[tuple[int, int, int]]) -> None:
    """Draw thin lines and dots at both ends."""
    for start, end, colour in zip(starts, ends, colours, strict=True):
        first, last = ((round(float(x)), round(float(y))) for x, y in (start, end))
        cv2.line(rgb, first, last, colour, 1, cv2.LINE_AA)
        for at in (first, last):
            cv2.circle(rgb, at, 4, WHITE, -1, cv2.LINE_AA)
            cv2.circle(rgb, at, 3, colour, -1, cv2.LINE_AA)


def _heights(rgb: U8, places: F64, heights_m: F64) -> None:
    """Write heights beside their points, the strongest first, none over another or beyond the edge."""
    wide, tall = _LABEL_PX
    taken: list[tuple[int, int]] = []
    for (x, y), height_m in zip(places.round().astype(int).tolist(), heights_m, strict=True):
        left = x + 4 if x + 4 + wide <= rgb.shape[1] else x - 4 - wide
        at = (left, max(y - 3, tall))
        if len(taken) < _LABELS and not any(abs(at[0] - u) < wide and abs(at[1] - v) < tall for u, v in taken):
            taken.append(at)
            write(rgb, f"{height_m:+.1f} m", at, 0.35)


def _legend(rgb: U8, result: LocalizationResult, found: Correspondences, drawn: int, corner: tuple[int, int]) -> None:
    """Write numbers over the lower right part of the row of images."""
    shown = result.estimate or result.candidate
    agreeing = "" if shown is None else f", {100 * shown.inliers:.0f} % of the weight agrees"
    scale = "" if found.scale is None else f", depth x {found.scale:.3g}"
    left, bottom = corner
    write(rgb, f"{drawn} of {len(found.weights)} matches{agreeing}{scale}", (left, bottom - 26), 0.42)
    write(rgb, "yellow: strong, violet: weak", (left, bottom - 8), 0.42)
