# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from cvloc_ros.config import merge
from cvloc_ros.types import HeadingSample, Pose2, Status


def test_without_a_heading_poses_are_believed_once_three_agree(rig) -> None:
    vehicle = rig()
    statuses = []
    for t in np.arange(0.5, 7.0, 0.5):
        result = vehicle.step(float(t))
        statuses.append(result.status)
        if result.status is Status.OK:
            assert vehicle.error(result, float(t))[0] < 0.3
        elif result.status is Status.INCONSISTENT:
            assert "of 3 consecutive candidates agree" in result.reasons[0]
            assert result.candidate is not None
    first = statuses.index(Status.OK)
    assert statuses[first - 2 : first] == [Status.INCONSISTENT] * 2
    assert statuses[first:] == [Status.OK] * (len(statuses) - first)


def test_the_search_goes_all_round_while_the_yaw_is_unknown(rig) -> None:
    vehicle = rig()
    results = vehicle.run(0.5, 1.0)
    assert results[-1].window.yaw_half_rad == pytest.approx(math.pi)
    assert not results[-1].prior.yaw_known


def test_a_measured_heading_makes_agreement_unnecessary(rig) -> None:
    vehicle = rig()
    vehicle.feed(0.1)
    assert vehicle.session.add_heading(HeadingSample(vehicle.ns(0.1), vehicle.truth(0.1).yaw_rad, 0.08)) == ""
    assert vehicle.run(1.0, 2.0)[-1].status is Status.OK


def test_a_candidate_refused_in_between_begins_the_agreement_anew(rig) -> None:
    vehicle = rig()
    strict = merge(vehicle.config, {"estimation": {"min_score": 0.999}})
    vehicle.run(0.5)
    assert [r.status for r in vehicle.run(1.0, 1.5)] == [Status.INCONSISTENT] * 2
    vehicle.session.apply(strict)
    assert vehicle.step(2.0).candidate is not None
    vehicle.session.apply(vehicle.config)
    assert [r.status for r in vehicle.run(2.5, 3.1, 3.7)] == [Status.INCONSISTENT, Status.INCONSISTENT, Status.OK]


def test_repeated_refusals_forget_own_poses_and_ask_for_agreement_again(rig) -> None:
    vehicle = rig()
    results = vehicle.run(*np.arange(0.5, 4.0, 0.5))
    assert results[-1].status is Status.OK
    assert "own" in results[-1].prior.source
    vehicle.session.apply(merge(vehicle.config, {"estimation": {"min_score": 0.999}}))
    refused = vehicle.run(*np.arange(4.0, 6.5, 0.5))
    assert [r.status for r in refused] == [Status.LOW_SCORE] * 5
    assert "own" in refused[-1].prior.source
    vehicle.session.apply(vehicle.config)
    after = vehicle.run(6.5, 7.1, 7.7)
    assert "own" not in after[0].prior.source
    assert [r.status for r in after] == [Status.INCONSISTENT, Status.INCONSISTENT, Status.OK]


def test_fewer_refusals_keep_own_poses(rig) -> None:
    vehicle = rig()
    vehicle.know_heading()
    vehicle.run(1.0, 2.0)
    vehicle.session.apply(merge(vehicle.config, {"estimation": {"min_score": 0.999}}))
    vehicle.run(2.5, 3.0, 3.5, 4.0)
    vehicle.session.apply(vehicle.config)
    assert "own" in vehicle.step(4.5).prior.source


def test_a_new_initial_pose_without_yaw_asks_for_agreement_again(rig) -> None:
    vehicle = rig()
    vehicle.know_heading()
    assert vehicle.run(1.0, 2.0)[-1].status is Status.OK
    assert vehicle.session.set_initial_pose(vehicle.ns(2.0), vehicle.truth(2.0), np.diag([4.0, 4.0, 100.0])) == ""
    assert vehicle.step(3.0).status is Status.INCONSISTENT


def test_a_wrong_initial_heading_publishes_nothing_wrong(rig) -> None:
    vehicle = rig()
    start = vehicle.truth(0.0)
    wrong = Pose2(start.x_m, start.y_m, start.yaw_rad + 2.5)
    vehicle.session.set_initial_pose(vehicle.ns(0.0), wrong, np.diag([25.0, 25.0, math.radians(5.0) ** 2]))
    for t in np.arange(0.5, 6.0, 0.5):
        result = vehicle.step(float(t))
        if result.status is Status.OK:
            assert vehicle.error(result, float(t))[0] < 0.3


def test_without_odometry_and_heading_a_single_search_all_round_is_not_believed(rig) -> None:
    vehicle = rig()
    vehicle.odometry = False
    vehicle.truth = lambda _t: Pose2(5.0, 5.0, 1.0)
    result = vehicle.step(2.0)
    assert not result.prior.yaw_known
    assert result.status is Status.INCONSISTENT
    assert "heading" in result.reasons[0]
    assert result.candidate is not None


# --- datum from the first fix


def test_datum_from_the_first_good_fix(rig) -> None:
    vehicle = rig(geo={"datum": [], "datum_source": "first_fix"})
    session = vehicle.session
    assert session.projection is None
    waiting = session.localize([vehicle.image(-5.0)])
    assert waiting.status is Status.NO_PRIOR
    assert "first_fix" in waiting.reasons[0]
    assert session.add_heading(HeadingSample(vehicle.ns(-5.0), 0.0, 0.1)) == "no_datum"
    for changes, reason in (
        ({"latitude_deg": 95.0}, "out_of_range"),
        ({"latitude_deg": math.nan}, "not_finite"),
        ({"quality": -1}, "no_fix"),
    ):
        assert session.add_fix(vehicle.fix(-4.0, **changes)) == reason
        assert session.projection is None
    vehicle.feed(1.1)
    assert session.projection.latitude_deg == pytest.approx(vehicle.fix(0.0).latitude_deg)
    session.add_heading(HeadingSample(vehicle.ns(0.1), vehicle.truth(0.1).yaw_rad, 0.05))
    result = vehicle.run(1.0, 2.0)[-1]
    assert result.status is Status.OK, result.reasons
    origin = vehicle.truth(0.0).xy + vehicle.bias
    assert result.estimate.pose.xy + origin == pytest.approx(vehicle.truth(2.0).xy, abs=0.3)


def test_initial_pose_before_the_first_fix_waits_for_the_datum(rig) -> None:
    vehicle = rig(geo={"datum": [], "datum_source": "first_fix"})
    vehicle.fixes = False
    vehicle.know_heading()
    for result in vehicle.run(1.0, 2.0, 3.0):
        assert result.status is Status.NO_PRIOR
        assert "first_fix" in result.reasons[0]


def test_a_map_that_cannot_be_opened_at_the_first_fix_is_told_not_raised(rig, tmp_path) -> None:
    vehicle = rig(geo={"datum": [], "datum_source": "first_fix"}, tiles={"source": str(tmp_path / "missing.mbtiles")})
    assert vehicle.session.add_fix(vehicle.fix(0.0)) == "no_map"
    vehicle.fixes = False
    result = vehicle.step(1.0)
    assert result.status is Status.NO_TILES
    assert "missing.mbtiles" in result.reasons[0]
