# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The planar filter on simulated drives with known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.config import Prior
from cvloc_ros.evaluation.fusion.filter import Absolute, PlanarFilter, State, drift_noise
from cvloc_ros.geo import se2
from cvloc_ros.types import F64, OdomSample, Pose2

PRIOR = Prior()
TIGHT = np.diag([0.04, 0.04, 0.0001])
LEVER = np.array([1.2, -0.4])
STEP_S = 0.1
STEPS = 200


def s(seconds: float) -> int:
    return round(seconds * 1e9)


def truth(seconds: float) -> Pose2:
    """A circle of 40 m radius at 10 m/s."""
    angle = seconds * 0.25
    return Pose2(40 * math.sin(angle), 40 * (1 - math.cos(angle)), math.remainder(angle, math.tau))


def chord(seconds: float) -> Pose2:
    """The truth as odometry samples every STEP_S tell it: straight in between."""
    step = math.floor(seconds / STEP_S + 1e-9)
    first, second = truth(step * STEP_S), truth((step + 1) * STEP_S)
    return se2.interpolate(first, second, seconds / STEP_S - step)


def odometry(seconds: float) -> OdomSample:
    return OdomSample(s(seconds), Pose2(5.0, -3.0, 1.0).inverse() @ truth(seconds))


def pose(seconds: float, arrival_s: float | None = None, *, off_m: float = 0.0) -> Absolute:
    at = chord(seconds)
    arrival = seconds if arrival_s is None else arrival_s
    return Absolute(s(seconds), s(arrival), "poses", Pose2(at.x_m + off_m, at.y_m, at.yaw_rad), TIGHT)


def fix(seconds: float) -> Absolute:
    place = Pose2.at(chord(seconds).apply(LEVER), 0.0)
    return Absolute(s(seconds), s(seconds), "gnss", place, np.eye(2) * 4.0, LEVER)


def started(history_s: float = 3.0, covariance: F64 = TIGHT, at: Pose2 | None = None) -> PlanarFilter:
    return PlanarFilter(0, odometry(0.0).pose, State(at or truth(0.0), covariance), PRIOR, history_s, 4.5)


def driven(measured: list[Absolute], fused: PlanarFilter | None = None, steps: int = STEPS) -> PlanarFilter:
    fused = fused or started()
    waiting = sorted(measured, key=lambda one: one.arrival_ns)
    for step in range(1, steps + 1):
        now = step * STEP_S
        while waiting and waiting[0].arrival_ns <= s(now):
            fused.correct(waiting.pop(0))
        fused.move(odometry(now))
    return fused


def test_without_errors_the_state_is_the_truth() -> None:
    fused = driven([pose(t, t + 0.33) for t in np.arange(0.55, 19, 0.7)] + [fix(t) for t in np.arange(0.2, 19, 1.0)])
    assert se2.difference(fused.state.pose, truth(STEPS * STEP_S)) == pytest.approx(np.zeros(3), abs=1e-9)
    assert fused.fused["poses"] == 27 and fused.fused["gnss"] == 19
    assert not fused.rejected and not fused.too_late


def test_fixes_of_the_antenna_turn_a_wrong_start() -> None:
    wrong = se2.compose(truth(0.0), np.zeros((3, 3)), Pose2(2.0, -1.0, 0.15), np.zeros((3, 3)))[0]
    fused = driven([fix(t) for t in np.arange(0.2, 19, 0.5)], started(covariance=np.diag([9.0, 9.0, 0.04]), at=wrong))
    error = se2.difference(fused.state.pose, truth(STEPS * STEP_S))
    assert math.hypot(error[0], error[1]) < 0.5
    assert abs(error[2]) < 0.02


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.2, 17.0), st.floats(0.0, 2.8), st.floats(-0.5, 0.5)), min_size=1, max_size=6,
             unique_by=lambda one: round(one[0], 3))
)  # fmt: skip
def test_a_late_measurement_gives_the_state_of_a_timely_one(drawn: list[tuple[float, float, float]]) -> None:
    timely = driven([pose(t, off_m=off) for t, _, off in drawn])
    late = driven([pose(t, t + delay, off_m=off) for t, delay, off in drawn])
    assert late.fused == timely.fused and late.fused.total() + late.rejected.total() == len(drawn)
    assert se2.difference(late.state.pose, timely.state.pose) == pytest.approx(np.zeros(3), abs=1e-9)
    assert late.state.covariance == pytest.approx(timely.state.covariance, abs=1e-12)


