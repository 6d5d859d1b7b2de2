# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Earlier attempts choose among places that look alike, and do nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.config import Config, Estimation, merge
from cvloc_ros.estimation.earlier import DOUBT, SHARE, Outlook, condense, evidence
from cvloc_ros.estimation.volume import from_volume
from cvloc_ros.types import Pose2, ScoreVolume

CONFIG: Estimation = merge(Config(), {"estimation": {"temperature": 1.0}}).estimation
YAW = np.radians(np.arange(-10, 10.5, 1.0))


def peaks(*places: tuple[float, float, float], yaw_rad: float = 0.0, centre: tuple[float, float] = (0.0, 0.0),
          half_m: float = 15.0) -> ScoreVolume:  # fmt: skip
    """A volume whose places (x, y, height) are 0.5 m wide; y runs downwards, as in a patch."""
    reach = np.arange(-half_m, half_m + 0.01, 0.2)
    x, y, yaw = centre[0] + reach, centre[1] - reach, yaw_rad + YAW
    total = np.zeros((len(yaw), len(y), len(x)))
    for px, py, height in places:
        d2 = ((x[None, None, :] - px) ** 2 + (y[None, :, None] - py) ** 2) / 0.25
        d2 = d2 + ((yaw - yaw_rad) ** 2 / math.radians(2.0) ** 2)[:, None, None]
        total = np.maximum(total, height - 0.5 * d2)
    tensor = torch.from_numpy(total)
    return ScoreVolume(tensor, tensor / 100, torch.ones_like(tensor), x, y, yaw)


def outlook(volume: ScoreVolume) -> Outlook:
    kept = condense(volume, CONFIG.temperature)
    assert kept is not None
    return kept


def test_places_that_look_alike_are_told_apart_by_what_was_seen_before() -> None:
    now = peaks((0.0, 0.0, 9.0), (12.0, 0.0, 9.0))
    alone = from_volume(now, CONFIG)
    before = (outlook(peaks((-20.0, 0.0, 9.0), centre=(-12.0, 0.0))), Pose2(-20.0, 0.0, 0.0))
    heard = from_volume(now, CONFIG, None, evidence([before, before], now))
    assert alone is not None and heard is not None
    assert alone.ambiguity == pytest.approx(1.0, abs=0.05)
    assert heard.ambiguity < 0.1
    assert heard.pose.xy == pytest.approx([0.0, 0.0], abs=0.02)


def test_earlier_attempts_never_make_a_pose_more_certain() -> None:
    now = peaks((0.0, 0.0, 9.0))
    alone = from_volume(now, CONFIG)
    before = (outlook(peaks((-20.0, 0.3, 30.0), centre=(-20.0, 0.0))), Pose2(-20.0, 0.0, 0.0))
    heard = from_volume(now, CONFIG, None, evidence([before] * 5, now))
    assert alone is not None and heard is not None
    assert heard.pose.xy == pytest.approx(alone.pose.xy, abs=1e-12)
    assert heard.covariance == pytest.approx(alone.covariance, rel=1e-12)


def test_slope_of_a_place_that_was_excluded_is_no_pose() -> None:
    """Where all that is left is the flank of an excluded peak, nothing is found, least of all with certainty."""
    now = peaks((5.5, 0.0, 30.0))
    before = (outlook(peaks((-20.0, 0.0, 9.0), centre=(-20.0, 0.0))), Pose2(-20.0, 0.0, 0.0))
    told = evidence([before] * 50, now)
    heard = from_volume(now, CONFIG, None, told)
    assert heard is not None
    assert heard.pose.x_m < 5.0  # on the way from what is left to the peak
    assert heard.ambiguity == 1.0


@settings(max_examples=25, deadline=None)
@given(
    x=st.floats(-8, 8), y=st.floats(-8, 8), yaw=st.floats(-math.pi, math.pi), back=st.floats(10, 60),
    turn=st.floats(-1.5, 1.5),
)  # fmt: skip
def test_evidence_is_carried_by_the_motion(x: float, y: float, yaw: float, back: float, turn: float) -> None:
    motion = Pose2(-back * math.cos(turn / 2), back * math.sin(turn / 2), turn)
    here = Pose2(x, y, yaw)
    there = here @ motion
    then = peaks((there.x_m, there.y_m, 9.0), yaw_rad=there.yaw_rad, centre=(there.x_m + 1.0, there.y_m - 2.0))
    now = peaks((x, y, 9.0), yaw_rad=yaw)
    told = evidence([(outlook(then), motion)], now)
    assert told is not None and told.shape == tuple(now.log_likelihood.shape)
    at = (10, int(np.argmin(abs(now.y_m - y))), int(np.argmin(abs(now.x_m - x))))
    assert told[at] > -0.1
    assert told.max() == 0.0 and told.min() >= SHARE * math.log(DOUBT) - 1e-6


def test_what_was_not_seen_is_not_excluded() -> None:
    now = peaks((0.0, 0.0, 9.0), (12.0, 0.0, 9.0))
    far = (outlook(peaks((500.0, 0.0, 9.0), centre=(500.0, 0.0))), Pose2(-20.0, 0.0, 0.0))
    told = evidence([far], now)
    assert told is not None and not told.any()
    assert evidence([], now) is None


def test_volume_without_any_comparison_says_nothing() -> None:
    empty = peaks((0.0, 0.0, 1.0))
    empty.log_likelihood.fill_(-torch.inf)
    assert condense(empty, 1.0) is None
    part = peaks((0.0, 0.0, 9.0))
    part.log_likelihood[:, :, :40] = -torch.inf
    assert outlook(part).log_p[:, :, 0] == pytest.approx(0.0)


def test_search_in_all_directions_keeps_but_some_yaws() -> None:
    whole = peaks((0.0, 0.0, 9.0))
    kept = outlook(ScoreVolume(whole.log_likelihood[8:12], whole.scores[8:12], whole.overlap[8:12], whole.x_m,
                               whole.y_m, whole.yaw_rad[8:12]))  # fmt: skip
    told = evidence([(kept, Pose2(0.0, 0.0, 0.0))], whole)
    assert told is not None
    assert not told[:6].any() and not told[14:].any() and told[8:12].any()
