# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of decoding and of the bird's-eye view, on pictures with a street's amount of detail, on one core."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from cvloc_ros.ground import GroundGrid
from cvloc_ros.imaging.camera import Pinhole
from cvloc_ros.imaging.decode import decode_compressed, decode_raw
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.types import GroundView

if TYPE_CHECKING:
    from collections.abc import Callable

GRID = GroundGrid(-25.0, 25.0, -25.0, 25.0, 0.25)
_CAMERA = Pinhole(1024, 1024, 565.6, 565.6, 517.9, 513.2, (-0.18, 0.06, 0.0, 0.0004, -0.01, 0.0, 0.0, 0.0))


def run() -> list[dict[str, Any]]:
    """Measure; one row {name, unit, p50, p95, n, note} for each operation."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return [*_decoding(), *_birds_eye()]
    finally:
        cv2.setNumThreads(threads)


def _decoding() -> list[dict[str, Any]]:
    picture = _picture(1280, 720)
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    png = cv2.imencode(".png", picture)[1].tobytes()
    raw, yuyv = picture.tobytes(), picture[..., :2].tobytes()
    note = f"1280x720, {len(jpeg) / 1e3:.0f} kB"
    return [
        _row("decode raw rgb8", lambda: decode_raw("rgb8", 1280, 720, 3840, 0, raw), 50, "1280x720, not copied"),
        _row("decode raw bgr8", lambda: decode_raw("bgr8", 1280, 720, 3840, 0, raw), 50, "1280x720"),
        _row("decode raw yuyv", lambda: decode_raw("yuyv", 1280, 720, 2560, 0, yuyv), 50, "1280x720"),
        _row("decode jpeg", lambda: decode_compressed("jpeg", jpeg), 30, note),
        _row("decode png", lambda: decode_compressed("png", png), 10, f"1280x720, {len(png) / 1e3:.0f} kB"),
    ]


def _birds_eye() -> list[dict[str, Any]]:
    views = [_view(number) for number in range(4)]
    eye = BirdsEye()
    rows = []
    for some in (views[:1], views):
        name, note = f"bird's-eye view, {len(some)} camera(s)", "1024x1024 each, onto 200x200 cells"
        rows.append(_row(f"{name}, kept tables", lambda some=some: eye(some, GRID), 50, note))
        rows.append(_row(f"{name}, new tables", lambda some=some: BirdsEye()(some, GRID), 15, note))
    return rows


def _view(number: int) -> GroundView:
    """Mount a camera 3 m up that looks forward, left, back or right, 10 degrees down."""
    yaw, down = number * np.pi / 2, np.radians(10.0)
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    forward = np.array([np.cos(down) * np.cos(yaw), np.cos(down) * np.sin(yaw), -np.sin(down)])
    T_base_camera = np.eye(4)
    T_base_camera[:3] = np.column_stack([right, np.cross(forward, right), forward, (0.0, 0.0, 3.0)])
    valid = np.ones((1024, 1024), np.bool_)
    valid[900:] = False
    return GroundView(f"camera{number}", _picture(1024, 1024), _CAMERA, T_base_camera, 0, valid=valid)


def _picture(width: int, height: int) -> np.ndarray:
    """Draw noise of all scales, as detailed as a street picture (about 0.2 byte per pixel as JPEG)."""
    rng = np.random.default_rng(0)
    out = np.zeros((height, width, 3), np.float32)
    for size in (8, 32, 128, 512):
        noise = rng.normal(0.0, 18.0, (size * height // width, size, 3)).astype(np.float32)
        out += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(out + 120.0, 0.0, 255.0).astype(np.uint8)


def _row(name: str, work: Callable[[], object], n: int, note: str) -> dict[str, Any]:
    work()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    p50, p95 = np.percentile(times, [50, 95])
    return {"name": name, "unit": "ms", "p50": float(p50), "p95": float(p95), "n": n, "note": note + ", 1 core"}


if __name__ == "__main__":
    for row in run():
        print(f"{row['name']:45} {row['p50']:8.2f} {row['p95']:8.2f} {row['unit']}  n={row['n']}  {row['note']}")
