# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ground as cameras see it, laid onto the map in squares, before and after: edges go on where it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from cvloc_ros.evaluation.extrinsics.frames import Frame
from cvloc_ros.evaluation.extrinsics.sights import Mounting, SightMaker, sampled
from cvloc_ros.ground import GroundGrid, GroundImage
from cvloc_ros.overlays.canvas import YELLOW, masked, u8, write
from cvloc_ros.types import F64, U8, AerialPatch

_SIDE_M, _CELL_M, _SQUARE_M = 18.0, 0.05, 3.0
_ROWS = 4
_TITLE_PX = 44
_HEADS = ("map", "as set: pictures in squares on the map", "as refined")


def draw(
    maker: SightMaker, frames: Mapping[str, Sequence[Frame]], before: Mapping[str, Mounting],
    after: Mapping[str, Mounting], offset_m: F64,
) -> U8:  # fmt: skip
    """Show a few pictures of each camera, the driving direction up. Returns RGB (height, width, 3)."""
    each = max(1, _ROWS // len(frames))
    rows = []
    for camera, chosen in list(frames.items())[:_ROWS]:
        for number in range(each):
            frame = chosen[(2 * number + 1) * len(chosen) // (2 * each)]
            rows.append(_row(maker, frame, camera, (before[camera], after[camera]), offset_m))
    picture = np.vstack(rows)
    head = np.zeros((_TITLE_PX, picture.shape[1], 3), np.uint8)
    for number, text in enumerate(_HEADS):
        write(head, text, (number * rows[0].shape[1] // 3 + 8, 20), 0.5)
    write(head, "edges go on across the squares where mounting and map are right", (8, 38), 0.4, YELLOW)
    note = maker.patch(next(iter(frames.values()))[0]).attribution
    write(picture, note, (8, picture.shape[0] - 8), 0.35)
    return np.vstack([head, picture])


def _row(
    maker: SightMaker, frame: Frame, camera: str, mountings: tuple[Mounting, Mounting], offset_m: F64
) -> U8:
    patch, tiles = maker.patch(frame), list[U8]()
    grid = _grid(maker.ground(frame, mountings[1], _wide()))
    for mounting, offset in zip(mountings, (np.zeros(2), offset_m), strict=True):
        aerial = _aerial(patch, frame, grid, offset)
        ground = maker.ground(frame, mounting, grid)
        if not tiles:
            tiles.append(aerial)
        tiles.append(_chequered(aerial, ground))
    row = u8(np.hstack([cv2.copyMakeBorder(np.rot90(tile), 2, 2, 2, 2, cv2.BORDER_CONSTANT) for tile in tiles]))
    write(row, camera, (8, 20), 0.5, YELLOW)
    return row


def _wide() -> GroundGrid:
    return GroundGrid(-_SIDE_M, _SIDE_M, -_SIDE_M, _SIDE_M, 0.5)


def _grid(seen: GroundImage) -> GroundGrid:
    """A square around the middle of the ground that a camera sees well."""
    weight = seen.weight * (np.hypot(*np.moveaxis(seen.grid.points(), -1, 0)) < _SIDE_M)
    centre = (seen.grid.points() * weight[..., None]).sum(axis=(0, 1)) / max(float(weight.sum()), 1e-9)
    x, y = np.rint(centre)
    half = _SIDE_M / 2
    return GroundGrid(float(x) - half, float(x) + half, float(y) - half, float(y) + half, _CELL_M)


def _aerial(patch: AerialPatch, frame: Frame, grid: GroundGrid, offset_m: F64) -> U8:
    return u8(sampled(masked(patch).astype(np.float32), patch.px_from_map(frame.pose.apply(grid.points()) - offset_m)))


def _chequered(aerial: U8, ground: GroundImage) -> U8:
    """Put every other square of the ground onto the map, as bright and as rich in contrast as the map there."""
    squares = np.floor(ground.grid.points() / _SQUARE_M).astype(np.int64).sum(axis=-1) % 2 == 0
    shown, there = ground.rgb.astype(np.float32), aerial.astype(np.float32)
    if not ground.valid.any():
        return aerial
    for channel in range(3):
        mine, other = shown[..., channel][ground.valid], there[..., channel][ground.valid]
        shown[..., channel] = (shown[..., channel] - mine.mean()) / max(float(mine.std()), 1.0)
        shown[..., channel] = shown[..., channel] * max(float(other.std()), 1.0) + other.mean()
    use = squares & ground.valid
    return u8(np.where(use[..., None], np.clip(shown, 0, 255), there))