def test_what_is_older_than_the_history_is_counted_and_left_out() -> None:
    alone = driven([])
    late = driven([pose(5.0, 8.3, off_m=1.0), pose(-0.5, 1.0), fix(19.95)])
    assert late.too_late == {"poses": 2}
    assert late.state.pose == driven([fix(19.95)]).state.pose
    in_time = driven([pose(5.0, 7.8, off_m=1.0)])
    assert not in_time.too_late and in_time.state.pose != alone.state.pose


def test_an_outlier_is_rejected_and_counted() -> None:
    good = [pose(t) for t in np.arange(0.5, 19, 1.0)]
    fused = driven([*good, pose(10.2, 10.6, off_m=20.0)])
    assert fused.rejected == {"poses": 1}
    assert fused.fused == {"poses": len(good)}
    assert se2.difference(fused.state.pose, truth(STEPS * STEP_S)) == pytest.approx(np.zeros(3), abs=1e-9)


def test_a_measurement_counts_by_what_became_of_it_last() -> None:
    """Four metres off, it is believed until an older, better measurement arrives after it."""
    loose = started(covariance=np.diag([4.0, 4.0, 0.01]))
    fused = driven([pose(5.0, off_m=4.0), pose(4.5, 6.0)], loose)
    assert fused.rejected == {"poses": 1} and fused.fused == {"poses": 1}
    assert driven([pose(5.0, off_m=4.0)], started(covariance=np.diag([4.0, 4.0, 0.01]))).fused == {"poses": 1}


def test_covariance_stays_positive_definite_and_symmetric() -> None:
    sharp = np.diag([1e-9, 1e-9, 1e-12])
    fused = started(covariance=np.diag([1e6, 1e6, 3.0]))
    for step in range(1, STEPS):
        now = step * STEP_S
        fused.correct(Absolute(s(now), s(now), "poses", chord(now), sharp))
        fused.move(odometry(now))
        covariance = fused.state.covariance
        assert np.array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance)[0] > 0


def test_noise_of_a_way_does_not_depend_on_how_it_is_cut() -> None:
    assert drift_noise(30.0, 3.0, PRIOR) == pytest.approx(sum(drift_noise(10.0, 1.0, PRIOR) for _ in range(3)))
    assert math.sqrt(drift_noise(100.0, 0.0, PRIOR)[0, 0]) == pytest.approx(100.0 * PRIOR.odom_drift_m_per_m)


def test_gaussian_errors_give_a_nees_of_three() -> None:
    """300 drives of 12 s; the bounds hold the mean of chi² (3) over 300 of them with more than 99.99 %."""
    rng = np.random.default_rng(5)
    values = []
    for _ in range(300):
        fused = started(covariance=TIGHT, at=_shaken(rng, truth(0.0), TIGHT))
        place = odometry(0.0).pose
        for step in range(1, 61):
            now = step * 0.2
            moved = se2.relative(truth(now - 0.2), truth(now))
            noise = drift_noise(math.hypot(moved.x_m, moved.y_m), 0.2, PRIOR)
            place = place @ _shaken(rng, moved, noise)
            if step % 10 == 5:
                fused.correct(Absolute(s(now), s(now), "poses", _shaken(rng, truth(now), TIGHT * 9), TIGHT * 9))
            if step % 5 == 0:
                point = truth(now).apply(LEVER) + rng.normal(0, 2.0, 2)
                fused.correct(Absolute(s(now), s(now), "gnss", Pose2.at(point, 0.0), np.eye(2) * 4.0, LEVER))
            fused.move(OdomSample(s(now), place))
        error = se2.difference(fused.state.pose, truth(12.0))
        values.append(error @ np.linalg.solve(fused.state.covariance, error))
    assert 2.4 < np.mean(values) < 3.6


def _shaken(rng: np.random.Generator, at: Pose2, covariance: F64) -> Pose2:
    x, y, yaw = rng.multivariate_normal([at.x_m, at.y_m, at.yaw_rad], covariance)
    return Pose2(float(x), float(y), math.remainder(float(yaw), math.tau))
