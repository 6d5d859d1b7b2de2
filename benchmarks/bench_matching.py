# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The classical frame: bird's-eye mosaic, aerial features, search, pose; on noise, which costs the same as a street."""

from __future__ import annotations

import time

import numpy as np
import torch

from cvloc_ros.cameras import BODY_FROM_OPTICAL
from cvloc_ros.config import Config, merge
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.geo import se3
from cvloc_ros.imaging.camera import from_camera_info
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.matching.registry import create
from cvloc_ros.pipeline import Localizer
from cvloc_ros.types import F64, AerialPatch, GroundView, Pose2, PosePrior

Row = dict[str, str | float]
METRES = 0.25


def run(repeats: int = 15) -> list[Row]:
    """Time one frame: 5 keyframes of 2 cameras, a 50 m window (25 m to each side), yaw within 10 degrees."""
    rows = []
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        rows += _frames(repeats, threads)
    return rows


def _frames(repeats: int, threads: int) -> list[Row]:
    search = {"radius_min_m": 25.0, "radius_max_m": 25.0, "yaw_half_min_deg": 10.0, "yaw_half_max_deg": 10.0}
    config = merge(resolve(Config(), None), {"search": search, "tiles": {"resolution_m": METRES}})
    birdseye = BirdsEye(tables=64)
    localizer = Localizer(config, _Imagery(), create(config.matcher, birdseye))
    stages: dict[str, list[float]] = {}
    for frame in range(repeats + 5):
        stamp_ns = frame * 10**9
        prior = PosePrior(Pose2(0.0, 0.0, 0.1), np.diag([9.0, 9.0, 0.003]), stamp_ns, yaw_known=True, source="bench")
        views = [view for back in range(5) for view in _views(frame - back, back)]
        start = time.perf_counter()
        result = localizer.localize(views, prior)
        elapsed = time.perf_counter() - start
        if frame >= 5:  # the mosaic is full and the patch is encoded from here on
            for name, seconds in {**result.timings_s, "whole frame, decoded images": elapsed}.items():
                stages.setdefault(name, []).append(1e3 * seconds)
    note = f"50 m window, +-10 deg, {METRES} m, 2 cameras 1280x720, 5 keyframes, {threads} thread(s)"
    return [
        {
            "name": f"classical: {name}",
            "unit": "ms",
            "p50": float(np.median(values)),
            "p95": float(np.percentile(values, 95)),
            "n": len(values),
            "note": note,
        }
        for name, values in stages.items()
    ]


class _Imagery:
    """One patch of noise, as `tiles.AerialMap` would keep it."""

    def __init__(self) -> None:
        size = 800
        rgb = np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)
        half = size * METRES / 2
        map_from_px = np.array([[METRES, 0.0, -half + METRES / 2], [0.0, -METRES, half - METRES / 2]])
        self._patch = AerialPatch(rgb, np.ones((size, size), bool), METRES, map_from_px, "", 1.0, ("noise",))

    def patch(self, centre: F64, radius_m: float) -> AerialPatch:
        """Return the same patch whatever is asked."""
        del centre, radius_m
        return self._patch


def _views(frame: int, back: int) -> list[GroundView]:
    camera = from_camera_info(
        "plumb_bob", 1280, 720, np.array([[700.0, 0, 640], [0, 700.0, 360], [0, 0, 1]]), [0.0] * 5
    )
    rng = np.random.default_rng(frame + 100)
    return [
        GroundView(
            name,
            rng.integers(0, 255, (720, 1280, 3), np.uint8),
            camera,
            se3.from_rpy(0.0, 0.12, yaw, (0.0, 0.0, 1.6)) @ BODY_FROM_OPTICAL,
            frame * 10**9,
            T_ref_base=Pose2(-4.0 * back, 0.0, 0.0),
        )
        for name, yaw in (("front", 0.0), ("rear", np.pi))
    ]
