# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images as stereo cameras and lidars publish them (REP 118)."""

from __future__ import annotations

import numpy as np
import pytest

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.decode import decode_depth


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
def test_millimetres(encoding, order):
    pixels = np.array([[0, 1500, 3], [65535, 1, 2]], np.dtype("u2").newbyteorder(order))
    padded = np.zeros((2, 10), np.uint8)
    padded[:, :6] = pixels.view(np.uint8)
    depth = decode_depth(encoding, 3, 2, 10, order == ">", padded.ravel())
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[np.nan, 1.5, 0.003], [65.535, 0.001, 0.002]], rtol=1e-6)


def test_metres():
    pixels = np.array([[0.0, 1.5], [np.inf, -1.0], [np.nan, 7.25]], np.float32)
    depth = decode_depth("32FC1", 2, 3, 8, 0, pixels.tobytes())
    np.testing.assert_allclose(depth, [[np.nan, 1.5], [np.nan, np.nan], [np.nan, 7.25]])


@pytest.mark.parametrize(
    ("encoding", "width", "step", "text"),
    [("rgb8", 2, 6, r"no depth; 16UC1, mono16, 32FC1"), ("32FC1", 2, 4, "step"), ("16UC1", 3, 6, "cut off"),
     ("16UC1", 0, 0, "0x2 px")],
)  # fmt: skip
def test_what_is_no_depth_image(encoding, width, step, text):
    with pytest.raises(ImageError, match=text):
        decode_depth(encoding, width, 2, step, 0, bytes(8))
