# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deviations of a fit against its errors, on a made-up straight street whose imagery is off more here, less there."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import pytest

from cvloc_ros.evaluation.extrinsics import fit
from cvloc_ros.evaluation.extrinsics.frames import Frame, from_mounting
from cvloc_ros.evaluation.extrinsics.sights import Sight, sampled
from cvloc_ros.imaging.mounting import to_camera
from cvloc_ros.types import F32, F64, Pose2

MOUNTING = (1.5, 0.0, 1.6, 0.0, 0.16, 0.0)
PICTURES, RAYS, PX_PER_M = 24, 120, 10.0
PARTS = {"front": [number // 2 for number in range(PICTURES)]}
FREE = np.ones(6, np.bool_)


def street(rng: np.random.Generator) -> F32:
    """Features of 90 m by 30 m, from 15 m behind the start and left of it."""
    noise = rng.standard_normal((300, 900, 2)).astype(np.float32)
    return np.dstack([8.0 * cv2.GaussianBlur(noise, (0, 0), 2.0), np.ones((300, 900), np.float32)])


def px_from_base(x_m: float, y_m: float = 0.0) -> F64:
    return np.array([[PX_PER_M, 0.0, PX_PER_M * (15.0 + x_m)], [0.0, -PX_PER_M, PX_PER_M * (15.0 - y_m)]])


def sights(rng: np.random.Generator, drift_m: float) -> list[Sight]:
    """Pictures along 55 m that see ever further, of a street shown to the left of where it is by up to `drift_m`."""
    features, T, found = street(rng), from_mounting(MOUNTING), []
    for share in np.linspace(0.0, 1.0, PICTURES):
        points = rng.uniform((3.5, -5.0), (8.0 + 6.0 * share, 5.0), (RAYS, 2))
        rays = to_camera(points, T)
        true = px_from_base(55.0 * share, drift_m * np.cos(np.pi * share))
        shown = sampled(features[..., :2], (points @ true[:, :2].T + true[:, 2])[None])[0]
        seen = (shown + rng.normal(0.0, 0.5, shown.shape)).astype(np.float32)
        frame = Frame(cast("Any", None), Pose2(55.0 * share, 0.0, 0.0), np.eye(4))
        found.append(
            Sight(
                frame, (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32), seen,
                np.ones(RAYS, np.float32), np.hypot(*points.T).astype(np.float32), features,
                px_from_base(55.0 * share), PX_PER_M, 0.0025,
            )
        )  # fmt: skip
    return found


def fitted(seed: int, drift_m: float) -> tuple[F64, F64]:
    """Return errors and standard deviations (6,) of one fit; the mounting is set as it is."""
    model, seen = fit.Model({"front": MOUNTING}), {"front": sights(np.random.default_rng(seed), drift_m)}
    x = fit.climb(model, seen, FREE, np.zeros(6))
    return x, np.sqrt(fit.variances(model, seen, PARTS, FREE, x))


@pytest.mark.parametrize("drift_m", [0.0, 0.03, -0.06])
def test_yaw_is_not_surer_than_it_is_right_where_imagery_drifts_along_a_straight_drive(drift_m: float) -> None:
    normalised = np.array([error / sigma for error, sigma in (fitted(seed, drift_m) for seed in range(5))])
    assert 0.4 < np.sqrt(np.square(normalised[:, 3]).mean()) < 1.6


def test_imagery_that_drifts_makes_yaw_less_sure_and_height_hardly() -> None:
    calm, drifting = fitted(1, 0.0)[1], fitted(1, 0.06)[1]
    assert drifting[3] > 3 * calm[3]
    assert drifting[0] < 3 * calm[0]


def test_the_search_finds_a_mounting_far_from_what_is_set() -> None:
    away = np.array([0.15, *np.radians([-2.0, 2.5, -3.0]), 1.2, -0.8])
    wrong = fit.changed(MOUNTING, -away)
    seen = sights(np.random.default_rng(3), 0.0)
    for sight in seen:
        sight.px_from_base[:, 2] += away[4:] * [PX_PER_M, -PX_PER_M]
    found = fit.search(fit.Model({"front": wrong}), {"front": seen}, FREE, lambda: None)
    assert np.abs((found - away) / fit.LIMITS).max() < 1.0
