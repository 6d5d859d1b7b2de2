# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, Estimation, merge
from cvloc_ros.odometry import TrackPoint
from cvloc_ros.past import SPACING_M, Past
from cvloc_ros.types import LocalizationResult, Pose2, PoseEstimate, ScoreVolume, Status


def config(earlier_m: float = 60.0) -> Estimation:
    return merge(Config(), {"estimation": {"temperature": 1.0, "earlier_m": earlier_m}}).estimation


def attempt(status: Status = Status.OK, *, scored: bool = True, other: float = 1.0) -> LocalizationResult:
    """An attempt with a place at the origin of likelihood e^9, and another one 4 m further of e^`other`."""
    axis = np.arange(-5.0, 5.1, 0.5)
    d2 = (axis[None, :] ** 2 + axis[:, None] ** 2) / 0.25
    log_p = np.maximum(9.0 - 0.5 * d2, 0.0)
    log_p[10, 18] = other
    scores = torch.from_numpy(np.stack([log_p - 2.0, log_p, log_p - 2.0]))
    volume = ScoreVolume(scores, scores / 10, torch.ones_like(scores), axis, axis, np.array([-0.1, 0.0, 0.1]))
    estimate = PoseEstimate(Pose2(0.0, 0.0, 0.0), np.eye(3), 0.9, 0.0) if status is Status.OK else None
    return LocalizationResult(status, 1, estimate=estimate, volume=volume if scored else None)


def at(travelled: float) -> TrackPoint:
    return TrackPoint(round(travelled * 1e9), Pose2(travelled, 0.0, 0.0), travelled)


def distances(past: Past, travelled: float, used: Estimation) -> list[float]:
    return [-motion.x_m for _, motion in past.seen_from(at(travelled), used)]


def test_attempts_are_kept_every_ten_metres_and_seen_from_further_away() -> None:
    past = Past()
    for travelled in np.arange(0.0, 35.0, 2.5):
        past.add(at(travelled), attempt(), config())
    assert distances(past, 32.5, config()) == pytest.approx([32.5, 22.5, 12.5])
    assert SPACING_M == 10.0


def test_attempts_further_back_are_forgotten() -> None:
    past = Past()
    for travelled in np.arange(0.0, 105.0, 5.0):
        past.add(at(travelled), attempt(), config(40.0))
    assert distances(past, 100.0, config(40.0)) == pytest.approx([40.0, 30.0, 20.0, 10.0])


def test_attempts_in_doubt_say_nothing_lest_they_make_each_other_sure() -> None:
    """On a motorway a matcher that leaned to the same wrong place each time had become sure of it."""
    past = Past()
    past.add(at(0.0), attempt(Status.AMBIGUOUS, other=8.0), config())
    past.add(at(10.0), attempt(other=8.0), config())  # published with the help of others
    assert distances(past, 30.0, config()) == []
    past.add(at(20.0), attempt(other=6.0), config())
    assert distances(past, 30.0, config()) == pytest.approx([10.0])


def test_nothing_is_kept_where_it_is_switched_off_or_nothing_was_scored() -> None:
    past = Past()
    past.add(at(0.0), attempt(), config(0.0))
    past.add(at(0.0), attempt(scored=False), config())
    assert distances(past, 20.0, config()) == []
    past.add(at(0.0), attempt(), config())
    past.clear()
    assert distances(past, 20.0, config()) == []
