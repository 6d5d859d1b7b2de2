# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms, checked against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from cvloc_ros.geo import se3
from cvloc_ros.types import F64, Pose2

angle = st.floats(-3.1, 3.1)
triples = st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(-9, 9))
rigid = st.builds(se3.from_rpy, angle, st.floats(-1.5, 1.5), angle, triples)


@given(angle, st.floats(-1.57, 1.57), angle)
def test_rpy_equals_scipy_and_comes_back(roll: float, pitch: float, yaw: float) -> None:
    transform = se3.from_rpy(roll, pitch, yaw, (1, 2, 3))
    assert transform[:3, :3] == pytest.approx(Rotation.from_euler("xyz", [roll, pitch, yaw]).as_matrix(), abs=1e-12)
    assert se3.from_rpy(*se3.rpy(transform))[:3, :3] == pytest.approx(transform[:3, :3], abs=1e-8)
    assert transform[:3, 3].tolist() == [1, 2, 3]


@pytest.mark.parametrize("pitch", [math.pi / 2, -math.pi / 2])
def test_rpy_at_the_singularity_still_describes_the_rotation(pitch: float) -> None:
    transform = se3.from_rpy(0.4, pitch, 1.1)
    roll, found, yaw = se3.rpy(transform)
    assert roll == 0.0
    assert se3.from_rpy(roll, found, yaw) == pytest.approx(transform, abs=1e-9)


@given(rigid)
def test_quaternion_round_trip(transform: F64) -> None:
    q = se3.quaternion(transform)
    assert q[3] >= 0
    assert abs(float(q @ Rotation.from_matrix(transform[:3, :3]).as_quat())) == pytest.approx(1.0)
    assert se3.from_quaternion(q, transform[:3, 3]) == pytest.approx(transform, abs=1e-9)


@pytest.mark.parametrize("axis", range(3))
def test_quaternion_of_half_turns(axis: int) -> None:
    rpy = [0.0, 0.0, 0.0]
    rpy[axis] = math.pi
    transform = se3.from_rpy(*rpy)
    assert se3.from_quaternion(se3.quaternion(transform)) == pytest.approx(transform, abs=1e-12)


@pytest.mark.parametrize("q", [(0, 0, 0, 0), (0, 0, 0, 0.9), (0, 0, 0, math.nan), (0, 0, 0, math.inf), (1, 1, 0, 0)])
def test_no_orientation_gives_nan_not_identity(q: tuple[float, ...]) -> None:
    assert np.isnan(se3.from_quaternion(q)).all()
    assert math.isnan(se3.yaw_from_quaternion(q))


def test_slightly_unnormalised_quaternion_gives_a_rotation() -> None:
    transform = se3.from_quaternion((0, 0, 0.7075, 0.7075))
    assert se3.is_rigid(transform)
    assert se3.to_pose2(transform).yaw_rad == pytest.approx(math.pi / 2)


@given(rigid, triples)
def test_inverse_and_apply(transform: F64, point: tuple[float, float, float]) -> None:
    assert se3.inverse(transform) @ transform == pytest.approx(np.eye(4), abs=1e-9)
    points = np.array([[point, point]])
    assert se3.apply(se3.inverse(transform), se3.apply(transform, points)) == pytest.approx(points, abs=1e-9)


@given(st.floats(-50, 50), st.floats(-50, 50), angle, st.floats(-50, 50), st.floats(-50, 50), angle)
def test_planar_poses_compose_alike(x: float, y: float, yaw: float, u: float, v: float, turn: float) -> None:
    a, b = Pose2(x, y, yaw), Pose2(u, v, turn)
    expected = a @ b
    found = se3.to_pose2(se3.from_pose2(a) @ se3.from_pose2(b, 1.5))
    assert (found.x_m, found.y_m) == pytest.approx((expected.x_m, expected.y_m))
    assert math.cos(found.yaw_rad - expected.yaw_rad) == pytest.approx(1.0)
    assert se3.yaw_from_quaternion(se3.quaternion_from_yaw(yaw)) == pytest.approx(yaw, abs=1e-9)


@given(rigid, rigid, st.floats(0.0, 1.0))
def test_interpolation_equals_scipy_slerp(a: F64, b: F64, fraction: float) -> None:
    rotations = Rotation.from_matrix(np.stack([a[:3, :3], b[:3, :3]]))
    assume((rotations[0].inv() * rotations[1]).magnitude() < 3.1)
    found = se3.interpolate(a, b, fraction)
    assert found[:3, :3] == pytest.approx(Slerp([0, 1], rotations)(fraction).as_matrix(), abs=1e-6)
    assert found[:3, 3] == pytest.approx((1 - fraction) * a[:3, 3] + fraction * b[:3, 3])
    assert se3.is_rigid(found)


def test_is_rigid_refuses_what_is_not() -> None:
    assert se3.is_rigid(se3.from_translation((1, 2, 3)))
    for broken in (
        np.zeros((4, 4)),
        np.diag([2.0, 2, 2, 1]),
        np.diag([-1.0, 1, 1, 1]),
        np.diag([1.0, 1, 1, 2]),
        np.eye(3),
    ):
        assert not se3.is_rigid(broken)
