# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture with the affine that takes map metres to its pixels, and what is drawn on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from cvloc_ros.types import F64, U8, AerialPatch, LocalizationResult, Pose2

GREEN, RED, BLUE, YELLOW = (40, 220, 60), (240, 50, 40), (70, 140, 255), (255, 210, 0)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
ELLIPSE_SIGMA = 2.4477
"""Radius that holds 95 % of a planar normal distribution."""


class Canvas:
    """An RGB picture of the map; `pixel = linear @ metre + offset`."""

    def __init__(self, rgb: U8, linear: F64, offset: F64) -> None:
        """Take a picture (H, W, 3) u8, `linear` (2, 2) px/m and `offset` (2,) px."""
        self.rgb, self._linear, self._offset = np.ascontiguousarray(rgb), linear, offset

    @classmethod
    def around(cls, result: LocalizationResult, patch: AerialPatch, size_px: int) -> Canvas:
        """Cut the patch out around the window with a margin, north up."""
        if result.window is not None:
            centre, half = result.window.centre.xy, result.window.radius_m * 1.25 + 5.0
        else:
            rows, columns = patch.valid.shape
            centre = patch.map_from_px @ [columns / 2, rows / 2, 1.0]
            half = max(rows, columns) * patch.metres_per_px / 2
        scale = size_px / (2 * half)
        linear = np.array([[scale, 0.0], [0.0, -scale]])
        offset = np.array([size_px / 2, size_px / 2]) - linear @ centre
        to_canvas = np.column_stack([linear @ patch.map_from_px[:, :2], linear @ patch.map_from_px[:, 2] + offset])
        flags = cv2.INTER_AREA if scale * patch.metres_per_px < 1 else cv2.INTER_LINEAR
        rgb = cv2.warpAffine(masked(patch), to_canvas, (size_px, size_px), flags=flags, borderValue=(40, 40, 40))
        return cls(u8(rgb), linear, offset)

    def pixels(self, points: F64) -> F64:
        """Take map points (..., 2) to pixels."""
        return np.asarray(np.asarray(points) @ self._linear.T + self._offset, dtype=np.float64)

    def metres(self, pixels: F64) -> F64:
        """Take pixels (..., 2) to map points."""
        return np.asarray((pixels - self._offset) @ np.linalg.inv(self._linear).T, dtype=np.float64)

    def outline(self, points: F64, colour: Sequence[int], thickness: int = 1) -> None:
        """Draw a line through map points."""
        corners = np.round(self.pixels(points) * 16).astype(np.int32)
        cv2.polylines(self.rgb, [corners], False, colour, thickness, cv2.LINE_AA, 4)

    def dots(self, points: F64, colour: Sequence[int]) -> None:
        """Draw small dots at map points."""
        for x, y in self.pixels(points)[:500]:
            cv2.circle(self.rgb, (round(x), round(y)), 1, colour, -1)

    def estimate(self, pose: Pose2, covariance: F64, colour: Sequence[int], *, with_yaw: bool = True) -> None:
        """Draw the 95 % ellipse of a position and, where the yaw is known, an arrow with its 95 % fan."""
        values, vectors = np.linalg.eigh(covariance[:2, :2])
        angle = np.linspace(0, math.tau, 64)
        axes = vectors * (ELLIPSE_SIGMA * np.sqrt(np.clip(values, 0, 1e6)))
        self.outline(pose.xy + np.stack([np.cos(angle), np.sin(angle)], axis=-1) @ axes.T, colour, 2)
        length = 40 / self._linear[0, 0]
        if not with_yaw:
            return
        spread = min(1.96 * math.sqrt(max(covariance[2, 2], 0.0)), math.pi)
        for turn in (-spread, spread):
            self.outline(np.stack([pose.xy, _ahead(pose, length, turn)]), colour)
        start, tip = (tuple(round(v) for v in self.pixels(p)) for p in (pose.xy, _ahead(pose, length)))
        cv2.arrowedLine(self.rgb, start, tip, colour, 2, cv2.LINE_AA, tipLength=0.3)

    def scale_bar(self) -> None:
        """Draw a bar of a round length into the lower left corner."""
        room_m = 0.25 * self.rgb.shape[1] / self._linear[0, 0]
        length = max((s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 200) if s <= room_m), default=0.1)
        y, end = self.rgb.shape[0] - 12, 12 + round(length * self._linear[0, 0])
        cv2.line(self.rgb, (12, y), (end, y), WHITE, 3)
        write(self.rgb, f"{length:g} m", (12, y - 8))

    def note(self, text: str) -> None:
        """Write the attribution into the lower right corner."""
        (width, _), _ = cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 1)
        write(self.rgb, text, (max(self.rgb.shape[1] - width - 6, 80), self.rgb.shape[0] - 6), 0.35)


def _ahead(pose: Pose2, length_m: float, turn_rad: float = 0.0) -> F64:
    yaw = pose.yaw_rad + turn_rad
    return pose.xy + length_m * np.array([math.cos(yaw), math.sin(yaw)])


def write(rgb: U8, text: str, at: tuple[int, int], size: float = 0.45, colour: Sequence[int] = WHITE) -> None:
    """Write text with a dark rim into a picture, its lower left corner at a pixel."""
    for shade, width in ((BLACK, 3), (colour, 1)):
        cv2.putText(rgb, _ascii(text), at, cv2.FONT_HERSHEY_SIMPLEX, size, shade, width, cv2.LINE_AA)


def write_fitting(rgb: U8, text: str, at: tuple[int, int], size: float = 0.45, colour: Sequence[int] = WHITE) -> None:
    """Write text, cut where the picture ends."""
    room = rgb.shape[1] - at[0] - 4
    while text and cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0] > room:
        text = text.removesuffix("...")[:-1].rstrip() + "..."
    write(rgb, text, at, size, colour)


def legend(rgb: U8, entries: Sequence[tuple[str, Sequence[int]]], at: tuple[int, int], size: float = 0.42) -> None:
    """Write names in the colours of what they name, beside each other."""
    left = at[0]
    for text, colour in entries:
        write(rgb, text, (left, at[1]), size, colour)
        left += cv2.getTextSize(_ascii(text), cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0] + 14


def _ascii(text: str) -> str:
    """OpenCV's fonts know ASCII only."""
    return text.replace("©", "(c)").encode("ascii", "replace").decode()


def u8(picture: Any) -> U8:
    """Return a picture of OpenCV, whose functions state no element type."""
    return np.asarray(picture, dtype=np.uint8)


def masked(patch: AerialPatch) -> U8:
    """Return the imagery of a patch, dark grey where there is none."""
    return u8(np.where(patch.valid[..., None], patch.rgb, np.uint8(40)))
