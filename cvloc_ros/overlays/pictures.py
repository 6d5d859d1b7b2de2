# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of one attempt that a person can judge: the map with the pose, the scores, the camera beside the map."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np

from cvloc_ros.overlays.canvas import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Canvas,
    legend,
    masked,
    u8,
    write,
    write_fitting,
)  # fmt: skip
from cvloc_ros.overlays.matches import matches
from cvloc_ros.overlays.surface import heights
from cvloc_ros.types import F64, U8, AerialPatch, GroundView, LocalizationResult, Pose2, PoseEstimate

SIZE_PX = 640
TITLE_PX = 58
REACH_M = 25.0
"""Ground beyond this distance is left out of the view of the map through the camera."""

RAY_STEP_PX = 8
CHEQUER_PX = 24

LIKELY = 8.0
"""Log-likelihood below the best down to which cells count as evidence."""


def overlay(result: LocalizationResult, size_px: int = SIZE_PX) -> U8:
    """Show the map with the pose, beside it the ground as the cameras see it, laid onto the map at that pose.

    Below follow the current camera images, each beside the map as it looks through that camera. Where both halves of
    a pair show the same street, the pose is right. Matches follow, if the method matches points, and the surface that
    it has found, if it selects heights. Returns RGB
    (height, 2 size_px, 3).
    """
    shown = result.estimate or result.candidate
    if shown is None or result.patch is None:
        return np.hstack([aerial(result, size_px), np.full((size_px, size_px, 3), 40, np.uint8)])
    rows = [np.hstack([aerial(result, size_px), _draped(result, result.patch, shown.pose, size_px)])]
    current = [view for view in result.views if view.stamp_ns == result.stamp_ns] or list(result.views[-1:])
    pairs = [_pair(view, result.patch, shown.pose, size_px) for view in current]
    for left in range(0, len(pairs), 2):
        two = pairs[left : left + 2]
        height = max(pair.shape[0] for pair in two)
        row = np.zeros((height, 2 * size_px, 3), np.uint8)
        for index, pair in enumerate(two):
            row[: pair.shape[0], index * size_px : index * size_px + pair.shape[1]] = pair
        rows.append(row)
    if result.matches is not None:
        rows.append(matches(result, size_px))
        if result.matches.height_m is not None and len(result.matches.weights):
            rows.append(heights(result, size_px))
    return np.vstack(rows)


def aerial(result: LocalizationResult, size_px: int = SIZE_PX) -> U8:
    """Show the map around the search window: window, prior and pose with 95 % ellipses. Returns RGB, square."""
    patch = result.patch
    if patch is None:
        return _titled(np.full((size_px, size_px, 3), 40, np.uint8), result, searched=False)
    canvas = Canvas.around(result, patch, size_px)
    if result.window is not None:
        centre, radius = result.window.centre, result.window.radius_m
        canvas.outline(centre.xy + radius * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]), YELLOW)
    if result.prior is not None:
        canvas.estimate(result.prior.pose, result.prior.covariance, BLUE, with_yaw=result.prior.yaw_known)
    shown = result.estimate or result.candidate
    if shown is not None:
        canvas.estimate(shown.pose, shown.covariance, GREEN if result.estimate else RED)
    if result.matches is not None:
        canvas.dots(result.matches.aerial, YELLOW)
    canvas.scale_bar()
    canvas.note(patch.attribution)
    return _titled(canvas.rgb, result, searched=True)


def score(result: LocalizationResult, size_px: int = SIZE_PX) -> U8:
    """Show the best similarity over yaw for each place (bright is alike), and below the likelihood of each yaw.

    Returns RGB; grey where the matcher gives no scores.
    """
    volume = result.volume
    if volume is None:
        return _titled(np.full((size_px, size_px, 3), 40, np.uint8), result, searched=False)
    likelihood = _numpy(volume.log_likelihood)
    finite = np.isfinite(likelihood)
    best = likelihood[finite].max() if finite.any() else 0.0
    similarity = np.max(np.where(finite, _numpy(volume.scores), -np.inf), axis=0)
    places = np.where(finite.any(axis=0), similarity, np.nan)
    if volume.y_m[-1] > volume.y_m[0]:
        places = places[::-1]
    heat = u8(cv2.resize(_heat(places), (size_px, size_px), interpolation=cv2.INTER_NEAREST))
    canvas = Canvas(heat, *_axes_affine(volume.x_m, volume.y_m, size_px))
    if result.prior is not None:
        canvas.estimate(result.prior.pose, result.prior.covariance, BLUE, with_yaw=result.prior.yaw_known)
    shown = result.estimate or result.candidate
    if shown is not None:
        canvas.estimate(shown.pose, shown.covariance, GREEN if result.estimate else RED)
    canvas.scale_bar()
    per_yaw = np.max(np.where(finite, likelihood, -np.inf), axis=(1, 2)) - best
    write(canvas.rgb, "similarity at each place: yellow is most alike", (6, size_px - 40), 0.42)
    _titled(canvas.rgb, result, searched=False)
    return np.vstack([canvas.rgb, _yaw_profile(volume.yaw_rad, per_yaw, size_px)])


