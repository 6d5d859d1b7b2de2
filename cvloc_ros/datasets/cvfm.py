# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs with pixel correspondences: CVFM, as far as it can be known, and what `cvloc simulate` writes in that layout.

The benchmark's own format is not public. Read is a folder with `NAME.npz` (`ground_uv`, `aerial_uv` (N, 2), column and
row) beside `NAME.ground.*` and `NAME.aerial.*`. For training a pair also has `T_map_base` (4, 4), `T_base_camera`
(4, 4) and `map_from_aerial` (2, 3); with `depth_m` (N,) along the rays its matches have ground points. Panoramas alone
are taken: the layout states no lens.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from cvloc_ros.datasets import files
from cvloc_ros.datasets.sample import DatasetError, Sample, SampleError
from cvloc_ros.imaging.models import Equirectangular
from cvloc_ros.types import F64, AerialPatch, Correspondences, GroundView, Pose2

COUNT = 32_509
_NEEDED = ("ground_uv", "aerial_uv", "T_map_base", "T_base_camera", "map_from_aerial")


class CvfmSamples:
    """All pairs of a folder, in the order of their names."""

    streamed = False

    def __init__(self, root: Path | str) -> None:
        """Find the pairs.

        Raises:
            DatasetError: there are none.
        """
        self.name = f"pairs {Path(root).name}"
        self._files = sorted(Path(root).glob("*.npz"))
        if not self._files:
            msg = f"{root} holds no NAME.npz with correspondences"
            raise DatasetError(msg)

    def __len__(self) -> int:
        """Count them."""
        return len(self._files)

    def __getitem__(self, index: int) -> Sample:
        """Read a pair.

        Raises:
            SampleError: it is damaged, lacks its pose, or is no panorama.
        """
        file = self._files[index]
        given = _arrays(file)
        rgb, aerial = (_picture(file, kind) for kind in ("ground", "aerial"))
        if rgb.shape[1] != 2 * rgb.shape[0]:
            msg = f"{file}: {rgb.shape[1]}x{rgb.shape[0]} is no panorama of 360 x 180 degrees; no lens is stated"
            raise SampleError(msg)
        view = GroundView(
            "ground", rgb, Equirectangular(rgb.shape[1], rgb.shape[0]), np.asarray(given["T_base_camera"], np.float64),
            index,
        )  # fmt: skip
        affine = np.asarray(given["map_from_aerial"], np.float64)
        metres = math.sqrt(abs(float(np.linalg.det(affine[:, :2]))))
        patch = AerialPatch(aerial, np.ones(aerial.shape[:2], bool), metres, affine, "", 1.0, ("pair", file.stem))
        T = np.asarray(given["T_map_base"], np.float64)
        pose = Pose2(float(T[0, 3]), float(T[1, 3]), math.atan2(T[1, 0], T[0, 0]))
        return Sample(file.stem, self.name, (view,), patch, pose, _matches(given, view, affine))

    def close(self) -> None:
        """Nothing is held."""


def _matches(given: dict[str, Any], view: GroundView, affine: F64) -> Correspondences:
    uv, there = (np.asarray(given[name], np.float64) for name in ("ground_uv", "aerial_uv"))
    aerial = there @ affine[:, :2].T + affine[:, 2]
    ground = np.full_like(aerial, np.nan)
    if "depth_m" in given:
        rays = view.camera.unproject(uv) * np.asarray(given["depth_m"], np.float64)[:, None]
        ground = (rays @ view.T_base_camera[:3, :3].T + view.T_base_camera[:3, 3])[:, :2]
    count = len(uv)
    return Correspondences(ground, aerial, np.ones(count), uv, np.zeros(count, np.int64))


def _arrays(file: Path) -> dict[str, Any]:
    try:
        with np.load(file, allow_pickle=False) as opened:
            given = {name: opened[name] for name in opened.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        msg = f"{file}: {err}"
        raise SampleError(msg) from err
    missing = [name for name in _NEEDED if name not in given]
    if missing or given["ground_uv"].shape != given["aerial_uv"].shape:
        msg = f"{file}: without {', '.join(missing) or 'as many aerial as ground pixels'} it cannot be trained on"
        raise SampleError(msg)
    return given


def _picture(file: Path, kind: str) -> Any:
    found = [path for suffix in (".png", ".jpg") if (path := file.with_name(f"{file.stem}.{kind}{suffix}")).is_file()]
    return files.picture(found[0] if found else file.with_name(f"{file.stem}.{kind}.png"))
