# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Angles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.geo.angles import bearing_from_yaw, wrap, yaw_from_bearing


@given(st.floats(-1e4, 1e4))
def test_wrap_keeps_the_direction_and_lands_within_pi(angle: float) -> None:
    wrapped = wrap(angle)
    assert -math.pi <= wrapped <= math.pi
    assert (math.cos(wrapped), math.sin(wrapped)) == pytest.approx((math.cos(angle), math.sin(angle)), abs=1e-9)
    assert wrap(np.array([angle]))[0] == pytest.approx(wrapped, abs=1e-9) or abs(abs(wrapped) - math.pi) < 1e-9


@pytest.mark.parametrize(
    ("bearing", "yaw"), [(0, 90), (90, 0), (180, -90), (270, 180), (360, 90), (45, 45), (-90, 180)]
)
def test_bearings_are_clockwise_from_north(bearing: float, yaw: float) -> None:
    assert math.cos(yaw_from_bearing(bearing) - math.radians(yaw)) == pytest.approx(1.0)
    assert bearing_from_yaw(math.radians(yaw)) == pytest.approx(bearing % 360.0)


@given(st.floats(-1e3, 1e3))
def test_bearing_round_trip_stays_in_range(yaw: float) -> None:
    bearing = bearing_from_yaw(yaw)
    assert 0.0 <= bearing < 360.0
    assert wrap(yaw_from_bearing(bearing) - yaw) == pytest.approx(0.0, abs=1e-9)


def test_a_hair_past_north_is_not_360() -> None:
    assert bearing_from_yaw(math.radians(90.0) + 1e-16) < 360.0
    assert bearing_from_yaw(math.nextafter(math.pi / 2, 4)) < 360.0
