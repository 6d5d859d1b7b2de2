# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cvloc_ros.config import Config, merge
from cvloc_ros.history import Fix, History
from cvloc_ros.types import HeadingSample, Pose2, PosePrior, Status

S = 1_000_000_000
CONFIG = Config()
FIX_ONLY = merge(CONFIG, {"prior": {"source": "fix"}})


def straight(t: float, speed: float = 5.0) -> Pose2:
    return Pose2(100.0 + speed * t * math.cos(0.7), 50.0 + speed * t * math.sin(0.7), 0.7)


def drive(
    truth: Callable[[float], Pose2] = straight, until: float = 20.0, *, sigma: float = 1.0,
    lever: tuple[float, float] = (0.0, 0.0),
) -> History:  # fmt: skip
    """A history with an exact fix every second and nothing else."""
    history = History(CONFIG)
    for t in range(math.floor(until) + 1):
        fix = Fix(t * S, truth(t).apply(np.array(lever)), np.eye(2) * sigma**2, np.array(lever))
        assert history.fixes.add(fix.stamp_ns, fix) == ""
    return history


def prior(history: History, t: float, config: Config = CONFIG) -> PosePrior:
    made = history.prior(round(t * S), config)
    assert isinstance(made, PosePrior), made
    return made


def error(made: PosePrior, truth: Pose2) -> tuple[float, float]:
    distance = math.hypot(made.pose.x_m - truth.x_m, made.pose.y_m - truth.y_m)
    return distance, abs(math.degrees(math.remainder(made.pose.yaw_rad - truth.yaw_rad, math.tau)))


@pytest.mark.parametrize("config", [CONFIG, FIX_ONLY])
def test_course_of_moving_fixes_gives_the_yaw(config: Config) -> None:
    made = prior(drive(), 20.4, config)
    assert error(made, straight(20.4)) == pytest.approx((0.0, 0.0), abs=0.05)
    assert made.source == "fix+course"
    assert made.yaw_known


def test_between_two_fixes_the_prior_lies_between_them() -> None:
    history = drive()
    assert error(prior(history, 10.3), straight(10.3))[0] < 0.01
    assert prior(history, 10.3).pose.x_m != prior(history, 10.6).pose.x_m


def test_course_of_creeping_fixes_is_not_believed() -> None:
    made = prior(drive(lambda t: straight(t, speed=1.0)), 20.0)
    assert made.source == "fix"
    assert not made.yaw_known


def test_course_of_noisy_fixes_is_less_certain_than_yaw_known() -> None:
    made = prior(drive(lambda t: straight(t, speed=2.0), sigma=8.0), 20.0)
    assert made.source == "fix+course"
    assert not made.yaw_known


def test_heading_goes_before_course_and_turns_the_lever() -> None:
    history = drive(lever=(1.0, 0.5))
    history.headings.add(20 * S, HeadingSample(20 * S, 0.7, math.radians(3.0)))
    made = prior(history, 20.0)
    assert made.source == "fix+heading"
    assert error(made, straight(20.0)) == pytest.approx((0.0, 0.0), abs=0.05)


def test_a_heading_that_stopped_long_ago_is_not_taken_for_the_present_one() -> None:
    history = drive()
    history.headings.add(2 * S, HeadingSample(2 * S, -2.0, math.radians(3.0)))
    made = prior(history, 20.0)
    assert made.source == "fix+course"
    assert error(made, straight(20.0))[1] < 0.1


def test_a_single_fix_gives_a_position_without_yaw() -> None:
    history = drive(until=0.5)
    made = prior(history, 0.5)
    assert error(made, straight(0.0))[0] < 0.01
    assert not made.yaw_known


def test_stale_fix_without_odometry() -> None:
    history = drive()
    assert isinstance(history.prior(round(24.9 * S), CONFIG), PosePrior)
    refused = history.prior(round(25.2 * S), CONFIG)
    assert refused[0] is Status.STALE_PRIOR
    assert "5.2 s old" in refused[1]


def test_a_prior_far_ahead_of_the_last_fix_is_less_certain() -> None:
    history = drive()
    near, far = (math.sqrt(prior(history, t).covariance[0, 0]) for t in (20.1, 24.0))
    assert far > near + 5.0
