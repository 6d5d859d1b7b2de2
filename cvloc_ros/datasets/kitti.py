# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""KITTI with aerial tiles (Shi and Li, HighlyAccurate): raw images, calibration, oxts, and a tile for each frame.

The map of a sample has its origin in the middle of its tile, which is where GNSS was. Base is the ground below it, x
ahead; camera 2 stands 1.08 m ahead and 0.26 m to the right, level, 1.65 m high, as the published programs have it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cvloc_ros.datasets import files
from cvloc_ros.datasets.sample import DatasetError, Sample, SampleError
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.types import F32, GroundView, Pose2

M_PER_PX = 156543.03392 * math.cos(math.radians(49.015)) / 2**18 / 2
COUNTS = {"train": 19_655, "test1": 3_773, "test2": 7_542}
SHIFT_M, TURN_RAD = 20.0, math.radians(10.0)
_CAMERA = (1.08, -0.26, 1.65)
_DATE, _DRIVE = 10, 37  # characters of a line
_TRAIN_FIELDS, _TEST_FIELDS = 1, 4
_YAW = 5


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    noise: tuple[float, float, float] | None


class KittiSamples:
    """One of the lists train, test1 (same area) and test2 (cross area).

    `start` of a test sample is the middle of the published crop with the heading that is right in it.
    """

    streamed = False

    def __init__(self, root: Path | str, split: str) -> None:
        """Read the list.

        Raises:
            DatasetError: the split is unknown, or its list is missing or of another form.
        """
        if split not in COUNTS:
            msg = f"split = {split!r} of KITTI: there are {', '.join(COUNTS)}"
            raise DatasetError(msg)
        self.name = f"KITTI {split}"
        self._root, self._lines = Path(root), _read_list(list_file(Path(root), split), split)
        self._cameras: dict[tuple[str, int, int], Pinhole] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._lines)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample.

        Raises:
            SampleError: a file is missing or damaged.
        """
        line = self._lines[index]
        date, drive, frame = line.path[:_DATE], line.path[: _DRIVE + 1], Path(line.path).stem
        raw = self._root / "raw_data" / drive
        yaw = _yaw(raw / "oxts" / "data" / f"{frame}.txt")
        rgb = files.picture(raw / "image_02" / "data" / f"{frame}.png")
        patch = files.tile(
            files.picture(self._root / "satmap" / drive / f"{frame}.png"), M_PER_PX, "Google", ("kitti", line.path)
        )
        pose = Pose2(0.0, 0.0, yaw)
        view = GroundView(
            "image_02", rgb, self._camera(date, rgb.shape[1], rgb.shape[0]), files.level_camera(0.0, _CAMERA), index,
            depth=_depth(self._root / "depth_anythingv2_depth" / drive / "depth" / f"{frame}.png"),
        )  # fmt: skip
        start = None if line.noise is None else start_of(pose, *line.noise)
        return Sample(line.path, self.name, (view,), patch, pose, start=start)

    @property
    def paths(self) -> list[str]:
        """The images as the list names them."""
        return [line.path for line in self._lines]

    def close(self) -> None:
        """Nothing is held."""

    def _camera(self, date: str, width: int, height: int) -> Pinhole:
        key = (date, width, height)
        if key not in self._cameras:
            K = _rectified(self._root / "raw_data" / date / "calib_cam_to_cam.txt")
            self._cameras[key] = Pinhole(width, height, K[0], K[1], K[2], K[3])
        return self._cameras[key]


def start_of(pose: Pose2, shift_x: float, shift_y: float, theta: float) -> Pose2:
    """Return the start of a test line: base in map if camera and heading were where the crop has its middle and right.

    The published programs move the crop by minus the shifts (ahead, left; 20 m) and turn it by theta (10 degrees).
    """
    camera = pose @ Pose2(_CAMERA[0] - SHIFT_M * shift_x, _CAMERA[1] - SHIFT_M * shift_y, -TURN_RAD * theta)
    return camera @ Pose2(_CAMERA[0], _CAMERA[1], 0.0).inverse()


def list_file(root: Path, split: str) -> Path:
    """Return where the list of a split lies: in ROOT/splits, or beside the data."""
    beside = root / f"{split}_files.txt"
    return beside if beside.is_file() else root / "splits" / f"{split}_files.txt"


def parts_of(root: Path, path: str) -> tuple[Path, ...]:
    """Return the files of a line of a list: image, oxts, tile, calibration."""
    drive, frame = path[: _DRIVE + 1], Path(path).stem
    raw = root / "raw_data" / drive
    return (
        raw / "image_02" / "data" / f"{frame}.png", raw / "oxts" / "data" / f"{frame}.txt",
        root / "satmap" / drive / f"{frame}.png", root / "raw_data" / path[:_DATE] / "calib_cam_to_cam.txt",
    )  # fmt: skip


def _read_list(path: Path, split: str) -> list[_Line]:
    test = split != "train"
    rows = files.lines(path, _TEST_FIELDS if test else _TRAIN_FIELDS)
    found = []
    for row in rows:
        if len(row[0]) <= _DRIVE + 1 or row[0][_DATE] != "/" or row[0][_DRIVE] != "/":
            msg = f"{path}: {row[0]} is no date/drive/frame.png, such as 2011_09_26/2011_09_26_drive_0002_sync/..."
            raise DatasetError(msg)
        noise = files.numbers(row[1:], path)
        found.append(_Line(row[0], (noise[0], noise[1], noise[2]) if test else None))
    return found


def _yaw(path: Path) -> float:
    try:
        return float(path.read_text(encoding="utf-8").split()[_YAW])
    except (OSError, UnicodeDecodeError, IndexError, ValueError) as err:
        msg = f"{path}: no yaw in field {_YAW}: {err}"
        raise SampleError(msg) from err


def _rectified(path: Path) -> tuple[float, float, float, float]:
    """Focal lengths and principal point of the rectified colour camera 2."""
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("P_rect_02:"):
                P = [float(text) for text in line.split()[1:]]
                return P[0], P[5], P[2], P[6]
    except (OSError, UnicodeDecodeError, IndexError, ValueError) as err:
        msg = f"{path}: {err}"
        raise SampleError(msg) from err
    msg = f"{path} has no line P_rect_02"
    raise SampleError(msg)


def _depth(path: Path) -> F32 | None:
    """Depth (H, W) along the axis, metres, where it was computed before; 0 where unknown."""
    if not path.is_file():
        return None
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.ndim != 2:
        msg = f"{path} is no depth image"
        raise SampleError(msg)
    metres: F32 = np.asarray(raw / np.float64(256.0), dtype=np.float32)
    return metres
