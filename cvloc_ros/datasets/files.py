# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the readers of published data sets share: pictures, lists, tiles as patches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from cvloc_ros.datasets.sample import DatasetError, SampleError
from cvloc_ros.types import F64, U8, AerialPatch


def picture(path: Path) -> U8:
    """Read an image (H, W, 3), RGB.

    Raises:
        SampleError: it is missing or damaged.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as err:
        msg = f"{path}: {err.strerror or err}"
        raise SampleError(msg) from err
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        msg = f"{path} ({len(data)} bytes) is no picture; fetch it again"
        raise SampleError(msg)
    return np.ascontiguousarray(image[..., ::-1])


def lines(path: Path, fields: int) -> list[list[str]]:
    """Read a list: the fields of each line that is not empty, whatever the ends of lines are.

    Raises:
        DatasetError: it is missing, or a line has another number of fields.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        msg = f"{path}: {err}; see docs/training.md for where it belongs"
        raise DatasetError(msg) from err
    rows = [line.split() for line in text.splitlines() if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) != fields:
            msg = f"{path}, line {number}: {len(row)} fields, {fields} are published"
            raise DatasetError(msg)
    return rows


def numbers(row: list[str], path: Path) -> list[float]:
    """Turn fields into numbers.

    Raises:
        DatasetError: one is none.
    """
    try:
        return [float(text) for text in row]
    except ValueError as err:
        msg = f"{path}: {err}"
        raise DatasetError(msg) from err


def tile(rgb: U8, metres_per_px: float, attribution: str, key: tuple[object, ...]) -> AerialPatch:
    """Make a patch of a tile whose middle is the origin of the map, north up."""
    height, width = rgb.shape[:2]
    m = metres_per_px
    affine = np.array([[m, 0.0, -(width - 1) / 2 * m], [0.0, -m, (height - 1) / 2 * m]])
    return AerialPatch(rgb, np.ones((height, width), bool), m, affine, attribution, 1.0, key)


def level_camera(yaw_rad: float, place: tuple[float, float, float]) -> F64:
    """Mounting (4, 4) of a camera that looks level, its yaw counter-clockwise from ahead of base."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    out = np.eye(4)
    out[:3, :3] = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    out[:3, 3] = place
    return out


def some(paths: Iterator[Path] | list[Path], most: int = 3) -> str:
    """Name a few of several."""
    names = [str(path) for path in paths]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
