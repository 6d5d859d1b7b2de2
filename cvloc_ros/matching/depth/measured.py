# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth that was measured or computed before: beside the image, or in files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cvloc_ros.errors import ImageError, ModelError
from cvloc_ros.matching.depth.depth_map import DepthMap, along, known
from cvloc_ros.types import F32, GroundView

_SUFFIXES = (".png", ".tiff", ".tif", ".exr", ".npy")


class Measured:
    """The depth that came with the view, of a stereo camera or lidar."""

    metric = True

    def __call__(self, view: GroundView) -> DepthMap:
        """Return the depth of the view.

        Raises:
            ImageError: it has none, or one of another field of view.
        """
        if view.depth is None:
            msg = (
                f"camera {view.camera_name} came without depth; matcher.depth.source = measured needs one "
                "depth image for each image: check the depth topic and its stamps, or choose another source"
            )
            raise ImageError(msg)
        return _checked(view.depth, view, "depth")

    def close(self) -> None:
        """Nothing is held."""


class Files:
    """Depth images in a folder, `<camera>/<stamp in ns>` with .png, .tiff, .exr or .npy (`<stamp>` for one camera)."""

    metric = True

    def __init__(self, folder: Path, metres_per_unit: float) -> None:
        """Take the folder and the unit of integer files; files of floats are in metres.

        Raises:
            ModelError: there is no such folder.
        """
        if not folder.is_dir():
            msg = f"matcher.depth.folder = {str(folder)!r} is no folder; name the folder of the depth images"
            raise ModelError(msg)
        self._folder, self._unit = folder, metres_per_unit

    def __call__(self, view: GroundView) -> DepthMap:
        """Read the depth of the view.

        Raises:
            ImageError: there is no such file, or it is no depth image of this view.
        """
        stems = (self._folder / view.camera_name / str(view.stamp_ns), self._folder / str(view.stamp_ns))
        for path in (stem.with_suffix(suffix) for stem in stems for suffix in _SUFFIXES):
            if path.is_file():
                return _checked(read(path, self._unit), view, str(path))
        msg = f"no depth for camera {view.camera_name} at {view.stamp_ns} ns: none of {stems[0]}.{{png,tiff,exr,npy}}"
        raise ImageError(msg)

    def close(self) -> None:
        """Nothing is held."""


def read(path: Path, metres_per_unit: float = 1e-3) -> F32:
    """Read a depth image (H, W) in metres, NaN where unknown.

    Integer files are multiplied by `metres_per_unit` (0.001 for millimetres, 1/256 for KITTI); floats are metres.

    Raises:
        ImageError: the file cannot be read or has several channels.
    """
    try:
        image = np.load(path, allow_pickle=False) if path.suffix == ".npy" else cv2.imread(str(path), -1)
    except (OSError, ValueError, cv2.error) as err:
        msg = f"{path}: no depth image: {err}"
        raise ImageError(msg) from err
    if image is None or image.ndim != 2 or image.dtype.kind not in "uif":
        found = "unreadable" if image is None else f"shape {image.shape} of {image.dtype}"
        msg = f"{path}: {found}; a depth image has one channel of integers or floats"
        raise ImageError(msg)
    unit = 1.0 if image.dtype.kind == "f" else metres_per_unit
    return known((image * np.float64(unit)).astype(np.float32))


def _checked(depth: F32, view: GroundView, what: str) -> DepthMap:
    """Refuse depth whose shape is not that of the image, or a reduction of it."""
    rows, cols = depth.shape if depth.ndim == 2 else (0, 0)
    if not rows or abs(rows * view.camera.width - cols * view.camera.height) > max(rows, cols):
        msg = (
            f"{what} has shape {depth.shape}, the image of camera {view.camera_name} is "
            f"({view.camera.height}, {view.camera.width}); both must show the same: register it to the image"
        )
        raise ImageError(msg)
    return DepthMap(known(np.asarray(depth, dtype=np.float32)), along(view), metric=True)
