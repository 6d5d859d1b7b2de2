# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correspondences of a drive as files, in the layout that `datasets.cvfm.CvfmSamples` reads.

Each image `CAMERA_FRAME` has `.ground.jpg`, `.aerial.jpg` and an `.npz` with these arrays of N visible points:
`ground_uv`, `aerial_uv` (N, 2) column and row in px, `depth_m` (N,) along the ray, `on_ground` (N,) bool; the same with
`hidden_` before the name for points that the aerial image does not show, with `hidden_why` (1 occluded, 2 not there on
the day of the map); `T_map_base` (4, 4), `T_base_camera` (4, 4), `map_from_aerial` (2, 3), `stamp_ns`, `metres_per_px`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cvloc_ros.simulation.drive import motion_of
from cvloc_ros.simulation.events import image_times, stamp
from cvloc_ros.simulation.gl.stream import Pair, PairMaker
from cvloc_ros.simulation.world import World
from cvloc_ros.types import U8

METRES_PER_PX = 0.12
_SIDE_PX = 512
_OFF_M = 8.0
_QUALITY = 92


def write_pairs(
    world: World, folder: Path, count: int, progress: Callable[[int, str], AbstractContextManager[Any]]
) -> None:
    """Write up to `count` correspondences for each image of the drive of a world.

    Raises:
        GlError: there is no OpenGL here.
        OSError: the folder cannot be written.
    """
    scene, motion = world.scene, motion_of(world)
    folder.mkdir(parents=True)
    rng, half = scene.rng("patches of correspondences"), scene.look.exposure_s / 2
    maker = PairMaker(world, patch_m=_SIDE_PX * METRES_PER_PX, patch_px=_SIDE_PX, pixels=count)
    times = image_times(scene).tolist()
    try:
        with progress(len(times), "correspondences") as bar:
            for number, time_s in enumerate(times):
                east, north = rng.uniform(-_OFF_M, _OFF_M, 2).tolist()
                ends = motion.pose(time_s - half), motion.pose(time_s + half)
                pair = maker.at(motion.pose(time_s), number, (east, north), ends)
                _write(pair, folder, number, stamp(scene, time_s))
                bar.update(1)
    finally:
        maker.close()


def _write(pair: Pair, folder: Path, number: int, stamp_ns: int) -> None:
    for view, pixels in zip(pair.views, pair.pixels, strict=True):
        name = f"{view.camera_name}_{number:06d}"
        _picture(folder / f"{name}.ground.jpg", view.rgb)
        _picture(folder / f"{name}.aerial.jpg", pair.patch.rgb)
        seen, hidden = pixels.visible, ~pixels.visible
        of_points = {"ground_uv": pixels.ground_uv, "aerial_uv": pixels.aerial_uv, "depth_m": pixels.depth_m,
                     "on_ground": pixels.on_ground}  # fmt: skip
        arrays: dict[str, Any] = {key: value[seen] for key, value in of_points.items()}
        arrays |= {f"hidden_{key}": value[hidden] for key, value in of_points.items()}
        arrays |= {"hidden_why": pixels.seen[hidden], "T_map_base": pair.T_world_base,
                   "T_base_camera": view.T_base_camera, "map_from_aerial": pair.patch.map_from_px,
                   "stamp_ns": np.int64(stamp_ns), "metres_per_px": np.float64(METRES_PER_PX)}  # fmt: skip
        np.savez_compressed(folder / f"{name}.npz", **arrays)


def _picture(path: Path, image: U8) -> None:
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    path.write_bytes(jpeg.tobytes())
