# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""GNSS that is gone, jumps or drifts away: poses go on, none is wrong, and it is told."""

from __future__ import annotations

import numpy as np
import pytest

from cvloc_ros.types import Pose2, PoseEstimate, Status

JUMP = np.array([25.0, -18.0])


def right_ones(vehicle, times) -> list[float]:
    """Drive on; return the times at which a pose was published, all of which must be right."""
    found = []
    for t in times:
        result = vehicle.step(float(t))
        if result.status is Status.OK:
            assert vehicle.error(result, float(t))[0] < 0.3
            found.append(float(t))
    return found


@pytest.fixture
def settled(rig):
    """A vehicle that has published for five seconds."""
    vehicle = rig()
    vehicle.know_heading()
    assert len(right_ones(vehicle, np.arange(1.0, 6.0))) >= 4
    return vehicle


@pytest.mark.parametrize("outage_s", [10, 30, 60])
def test_outage_of_gnss_changes_nothing(settled, outage_s) -> None:
    settled.fixes = False
    times = np.arange(6.0, 6.0 + outage_s, 2.0)
    assert right_ones(settled, times) == list(times)
    result = settled.step(6.0 + outage_s)
    assert result.status is Status.OK
    assert "own" in result.prior.source
    assert ("fix" in result.prior.source) == (outage_s < 60)


def test_images_without_use_during_an_outage_widen_the_window_and_do_not_end_the_drive(rig) -> None:
    vehicle = rig(prior={"odom_drift_m_per_m": 0.15})
    vehicle.know_heading()
    assert right_ones(vehicle, np.arange(1.0, 6.0))
    vehicle.fixes = False
    seen = vehicle.ground
    vehicle.ground = type(seen)(np.full_like(seen.rgb, 90))
    blind = vehicle.run(*np.arange(6.0, 21.0, 1.0))[3:]
    assert all(result.estimate is None and result.window is not None for result in blind)
    radii = [result.window.radius_m for result in blind]
    assert radii == sorted(radii)
    assert radii[-1] > 1.2 * radii[0]
    vehicle.ground = seen
    assert len(right_ones(vehicle, np.arange(21.5, 27.0, 0.5))) >= 6


@pytest.mark.parametrize(("gnss", "waits"), [(False, 2), (True, 0)])
def test_long_gap_without_a_pose_asks_for_agreement_where_the_window_has_grown(rig, gnss, waits) -> None:
    vehicle = rig(prior={"odom_drift_m_per_m": 0.1}, estimation={"agreement_gap_s": 15.0})
    vehicle.know_heading()
    assert right_ones(vehicle, np.arange(1.0, 6.0))
    vehicle.fixes = gnss
    seen = vehicle.ground
    vehicle.ground = type(seen)(np.full_like(seen.rgb, 90))
    vehicle.run(*np.arange(6.0, 26.0, 2.0))
    vehicle.ground = seen
    statuses = []
    for t in np.arange(27.0, 35.0, 1.0):
        result = vehicle.step(float(t))
        statuses.append(result.status)
        if result.status is Status.INCONSISTENT:
            assert "s without a pose" in result.reasons[0]
    assert statuses.count(Status.INCONSISTENT) == waits, statuses
    assert statuses[-1] is Status.OK


def test_jump_of_gnss_is_set_aside_told_and_forgiven(settled) -> None:
    settled.bias = settled.bias + JUMP
    times = np.arange(6.0, 26.0)
    assert len(right_ones(settled, times)) == len(times)
    result = settled.step(26.0)
    assert result.status is Status.OK
    assert any("gnss disagrees" in reason and "set aside" in reason for reason in result.reasons)
    assert "gnss disagrees" in settled.session.troubles()["gnss"]
    assert np.hypot(*(result.prior.pose.xy - settled.truth(26.0).xy)) < 3.0
    assert result.window.radius_m < 15.0
    settled.bias = settled.bias - JUMP
    times = np.arange(27.0, 34.0)
    assert len(right_ones(settled, times)) == len(times)
    assert settled.session.troubles()["gnss"] == ""
    assert "fix" in settled.step(34.0).prior.source


def test_gnss_that_is_set_aside_for_longer_than_the_alignment_lasts_is_heard_again(rig) -> None:
    vehicle = rig(prior={"align_window_s": 12.0})
    vehicle.know_heading()
    assert right_ones(vehicle, np.arange(1.0, 6.0))
    vehicle.bias = vehicle.bias + JUMP
    times = np.arange(6.0, 18.0)
    assert len(right_ones(vehicle, times)) == len(times)
    assert "set aside" in vehicle.session.troubles()["gnss"]
    times = np.arange(18.0, 25.0)
    assert len(right_ones(vehicle, times)) == len(times)
    assert "the search covers both" in vehicle.session.troubles()["gnss"]
    assert vehicle.step(25.0).window.radius_m > np.hypot(*JUMP)


def test_gnss_drawn_away_slowly_is_told_and_moves_no_pose(settled) -> None:
    start = settled.bias.copy()
    told = False
    for t in np.arange(6.0, 26.0):
        settled.bias = start + 0.9 * (t - 5.0) * np.array([0.6, 0.8])
        assert right_ones(settled, [t]) == [t]
        told |= "gnss disagrees" in settled.session.troubles()["gnss"]
    assert told


def test_spoofing_beyond_every_window_moves_no_pose(settled) -> None:
    settled.bias = settled.bias + np.array([400.0, 100.0])
    times = np.arange(6.0, 30.0)
    assert len(right_ones(settled, times)) >= len(times) - 3
    assert "set aside" in settled.session.troubles()["gnss"]


def test_wrong_own_poses_do_not_shut_gnss_out(settled) -> None:
    history = settled.session._history
    for t in (4.0, 4.5, 5.0):
        wrong = settled.truth(t) @ Pose2(0.0, 17.0, 0.0)
        history.remember(history.odometry.at(settled.ns(t)), PoseEstimate(wrong, np.eye(3) * 0.01, 0.5, 0.0))
    found = right_ones(settled, np.arange(5.5, 16.0, 0.5))
    assert found
    assert found[-4:] == [14.0, 14.5, 15.0, 15.5]
    assert settled.session.troubles()["gnss"] == ""


def test_gnss_whose_fixes_are_each_near_enough_but_draw_the_prior_away_is_accused(rig) -> None:
    vehicle = rig(prior={"fix_correlation_s": 1.0, "align_window_s": 25.0})  # believes many biased fixes too much
    vehicle.know_heading()
    vehicle.bias = np.array([0.0, 0.0])
    assert right_ones(vehicle, np.arange(1.0, 6.0))
    vehicle.bias = np.array([6.0, 4.5])
    found = right_ones(vehicle, np.arange(6.0, 36.0))
    assert len(found) >= 27
    assert not vehicle.session._refusals
