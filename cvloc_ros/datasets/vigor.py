# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""VIGOR (Zhu et al. 2021): street panoramas and zoom-20 tiles of four cities, labels as published or corrected.

The map of a sample has its origin in the middle of its tile, which is where a search starts. Base is the ground below
the camera, heading where the middle of the panorama looks: north, unless the panorama was turned. The camera's height
is not published; 2.5 m is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from cvloc_ros.datasets import files
from cvloc_ros.datasets.sample import DatasetError, Sample, SampleError
from cvloc_ros.imaging.models import Equirectangular
from cvloc_ros.types import F32, GroundView, Pose2

SIDE_PX = 640
CITIES = {"Chicago": 0.111262, "NewYork": 0.113248, "Seattle": 0.100817, "SanFrancisco": 0.118141}
"""Metres per pixel of the tiles (SliceMatch)."""

TILES = {"Chicago": 22_308, "NewYork": 23_279, "Seattle": 20_776, "SanFrancisco": 24_255}
COUNTS = {
    ("Chicago", "same_area_balanced_train"): 12_740, ("Chicago", "same_area_balanced_test"): 12_739,
    ("NewYork", "same_area_balanced_train"): 13_885, ("NewYork", "same_area_balanced_test"): 13_884,
    ("Seattle", "same_area_balanced_train"): 11_876, ("Seattle", "same_area_balanced_test"): 11_875,
    ("SanFrancisco", "same_area_balanced_train"): 14_108, ("SanFrancisco", "same_area_balanced_test"): 14_107,
    ("Chicago", "pano_label_balanced"): 25_479, ("NewYork", "pano_label_balanced"): 27_769,
    ("Seattle", "pano_label_balanced"): 23_751, ("SanFrancisco", "pano_label_balanced"): 28_215,
}  # fmt: skip
SPLITS = {
    "same_area_train": (tuple(CITIES), "same_area_balanced_train"),
    "same_area_test": (tuple(CITIES), "same_area_balanced_test"),
    "cross_area_train": (("NewYork", "Seattle"), "pano_label_balanced"),
    "cross_area_test": (("SanFrancisco", "Chicago"), "pano_label_balanced"),
}
Labels = Literal["corrected", "original"]
_FIELDS = 13
_CAMERA_M = 2.5
_DEPTH_UNIT_M = 1e-3  # of the depth files


@dataclass(frozen=True, slots=True)
class Row:
    """One panorama with one of its tiles: the camera is `down` and `left` pixels from the middle of the tile."""

    city: str
    panorama: str
    tile: str
    down_px: float
    left_px: float

    @property
    def inside(self) -> bool:
        """Whether the camera is on the tile."""
        return max(abs(self.down_px), abs(self.left_px)) <= SIDE_PX / 2

    @property
    def position(self) -> tuple[float, float]:
        """East and north of the middle of the tile, metres."""
        return -self.left_px * CITIES[self.city], -self.down_px * CITIES[self.city]