def on_host(result: LocalizationResult) -> LocalizationResult:
    """Return the result with its score volume as arrays, so that drawing it needs no device (and no torch)."""
    volume = result.volume
    if volume is None:
        return result
    arrays: dict[str, Any] = {name: _numpy(getattr(volume, name)) for name in ("log_likelihood", "scores", "overlap")}
    return dataclasses.replace(result, volume=dataclasses.replace(volume, **arrays))


def evidence_points(result: LocalizationResult, limit: int = 4000) -> F64:
    """Return points (N, 3) of the map, x, y (m) and weight 0..1: matched points, or the likeliest places."""
    if result.matches is not None:
        found = np.column_stack([result.matches.aerial, result.matches.weights])
    elif result.volume is not None:
        best = _numpy(result.volume.log_likelihood).max(axis=0)
        top = best.max() if np.isfinite(best).any() else 0.0
        row, column = np.nonzero(best > top - LIKELY)
        found = np.column_stack(
            [result.volume.x_m[column], result.volume.y_m[row], np.exp(best[row, column] - top)]
        )
    else:
        return np.zeros((0, 3))
    return found[np.argsort(-found[:, 2])[:limit]]


def through_camera(view: GroundView, patch: AerialPatch, T_map_base: Pose2, width_px: int) -> tuple[U8, U8]:
    """Return the camera image and the map as that camera would see it from a pose, both RGB `width_px` wide.

    The ground is the plane z = 0 of base at the view's own stamp; what is not on it appears wrong, as it should.
    """
    height_px = max(round(view.camera.height * width_px / view.camera.width), 1)
    # The rays of a lens model are slow to find; between the nodes of a coarse grid the ground is nearly straight.
    coarse = (max(width_px // RAY_STEP_PX, 2), max(height_px // RAY_STEP_PX, 2))
    columns, rows = np.meshgrid(np.arange(coarse[0]), np.arange(coarse[1]))
    scale = np.array([view.camera.width / coarse[0], view.camera.height / coarse[1]])
    uv = (np.stack([columns, rows], axis=-1) + 0.5) * scale - 0.5
    rays = view.camera.unproject(uv) @ view.T_base_camera[:3, :3].T
    origin = view.T_base_camera[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = -origin[2] / rays[..., 2]
        ground = origin[:2] + distance[..., None] * rays[..., :2]
        near = (distance > 0) & (np.linalg.norm(ground, axis=-1) < REACH_M)
    place = patch.px_from_map((T_map_base @ view.T_ref_base).apply(np.where(near[..., None], ground, 0.0)))
    place = np.where(near[..., None], place, np.nan).astype(np.float32)
    fine = cv2.resize(place, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    fine = np.where(np.isfinite(fine), fine, np.float32(-10.0))
    seen = u8(cv2.remap(masked(patch), fine[..., 0], fine[..., 1], cv2.INTER_LINEAR, borderValue=(40, 40, 40)))
    taken = u8(cv2.resize(view.rgb, (width_px, height_px), interpolation=cv2.INTER_AREA))
    if view.T_base_camera[2, 1] > 0:  # mounted upside down
        return taken[::-1, ::-1], seen[::-1, ::-1]
    return taken, seen


def _draped(result: LocalizationResult, patch: AerialPatch, pose: Pose2, size_px: int) -> U8:
    """Lay the ground that the views see onto the map in a chequered pattern, where both can be compared."""
    canvas = Canvas.around(result, patch, size_px)
    columns, rows = np.meshgrid(np.arange(size_px), np.arange(size_px))
    chequer = (columns // CHEQUER_PX + rows // CHEQUER_PX) % 2 == 0
    points = canvas.metres(np.stack([columns[chequer], rows[chequer]], axis=-1).astype(np.float64))
    place = np.round(patch.px_from_map(points)).astype(np.intp)
    within = np.asarray(((place >= 0) & (place < np.array(patch.valid.shape[::-1]))).all(axis=1))
    within[within] = patch.valid[place[within, 1], place[within, 0]]
    pixels, points = np.flatnonzero(chequer)[within], points[within]
    for view in sorted(result.views, key=lambda item: item.stamp_ns):
        ground = (pose @ view.T_ref_base).inverse().apply(points)
        near = np.flatnonzero((np.abs(ground) < REACH_M / 2).all(axis=1))
        rays = np.column_stack([ground[near], np.zeros(len(near))]) - view.T_base_camera[:3, 3]
        uv, inside = view.camera.project(rays @ view.T_base_camera[:3, :3])
        column, row = np.round(uv[inside]).astype(np.intp).T
        column, row = np.clip(column, 0, view.rgb.shape[1] - 1), np.clip(row, 0, view.rgb.shape[0] - 1)
        usable = np.ones(len(row), bool) if view.valid is None else view.valid[row, column]
        canvas.rgb.reshape(-1, 3)[pixels[near[inside][usable]]] = view.rgb[row[usable], column[usable]]
    canvas.scale_bar()
    write(canvas.rgb, "what the cameras see of the ground, in squares on the map:", (6, 17), 0.42)
    write(canvas.rgb, "where the pose is right, kerbs and lines go on from square to square", (6, 34), 0.42)
    return canvas.rgb


def _pair(view: GroundView, patch: AerialPatch, pose: Pose2, size_px: int) -> U8:
    left, right = through_camera(view, patch, pose, size_px // 2)
    pair = np.ascontiguousarray(np.hstack([left, right]))
    write(pair, f"camera {view.camera_name}", (6, 16), 0.42)
    write(pair, "the map as this camera would see it", (size_px // 2 + 6, 16), 0.42)
    return pair


def _titled(rgb: U8, result: LocalizationResult, *, searched: bool) -> U8:
    """Write above a picture what became of the attempt and why, and under that the names of what is drawn."""
    colour = GREEN if result.estimate is not None else RED
    cv2.rectangle(rgb, (0, 0), (rgb.shape[1], TITLE_PX), BLACK, -1)
    outcome = "pose published" if result.estimate is not None else f"no pose published: {result.status.value}"
    write_fitting(rgb, outcome, (6, 17), 0.55, colour)
    numbers = _numbers(result.estimate or result.candidate)
    lines = [numbers, " ".join(result.reasons)] if numbers else [" ".join(result.reasons)]
    for number, line in enumerate(lines):
        write_fitting(rgb, line, (6, 35 + 16 * number), 0.4)
    entries = [("searched", YELLOW)] if searched and result.window is not None else []
    if result.prior is not None:
        entries.append((f"prior ({result.prior.source})", BLUE))
    if numbers:
        entries.append(("pose, 95 % ellipse" if result.estimate is not None else "refused pose, 95 % ellipse", colour))
    if result.matches is not None:
        entries.append(("matched points", YELLOW))
    legend(rgb, entries, (6, TITLE_PX + 17))
    return rgb


def _numbers(estimate: PoseEstimate | None) -> str:
    if estimate is None:
        return ""
    sigma_m = math.sqrt(max(np.linalg.eigvalsh(estimate.covariance[:2, :2]).max(), 0.0))
    sigma_deg = math.degrees(math.sqrt(max(estimate.covariance[2, 2], 0.0)))
    pose = estimate.pose
    return (
        f"x {pose.x_m:.2f} m, y {pose.y_m:.2f} m, yaw {math.degrees(pose.yaw_rad):.1f} deg; "
        f"sigma {sigma_m:.2f} m, {sigma_deg:.1f} deg; score {estimate.score:.2f}"
    )


def _numpy(tensor: Any) -> F64:
    """Take a tensor (of any device) or an array to a double array, without importing torch."""
    on_host = tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor
    return np.asarray(on_host, dtype=np.float64)


def _heat(values: F64) -> U8:
    """Colour from the 5 % quantile to the best; what was not compared becomes grey."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.full((*values.shape, 3), 40, np.uint8)
    low, high = np.quantile(values[finite], 0.05), values[finite].max()
    level = np.clip((np.where(finite, values, low) - low) / max(high - low, 1e-9), 0.0, 1.0)
    colours = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return u8(np.where(finite[..., None], colours, np.uint8(40)))


def _axes_affine(x_m: F64, y_m: F64, size_px: int) -> tuple[F64, F64]:
    step_x, step_y = _step(x_m), _step(y_m)
    scale = np.array([size_px / (len(x_m) * step_x), -size_px / (len(y_m) * step_y)])
    corner = np.array([min(x_m) - step_x / 2, max(y_m) + step_y / 2])
    return np.diag(scale), -scale * corner


def _step(axis: F64) -> float:
    return float(abs(axis[-1] - axis[0])) / (len(axis) - 1) if len(axis) > 1 else 1.0


def _yaw_profile(yaw_rad: F64, values: F64, width_px: int, height_px: int = 90) -> U8:
    strip = np.full((height_px, width_px, 3), 20, np.uint8)
    level = np.clip(1.0 + np.where(np.isfinite(values), values, -np.inf) / LIKELY / 2, 0.0, 1.0)
    x = np.linspace(10, width_px - 10, len(level))
    y = height_px - 20 - level * (height_px - 45)
    points = np.stack([x, y], axis=-1).round().astype(np.int32)
    cv2.polylines(strip, [points], False, YELLOW, 1, cv2.LINE_AA)
    for point in points:
        cv2.circle(strip, (int(point[0]), int(point[1])), 2, YELLOW, -1, cv2.LINE_AA)
    best = int(level.argmax())
    write(strip, "log-likelihood of each yaw", (6, 16), 0.42)
    write(strip, f"{math.degrees(yaw_rad[0]):.1f} deg", (6, height_px - 4), 0.38)
    write(strip, f"{math.degrees(yaw_rad[-1]):.1f} deg", (width_px - 80, height_px - 4), 0.38)
    middle = int(np.clip(x[best] - 30, 90, width_px - 160))
    write(strip, f"{math.degrees(yaw_rad[best]):.1f} deg", (middle, height_px - 4), 0.38, YELLOW)
    return strip
