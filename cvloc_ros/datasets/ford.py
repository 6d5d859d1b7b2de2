# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ford AV with aerial tiles (Shi and Li, HighlyAccurate): front-left camera, tiles of zoom 18.

The map of a sample has its origin in the middle of its tile. Published are the fields of a line, the tiles and their
size of pixel; the order x, y, z, w of the quaternion, the place and lens of the camera (those of the data set's own
calibration) and the folder of the images, `<list's name without its ending>/`, are taken so. Upstream, truth and
imagery differ by metres (AVData issue 37).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from cvloc_ros.datasets import files
from cvloc_ros.datasets.sample import DatasetError, Sample
from cvloc_ros.geo import se3
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.types import GroundView, Pose2

M_PER_PX = 0.22
SHIFT_M, TURN_RAD = 20.0, math.radians(10.0)
_FIELDS, _TEST_FIELDS = 9, 12
_SIZE = (1656, 860)
_LENS = (945.391406, 945.668274, 855.502825, 566.372868)
_CAMERA = (1.7, 0.5, 1.6)
_A_M, _E2 = 6_378_137.0, 6.69437999014e-3


@dataclass(frozen=True, slots=True)
class _Line:
    name: str
    pose: Pose2
    tile: str
    noise: tuple[float, float, float] | None


class FordSamples:
    """One list of one log: `split` is its name without .txt. Lines with 12 fields are those of a test."""

    streamed = False

    def __init__(self, root: Path | str, split: str) -> None:
        """Read the list.

        Raises:
            DatasetError: it is missing or of another form.
        """
        self.name, self._root, self._split = f"Ford AV {split}", Path(root), split
        path = self._root / f"{split}.txt"
        first = path.read_text(encoding="utf-8").splitlines()[:1] if path.is_file() else [""]
        fields = _TEST_FIELDS if len(first[0].split()) == _TEST_FIELDS else _FIELDS
        self._lines = [_line(row, path) for row in files.lines(path, fields)]
        folder, tiles = self._root / split, self._root / "SatelliteMaps_18"
        self.paths = [
            (folder / f"{line.name.removesuffix('.png')}.png", tiles / f"{line.tile}.png") for line in self._lines
        ]

    def __len__(self) -> int:
        """Count them."""
        return len(self._lines)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample.

        Raises:
            SampleError: a picture is missing or damaged.
        """
        line, (image, tile) = self._lines[index], self.paths[index]
        rgb = files.picture(image)
        patch = files.tile(files.picture(tile), M_PER_PX, "Google", ("ford", line.tile))
        u, v = rgb.shape[1] / _SIZE[0], rgb.shape[0] / _SIZE[1]
        camera = Pinhole(rgb.shape[1], rgb.shape[0], _LENS[0] * u, _LENS[1] * v, _LENS[2] * u, _LENS[3] * v)
        view = GroundView("front_left", rgb, camera, files.level_camera(0.0, _CAMERA), index)
        start = None
        if line.noise is not None:
            ahead, left, turn = line.noise
            start = line.pose @ Pose2(-SHIFT_M * ahead, -SHIFT_M * left, -TURN_RAD * turn)
        return Sample(f"{self._split}/{line.name}", self.name, (view,), patch, line.pose, start=start)

    def close(self) -> None:
        """Nothing is held."""


def lists_of(root: Path) -> list[str]:
    """Return the names of the lists of a folder."""
    return sorted(path.stem for path in root.glob("*.txt"))


def east_north(latitude: float, longitude: float, origin: tuple[float, float]) -> tuple[float, float]:
    """Metres east and north of an origin (latitude, longitude), degrees; exact to centimetres within a tile."""
    middle = math.radians((latitude + origin[0]) / 2)
    w = 1.0 - _E2 * math.sin(middle) ** 2
    north = _A_M * (1.0 - _E2) / w**1.5 * math.radians(latitude - origin[0])
    east = _A_M / math.sqrt(w) * math.cos(middle) * math.radians(longitude - origin[1])
    return east, north


def _line(row: list[str], path: Path) -> _Line:
    values = files.numbers(row[1:], path)
    turn = se3.from_quaternion(values[:4])
    if not math.isfinite(turn[0, 0]):
        msg = f"{path}: {row[0]}: the quaternion {values[:4]} has not the length 1"
        raise DatasetError(msg)
    heading = math.atan2(turn[1, 0], turn[0, 0])  # axes north, east, down: clockwise from north
    east, north = east_north(values[4], values[5], (values[6], values[7]))
    noise = (values[8], values[9], values[10]) if len(values) > _FIELDS else None
    pose = Pose2(east, north, math.remainder(math.pi / 2 - heading, math.tau))
    return _Line(row[0], pose, f"{row[7]}_{row[8]}", noise)
