# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colours of upright things, by the place on them: position along (m) and height (m), pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from cvloc_ros.simulation.appearance import CAR_COLOURS, ROOF_COLOURS
from cvloc_ros.simulation.uprights import Kind
from cvloc_ros.types import F32, Mask

PLASTER = np.array(
    [[214, 204, 184], [196, 178, 150], [222, 219, 210], [178, 128, 104], [206, 190, 168], [184, 186, 182]], np.float32
)
_GLASS = np.array([66, 76, 88], np.float32)
_SIDE = 256


def _texture(*sizes: float) -> F32:
    """Noise that repeats without a seam, of several sizes in pixels, unit variance."""
    rng = np.random.default_rng(11)
    layers = [gaussian_filter(rng.normal(0, 1, (_SIDE, _SIDE)), size, mode="wrap") for size in sizes]
    return np.asarray(sum(layer / layer.std() for layer in layers) / np.sqrt(len(layers)), dtype=np.float32)


_GRAIN = _texture(0.6, 6.0)
_LEAVES = _texture(0.8, 2.5, 9.0)


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """N points on upright things: position along the thing and height, its length and upper edge (m), its variant."""

    along: F32
    height: F32
    length: F32
    top: F32
    look: F32


def _noise(x: F32, y: F32, scale: float, texture: F32 = _GRAIN) -> F32:
    cells: F32 = texture[(y * scale).astype(np.int32) & (_SIDE - 1), (x * scale).astype(np.int32) & (_SIDE - 1)]
    return cells


def _house(at: Spots) -> F32:
    along, height, length, top = at.along, at.height, at.length, at.top
    colour = PLASTER[at.look.astype(np.int32)]
    count = np.maximum(np.floor(length / 2.7), 1)
    across = (along / length * count) % 1.0
    floor = (height - 0.15) % 2.75
    fits = height - floor + 2.6 < top
    window = (across > 0.3) & (across < 0.7) & (floor > 0.9) & (floor < 2.2) & fits
    frame = (across > 0.26) & (across < 0.74) & (floor > 0.82) & (floor < 2.28) & fits
    door = np.floor(along / length * count) == np.floor(count / 2)
    door &= (height < 2.15) & (across > 0.3) & (across < 0.68)
    shade = 1 + 0.02 * _noise(along, height, 12.0) - 0.22 * (height < 0.45) - 0.12 * (height > top - 0.18)
    colour = colour * shade[:, None].astype(np.float32)
    colour[frame] = (226, 226, 222)
    pane = window & (((across * 2) % 1.0 > 0.04) | (floor > 1.9))
    colour[pane] = _GLASS * (1 + 0.12 * _noise(along, height, 1.3)[pane])[:, None]
    colour[door] = (92, 66, 50)
    return np.asarray(colour, dtype=np.float32)


def roof_colours(along: F32, height: F32, look: F32) -> F32:
    """Colours (N, 3) of points on roofs: place along the ridge and height above the eave, metres."""
    tiles = 1 + 0.05 * _noise(along + 50, height, 14.0)
    tiles = tiles - 0.1 * ((height * 5.0) % 1.0 < 0.22) - 0.25 * (height < 0.07)
    return np.asarray(ROOF_COLOURS[look.astype(np.int32)] * tiles[:, None], dtype=np.float32)


def _car(at: Spots) -> F32:
    height, length, top = at.height, at.length, at.top
    colour = CAR_COLOURS[at.look.astype(np.int32)].astype(np.float32) * (0.74 + 0.3 * height / 1.5)[:, None]
    part = at.along / length
    long = length > 3
    glass = (height > 0.92) & (height < top - 0.1) & (part > 0.08) & (part < 0.92)
    glass &= ~(long & (np.abs((part * 3.2) % 1.0 - 0.5) > 0.46))
    colour[glass] = (38, 44, 50)
    wheel = long & (np.hypot(np.minimum(np.abs(part - 0.19), np.abs(part - 0.8)) * length, height - 0.32) < 0.33)
    colour[wheel | (height < 0.2)] = (24, 24, 25)
    lamp = ~long & (height > 0.6) & (height < 0.82) & ((part < 0.2) | (part > 0.8))
    colour[lamp] = (150, 40, 36)
    plate = ~long & (height > 0.42) & (height < 0.56) & (np.abs(part - 0.5) < 0.15)
    colour[plate] = (220, 220, 214)
    return colour


def _crown(at: Spots) -> F32:
    leaves = 0.85 + 0.26 * _noise(at.along + at.look * 7, at.height, 22.0, _LEAVES)
    shade = 0.62 + 0.5 * np.clip(1 - (at.top - at.height) / np.maximum(at.length, 0.5), 0, 1)
    return np.asarray(np.array([66, 92, 44], np.float32) * (leaves * shade)[:, None], dtype=np.float32)


def _post(at: Spots) -> F32:
    wood = (at.length > 0.2)[:, None]
    return np.where(wood, np.array([82, 70, 58], np.float32), np.array([118, 122, 124], np.float32))


def _hills(at: Spots) -> F32:
    light = 1 + 0.12 * _noise(at.along, at.height * 2, 0.12)
    return np.asarray(np.array([74, 96, 70], np.float32) * light[:, None], dtype=np.float32)


_COLOURS: dict[Kind, Callable[[Spots], F32]] = {
    Kind.HOUSE: _house,
    Kind.CAR: _car,
    Kind.CROWN: _crown,
    Kind.POST: _post,
    Kind.HILLS: _hills,
}


def colours(kind: Kind, spots: Spots) -> F32:
    """Colours (N, 3) of N points on things of one kind."""
    painted: F32 = _COLOURS[kind](spots)
    return painted


def ragged(along: F32, height: F32, bottom: F32, top: F32, look: F32) -> Mask:
    """Tell which points of a crown are leaves: its outline is not smooth."""
    edge = np.clip(1 - np.minimum(height - bottom, top - height) / 0.4, 0, 1)
    return np.asarray(_noise(along + look * 7, height, 22.0, _LEAVES) > 2.6 * edge - 1.6)


def car_top(along: F32, length: F32, top: F32) -> F32:
    """Upper edge of a vehicle seen from the side: bonnet, cabin, boot."""
    part = along / length
    cabin = np.interp(part, [0, 0.06, 0.16, 0.3, 0.62, 0.78, 0.98, 1], [0.52, 0.62, 0.66, 1, 1, 0.68, 0.6, 0.48])
    return np.where(length > 3, top * cabin, top).astype(np.float32)
