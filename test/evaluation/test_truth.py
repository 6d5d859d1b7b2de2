# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Truth from topics and TUM files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.truth import Trajectory, from_tum, write_tum
from cvloc_ros.types import Pose2

SECOND = 10**9


def test_interpolates_position_and_the_shorter_way_round() -> None:
    track = Trajectory.of([(0, Pose2(0, 0, math.radians(170))), (SECOND, Pose2(2, 4, math.radians(-170)))])
    middle = track.at(SECOND // 2)
    assert middle is not None
    assert (middle.x_m, middle.y_m) == pytest.approx((1.0, 2.0))
    assert abs(math.degrees(middle.yaw_rad)) == pytest.approx(180.0)


def test_exact_stamps_need_no_neighbour_and_gaps_give_nothing() -> None:
    track = Trajectory.of([(5 * SECOND, Pose2(5, 0, 0)), (0, Pose2(0, 0, 0)), (SECOND, Pose2(math.nan, 0, 0))])
    assert len(track) == 2
    assert track.at(5 * SECOND) == Pose2(5, 0, 0)
    assert track.at(2 * SECOND) is None
    assert track.at(2 * SECOND, max_gap_s=6.0) == Pose2(2.0, 0.0, 0.0)
    assert track.at(-1) is track.at(6 * SECOND) is None


def test_tum_keeps_nanoseconds(tmp_path: Path) -> None:
    stamp = 1_402_922_358_641_000_123
    write_tum(tmp_path / "a.tum", [(stamp, Pose2(1.25, -2.5, -1.0))])
    back = from_tum(tmp_path / "a.tum")
    pose = back.at(stamp)
    assert pose is not None
    assert (pose.x_m, pose.y_m, pose.yaw_rad) == pytest.approx((1.25, -2.5, -1.0))


def test_tum_with_comments_is_read_and_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "truth.tum"
    file.write_text("# t x y z qx qy qz qw\n1.5 1 2 3 0 0 0 1\n\n2 1 2 3 0 0 1 0\n")
    track = from_tum(file)
    np.testing.assert_array_equal(track.stamps_ns, [1_500_000_000, 2_000_000_000])
    file.write_text("1.5 1 2 3\n")
    with pytest.raises(BagError, match=r"truth\.tum:1"):
        from_tum(file)
    file.write_text("# nothing\n")
    with pytest.raises(BagError, match="no usable pose"):
        from_tum(file)
    with pytest.raises(BagError, match="none"):
        from_tum(tmp_path / "absent.tum")
