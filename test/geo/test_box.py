# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rectangles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.errors import GeoError
from cvloc_ros.geo.box import Box2

number = st.floats(-1e6, 1e6)


def _box(x: tuple[float, float], y: tuple[float, float]) -> Box2:
    return Box2(min(x), min(y), max(x), max(y))


boxes = st.builds(_box, st.tuples(number, number), st.tuples(number, number))


@given(boxes, st.floats(0.01, 1000.0))
def test_snapped_box_encloses_and_lies_on_the_grid(box: Box2, grid: float) -> None:
    snapped = box.snap(grid)
    assert snapped.dilate(1e-6).encloses(box)
    assert snapped.x_min / grid == pytest.approx(round(snapped.x_min / grid), abs=1e-6)
    assert snapped.width <= box.width + 2 * grid + 1e-6


@given(boxes, boxes)
def test_intersection_lies_in_both(a: Box2, b: Box2) -> None:
    common = a.intersect(b)
    assert common == b.intersect(a)
    if common is not None:
        assert a.encloses(common)
        assert b.encloses(common)
    else:
        assert not a.contains(b.corners()).any()


@given(boxes)
def test_corners_bound_the_box(box: Box2) -> None:
    assert Box2.bounding(box.corners()) == box
    assert box.contains(box.corners()).all()
    assert box.intersect(box) == box


def test_plain_facts() -> None:
    box = Box2.around((1.0, 2.0), 3.0)
    assert box == Box2(-2.0, -1.0, 4.0, 5.0)
    assert (box.width, box.height, box.centre.tolist()) == (6.0, 6.0, [1.0, 2.0])
    assert box.contains(np.array([[[0.0, 0.0], [4.1, 0.0]]])).tolist() == [[True, False]]
    assert not box.contains((math.nan, 0.0))
    assert box.intersect(Box2(4.0, 5.0, 6.0, 6.0)) == Box2(4.0, 5.0, 4.0, 5.0)
    assert box.intersect(Box2(4.1, 5.0, 6.0, 6.0)) is None


@pytest.mark.parametrize("sides", [(1, 0, 0, 1), (0, 1, 1, 0), (0, 0, math.nan, 1), (-math.inf, 0, 1, 1)])
def test_inverted_or_infinite_box_is_refused(sides: tuple[float, float, float, float]) -> None:
    with pytest.raises(GeoError, match="inverted or not finite"):
        Box2(*sides)


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(GeoError):
        Box2(0, 0, 1, 1).dilate(-1.0)
    with pytest.raises(GeoError, match="positive"):
        Box2(0, 0, 1, 1).snap(0.0)
    with pytest.raises(GeoError, match="at least one"):
        Box2.bounding(np.zeros((0, 2)))
