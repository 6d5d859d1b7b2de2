# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Oxford RobotCar with aerial imagery (Xia et al. 2022): crops of the front camera, one stitched map.

Map coordinates are UTM (zone 30). The map's pixels follow from the published five points by a least-squares affine.
Base is where the position was measured; the camera is taken to be there, 1.5 m high and level (not published).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from cvloc_ros.datasets import files
from cvloc_ros.datasets.sample import DatasetError, Sample
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.types import F64, U8, AerialPatch, GroundView, Pose2

M_PER_PX = 0.09240351
COUNTS = {"training": 17_067, "validation": 1_698, "test1_j": 1_673, "test2_j": 1_708, "test3_j": 1_708}
YAWS = {
    "training": ("training_yaw.npy", "train_yaw.npy"), "validation": ("validation_yaw.npy", "val_yaw.npy"),
    **{f"test{number}_j": (f"test{number}_j_yaw.npy", f"test{number}_yaw.npy") for number in (1, 2, 3)},
}  # fmt: skip
"""Names under which the headings of a list are looked for."""

_POINTS_M = np.array([[619400, 5736195], [619400, 5734600], [620795, 5736195], [620795, 5734600], [620100, 5735400]])
_POINTS_PX = np.array([[900, 900], [492, 18168], [15966, 1260], [15553, 18528], [8255, 9688]])
_CROP_PX, _LATTICE_PX, _REACH_PX = 800, 400, 500
_FIELDS = 4
_RAW = (964.829, 964.829, 643.788, 484.408)
"""Focal lengths and principal point of the raw centre image, 1280x960, from the data set's own tools."""
_LEFT_PX, _WIDE_PX, _HIGH_PX = 40, 1200, 800  # of the raw image


class OxfordSamples:
    """One of the lists. `start` of a test sample is the middle of its published crop, with the true heading."""

    streamed = False

    def __init__(self, root: Path | str, split: str) -> None:
        """Read the list and the map.

        Raises:
            DatasetError: the split is unknown, or list, headings or map are missing or do not fit.
        """
        if split not in COUNTS:
            msg = f"split = {split!r} of Oxford RobotCar: there are {', '.join(COUNTS)}"
            raise DatasetError(msg)
        self.name, self._root, self._test = f"Oxford RobotCar {split}", Path(root), split.startswith("test")
        rows = files.lines(self._root / f"{split}.txt", _FIELDS)
        self._paths = [row[0] for row in rows]
        self._positions = np.array([files.numbers(row[2:], self._root / f"{split}.txt") for row in rows])
        self._yaws = read_headings(self._root, split)
        if len(self._yaws) != len(rows):
            msg = f"{self._root}: {len(rows)} lines of {split}.txt and {len(self._yaws)} headings; both must be as many"
            raise DatasetError(msg)
        self._map: U8 | None = None
        self._map_file = map_file(self._root)

    def __len__(self) -> int:
        """Count them."""
        return len(self._paths)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample.

        Raises:
            SampleError: its picture is missing or damaged.
        """
        if self._map is None:
            self._map = files.picture(self._map_file)
        rgb = files.picture(self._root / self._paths[index])
        pose = Pose2.at(self._positions[index], float(self._yaws[index]))
        view = GroundView(
            "centre", rgb, camera(rgb.shape[1], rgb.shape[0]), files.level_camera(0.0, (0.0, 0.0, 1.5)), index
        )
        start = None
        if self._test:
            middle = np.rint(px_from_utm(pose.xy) / _LATTICE_PX) * _LATTICE_PX
            start = Pose2.at(utm_from_px(middle), pose.yaw_rad)
        return Sample(self._paths[index], self.name, (view,), self._patch(pose.xy), pose, start=start)

    @property
    def paths(self) -> list[str]:
        """The images as the list names them."""
        return list(self._paths)

    def close(self) -> None:
        """Forget the map."""
        self._map = None

    def _patch(self, position: F64) -> AerialPatch:
        """Cut the part of the map out that any published crop of this place lies in."""
        whole = self._map if self._map is not None else np.zeros((0, 0, 3), np.uint8)
        reach = _CROP_PX // 2 + _REACH_PX
        col, row = np.rint(px_from_utm(position)).astype(int)
        rgb = np.zeros((2 * reach, 2 * reach, 3), np.uint8)
        valid = np.zeros(rgb.shape[:2], np.bool_)
        top, left = max(row - reach, 0), max(col - reach, 0)
        part = whole[top : max(row + reach, 0), left : max(col + reach, 0)]
        into = slice(top - row + reach, top - row + reach + part.shape[0]), slice(
            left - col + reach, left - col + reach + part.shape[1]
        )
        rgb[into], valid[into] = part, True
        affine = _AFFINE_M.copy()
        affine[:, 2] += affine[:, :2] @ [col - reach, row - reach]
        return AerialPatch(
            rgb, valid, M_PER_PX, affine, "Google", float(valid.mean()), ("oxford", int(col), int(row))
        )


def camera(width: int, height: int) -> Pinhole:
    """Return the camera of a ground picture: rows 0 to 800 and columns 40 to 1240 of the raw one, resized."""
    fx, fy, cx, cy = _RAW
    u, v = width / _WIDE_PX, height / _HIGH_PX
    return Pinhole(width, height, fx * u, fy * v, (cx - _LEFT_PX + 0.5) * u - 0.5, (cy + 0.5) * v - 0.5)


def read_headings(root: Path, split: str) -> F64:
    """Read yaws (N,), counter-clockwise from east; in the file they count clockwise from west.

    Raises:
        DatasetError: there is no such file, or it holds something else.
    """
    for name in YAWS[split]:
        path = root / name
        if path.is_file():
            try:
                turned = np.load(path, allow_pickle=False)
            except (OSError, ValueError) as err:
                msg = f"{path}: {err}"
                raise DatasetError(msg) from err
            return np.asarray(np.remainder(math.pi - np.ravel(turned) + math.pi, math.tau) - math.pi, np.float64)
    msg = f"{root} has none of {', '.join(YAWS[split])}: the headings of {split}"
    raise DatasetError(msg)


def map_file(root: Path) -> Path:
    """Find the stitched map: the one picture beside the lists.

    Raises:
        DatasetError: there is none, or there are several.
    """
    found = sorted(path for path in root.glob("*.*") if path.suffix.lower() in (".png", ".jpg", ".tif"))
    if len(found) != 1:
        msg = f"{root}: {len(found)} pictures ({files.some(found)}); put the one stitched map beside the lists"
        raise DatasetError(msg)
    return found[0]


def px_from_utm(points: F64) -> F64:
    """Take easting and northing (..., 2) to column and row of the map."""
    moved: F64 = points @ _AFFINE_PX[:, :2].T + _AFFINE_PX[:, 2]
    return moved


def utm_from_px(px: F64) -> F64:
    """Take column and row (..., 2) of the map to easting and northing."""
    moved: F64 = px @ _AFFINE_M[:, :2].T + _AFFINE_M[:, 2]
    return moved


def _fit() -> F64:
    centre = _POINTS_M.mean(0)
    ones = np.column_stack([_POINTS_M - centre, np.ones(len(_POINTS_M))])
    solved = np.linalg.lstsq(ones, _POINTS_PX.astype(np.float64), rcond=None)[0].T
    return np.column_stack([solved[:, :2], solved[:, 2] - solved[:, :2] @ centre])


def _inverse(affine: F64) -> F64:
    turn = np.linalg.inv(affine[:, :2])
    return np.column_stack([turn, -turn @ affine[:, 2]])


_AFFINE_PX = _fit()
_AFFINE_M = _inverse(_AFFINE_PX)
