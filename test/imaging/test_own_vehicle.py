# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Own-vehicle masks from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.own_vehicle import load_mask

if TYPE_CHECKING:
    from pathlib import Path


def _write(path: Path, image: np.ndarray) -> Path:
    cv2.imwrite(str(path), image)
    return path


def test_white_is_the_vehicle(tmp_path: Path) -> None:
    image = np.zeros((30, 40), np.uint8)
    image[20:] = 255
    valid = load_mask(_write(tmp_path / "mask.png", image), (40, 30))
    np.testing.assert_array_equal(valid, image == 0)
    np.testing.assert_array_equal(load_mask(str(tmp_path / "mask.png")), valid)


def test_colour_file_is_taken(tmp_path: Path) -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[:5] = 255
    assert load_mask(_write(tmp_path / "mask.png", image)).sum() == 25 * 40


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((40, 30), np.uint8), "has 30x40 px, the camera 40x30"),
        (np.full((30, 40), 255, np.uint8), "leaves no pixel"),
        (np.full((30, 40), 128, np.uint8), "values besides 0 and 255, such as 128"),
    ],
)
def test_wrong_mask_is_refused(tmp_path: Path, image: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        load_mask(_write(tmp_path / "mask.png", image), (40, 30))


def test_missing_or_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        load_mask(tmp_path / "none.png")
    for content in (b"", b"no picture"):
        (tmp_path / "mask.png").write_bytes(content)
        with pytest.raises(ImageError, match="not a picture"):
            load_mask(tmp_path / "mask.png")


def test_real_mask_fits_its_camera(paris: Path) -> None:
    assert 0.7 < load_mask(paris / "vehicle_mask_front.png", (1024, 1024)).mean() < 0.9
