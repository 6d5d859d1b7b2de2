# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Contact sheet: what the cameras see, beside the map with the true pose, to judge a world by eye."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cvloc_ros.errors import CvlocError
from cvloc_ros.simulation.drive import motion_of
from cvloc_ros.simulation.gl.stream import Pair, PairMaker
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.worlds import make_world
from cvloc_ros.types import U8

_ROW_PX = 300
_ROWS = 6
_VIEWS = 3
_PATCH_M = 80.0


def write_sheet(scene: Scene, path: Path) -> None:
    """Write the contact sheet of a scene as PNG.

    Raises:
        GlError: there is no OpenGL here.
        CvlocError: the file cannot be written.
    """
    world = make_world(scene)
    maker = PairMaker(world, patch_m=_PATCH_M, patch_px=2 * _ROW_PX)
    try:
        motion = motion_of(world)
        times = np.linspace(0.06, 0.92, 2 * _ROWS) * scene.duration_s
        rows = [_row(maker.at(motion.pose(float(t)), index)) for index, t in enumerate(times)]
    finally:
        maker.close()
    left, right = np.vstack(rows[::2]), np.vstack(rows[1::2])
    sheet = np.hstack([left, np.full((len(left), 8, 3), 255, np.uint8), right])
    picture = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()
    try:
        path.write_bytes(picture)
    except OSError as err:
        msg = f"{path}: the contact sheet cannot be written: {err}; choose another --sheet"
        raise CvlocError(msg) from err


def _row(pair: Pair) -> U8:
    views = [_fit(view.rgb) for view in pair.views[:_VIEWS]]
    patch = pair.patch.rgb.copy()
    centre = pair.patch.px_from_map(pair.pose.xy)
    ahead = np.array([np.cos(pair.pose.yaw_rad), -np.sin(pair.pose.yaw_rad)])
    tail, tip = centre - 10 * ahead, centre + 30 * ahead
    for colour, width in (((255, 255, 255), 7), ((220, 30, 30), 3)):
        ends = tuple(np.rint(tail).astype(int).tolist()), tuple(np.rint(tip).astype(int).tolist())
        cv2.arrowedLine(patch, *ends, colour, width, cv2.LINE_AA, 0, 0.35)
    return np.hstack([*views, _fit(patch)])


def _fit(image: U8) -> U8:
    size = (round(image.shape[1] * _ROW_PX / image.shape[0]), _ROW_PX)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