class VigorSamples:
    """Positives of a split, or positives and those semi-positives whose camera is on the tile."""

    streamed = False

    def __init__(
        self, root: Path | str, split: str, *, labels: Labels = "corrected", semi_positives: bool = False,
        any_heading: bool = False,
    ) -> None:  # fmt: skip
        """Read the labels.

        Args:
            root: folder with the cities and with splits__corrected or splits.
            split: one of `SPLITS`.
            labels: corrected (SliceMatch) or original.
            semi_positives: take the other three tiles of each panorama, too.
            any_heading: turn each panorama by an angle of its own, always the same.

        Raises:
            DatasetError: the split is unknown, or labels are missing or of another form.
        """
        if split not in SPLITS:
            msg = f"split = {split!r} of VIGOR: there are {', '.join(SPLITS)}"
            raise DatasetError(msg)
        self.name = f"VIGOR {split}, {labels} labels"
        self._root, self._any_heading = Path(root), any_heading
        cities, name = SPLITS[split]
        rows = [row for city in cities for row in read_labels(self._root, city, name, labels, semi=semi_positives)]
        self._rows = [row for row in rows if row.inside]

    def __len__(self) -> int:
        """Count them."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample.

        Raises:
            SampleError: a picture is missing or damaged.
        """
        row = self._rows[index]
        folder = self._root / row.city
        rgb = files.picture(folder / "panorama" / row.panorama)
        depth = _depth(folder / "unik3d_depth" / f"{Path(row.panorama).stem}.png", rgb.shape[1])
        yaw = math.pi / 2
        if self._any_heading:
            columns = int(np.random.default_rng([0, index]).integers(rgb.shape[1]))
            rgb = np.roll(rgb, -columns, axis=1)  # the middle then looks further to the right
            depth = None if depth is None else np.roll(depth, -columns * depth.shape[1] // rgb.shape[1], axis=1)
            yaw = math.remainder(yaw - math.tau * columns / rgb.shape[1], math.tau)
        tile = files.picture(folder / "satellite" / row.tile)
        if tile.shape[:2] != (SIDE_PX, SIDE_PX):
            msg = f"{row.city}/satellite/{row.tile}: {tile.shape[1]}x{tile.shape[0]}, {SIDE_PX} a side are published"
            raise SampleError(msg)
        patch = files.tile(tile, CITIES[row.city], "Google", ("vigor", row.city, row.tile))
        view = GroundView(
            "panorama", rgb, Equirectangular(rgb.shape[1], rgb.shape[0]),
            files.level_camera(0.0, (0.0, 0.0, _CAMERA_M)), index, depth=depth,
        )  # fmt: skip
        pose, start = Pose2(*row.position, yaw), Pose2(0.0, 0.0, yaw)
        return Sample(f"{row.city}/{row.panorama}", self.name, (view,), patch, pose, start=start)

    def close(self) -> None:
        """Nothing is held."""


def read_labels(root: Path, city: str, name: str, labels: Labels, *, semi: bool) -> list[Row]:
    """Read one list of labels.

    Raises:
        DatasetError: it is missing or of another form.
    """
    path = label_file(root, city, name, labels)
    rows = []
    for fields in files.lines(path, _FIELDS):
        for place in range(1, _FIELDS if semi else 4, 3):
            down, left = files.numbers(fields[place + 1 : place + 3], path)
            rows.append(Row(city, fields[0], fields[place], down, left))
    return rows


def label_file(root: Path, city: str, name: str, labels: Labels) -> Path:
    """Return where a list lies: the corrected ones are called NAME__corrected.txt, or were renamed."""
    if labels == "original":
        return root / "splits" / city / f"{name}.txt"
    folder = root / "splits__corrected" / city
    long = folder / f"{name}__corrected.txt"
    return long if long.is_file() else folder / f"{name}.txt"


def mercator_px(row: Row) -> tuple[float, float]:
    """Return down and left (px of zoom 20) of the camera from the middle of the tile, by the names of the files.

    Raises:
        DatasetError: a name does not hold latitude and longitude.
    """
    try:
        lat, lon = (float(text) for text in row.panorama.split(",")[1:3])
        tile_lat, tile_lon = (float(text) for text in Path(row.tile).stem.split("_")[1:3])
    except ValueError as err:
        msg = f"{row.panorama} or {row.tile}: no latitude and longitude in the name"
        raise DatasetError(msg) from err
    world = 256.0 * 2**20
    camera, middle = (math.asinh(math.tan(math.radians(angle))) for angle in (lat, tile_lat))
    down = -(camera - middle) / math.tau * world
    left = -(lon - tile_lon) / 360.0 * world
    return down, left


def _depth(path: Path, width: int) -> F32 | None:
    """Distance (H, W) along the rays, metres, where it was computed before."""
    if not path.is_file():
        return None
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.ndim != 2 or raw.shape[1] != width:
        msg = f"{path} is no depth image of its panorama"
        raise SampleError(msg)
    metres: F32 = np.asarray(raw * np.float64(_DEPTH_UNIT_M), dtype=np.float32)
    return metres
