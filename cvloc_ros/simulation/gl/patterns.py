# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Patterns that repeat over walls, roofs and leaves: one texture array for all worlds, the same at every run."""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from cvloc_ros.types import F32, U8

SIDE = 256


@enum.unique
class Pattern(enum.IntEnum):
    """Layers of the texture array. One repetition of a wall is one window axis wide and one floor high."""

    PLAIN = 0
    WINDOW = 1
    SHUTTERS = 2
    GROUND_FLOOR = 3
    DOOR = 4
    SHOP = 5
    OFFICE = 6
    PLASTER = 7
    BRICK = 8
    TILES = 9
    GRAVEL = 10
    LEAVES = 11
    HEDGE = 12
    BRANCHES = 13
    CONIFER = 14
    FENCE = 15
    BARK = 16
    GARAGE = 17
    SHEETS = 18
    SIGN_ROUND = 19
    SIGN_TRIANGLE = 20
    SIGN_BLUE = 21
    BALCONY = 22
    HALO = 23


@cache
def patterns() -> U8:
    """All layers (layers, SIDE, SIDE, 4) RGBA; the first row is the lowest."""
    out = np.zeros((len(Pattern), SIDE, SIDE, 4), np.uint8)
    for pattern in Pattern:
        drawn = np.clip(_DRAW[pattern](np.random.default_rng([17, int(pattern)])), 0, 255)
        out[pattern] = drawn.astype(np.uint8)[::-1]
    return out


def _noise(rng: np.random.Generator, *sizes: float) -> F32:
    layers = [gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), size, mode="wrap") for size in sizes]
    return np.asarray(sum(layer / layer.std() for layer in layers) / np.sqrt(len(layers)), dtype=np.float32)


def _blank(value: float = 235.0, grain: F32 | float = 0.0) -> F32:
    out = np.full((SIDE, SIDE, 4), value, np.float32)
    out[..., :3] += np.asarray(grain, dtype=np.float32)[..., None]
    out[..., 3] = 255
    return out


def _rect(image: F32, left: float, top: float, right: float, bottom: float, rgba: tuple[float, ...]) -> None:
    part = slice(round(top * SIDE), round(bottom * SIDE)), slice(round(left * SIDE), round(right * SIDE))
    image[part] = rgba


def _plain(rng: np.random.Generator) -> F32:
    return _blank(240, 5 * _noise(rng, 1.0, 12.0))


def _plaster(rng: np.random.Generator) -> F32:
    return _blank(238, 5 * _noise(rng, 0.8) + 5 * _noise(rng, 30.0))


def _glass(image: F32, rng: np.random.Generator, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = box
    rows = np.linspace(1.25, 0.75, round(bottom * SIDE) - round(top * SIDE))[:, None, None]
    wide = round(right * SIDE) - round(left * SIDE)
    sheen = 1 + 0.12 * np.sin(np.linspace(0, 5, wide) + rng.uniform(0, 6))[None, :, None]
    part = slice(round(top * SIDE), round(bottom * SIDE)), slice(round(left * SIDE), round(right * SIDE))
    image[part][..., :3] = np.array([62, 74, 88]) * rows * sheen
    image[part][..., 3] = 0


def _window(rng: np.random.Generator, left: float = 0.28, top: float = 0.2, right: float = 0.72) -> F32:
    image = _plaster(rng)
    bottom = 0.7
    _rect(image, left - 0.05, top - 0.04, right + 0.05, bottom + 0.03, (222, 220, 214, 0))
    _glass(image, rng, (left, top, right, bottom))
    middle = (left + right) / 2
    _rect(image, middle - 0.012, top, middle + 0.012, bottom, (226, 226, 222, 0))
    _rect(image, left, top + 0.14, right, top + 0.16, (226, 226, 222, 0))
    _rect(image, left - 0.07, bottom + 0.02, right + 0.07, bottom + 0.05, (150, 146, 140, 0))
    _rect(image, left - 0.07, bottom + 0.05, right + 0.07, bottom + 0.065, (196, 196, 196, 255))
    return image


def _shutters(rng: np.random.Generator) -> F32:
    image = _window(rng, 0.36, 0.18, 0.64)
    for left in (0.17, 0.68):
        _rect(image, left, 0.16, left + 0.15, 0.72, (84, 104, 84, 0))
        for row in np.arange(0.19, 0.7, 0.04):
            _rect(image, left + 0.015, row, left + 0.135, row + 0.012, (58, 74, 58, 0))
    return image


def _ground_floor(rng: np.random.Generator) -> F32:
    image = _window(rng)
    _rect(image, 0, 0.86, 1, 1, (150, 148, 146, 150))
    return image


def _door(rng: np.random.Generator) -> F32:
    image = _plaster(rng)
    _rect(image, 0, 0.86, 1, 1, (150, 148, 146, 150))
    _rect(image, 0.27, 0.16, 0.73, 1, (205, 203, 198, 0))
    _rect(image, 0.31, 0.2, 0.69, 1, (92, 66, 50, 0))
    for top in (0.26, 0.62):
        _rect(image, 0.37, top, 0.63, top + 0.28, (76, 54, 42, 0))
    _glass(image, rng, (0.4, 0.28, 0.6, 0.5))
    _rect(image, 0.62, 0.58, 0.65, 0.61, (200, 190, 150, 0))
    return image


def _shop(rng: np.random.Generator) -> F32:
    image = _blank(200)
    _rect(image, 0, 0, 1, 0.2, (236, 236, 236, 255))
    _rect(image, 0.1, 0.05, 0.9, 0.15, (92, 92, 96, 255))
    _glass(image, rng, (0.04, 0.24, 0.96, 0.88))
    _rect(image, 0.49, 0.24, 0.51, 0.88, (60, 60, 62, 0))
    for x in rng.uniform(0.08, 0.85, 6):
        _rect(image, float(x), 0.6, float(x) + 0.08, 0.86, (*rng.uniform(60, 190, 3), 0))
    _rect(image, 0, 0.88, 1, 1, (88, 86, 84, 0))
    return image


def _office(rng: np.random.Generator) -> F32:
    image = _blank(214, 3 * _noise(rng, 2.0))
    _glass(image, rng, (0.0, 0.24, 1.0, 0.82))
    for x in (0.0, 0.33, 0.66):
        _rect(image, x, 0.24, x + 0.03, 0.82, (150, 152, 154, 0))
    return image


def _brick(rng: np.random.Generator) -> F32:
    image = _window(rng)
    grain = 10 * _noise(rng, 1.0)
    rows = 32
    for row in range(rows):
        shade = rng.uniform(-18, 18, 9)
        for column in range(9):
            left = (column + 0.5 * (row % 2)) / 8.5 - 0.06
            top = row / rows
            part = (
                slice(round(top * SIDE) + 1, round((top + 1 / rows) * SIDE)),
                slice(max(0, round(left * SIDE) + 1), max(0, min(SIDE, round((left + 0.118) * SIDE)))),
            )
            tinted = image[part][..., 3] > 200
            image[part][..., :3][tinted] = 205 + shade[column]
    image[..., :3] += np.where(image[..., 3:] > 200, grain[..., None], 0)
    return image


def _tiles(rng: np.random.Generator) -> F32:
    rows, columns = 12, 14
    v, u = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    along, up = (u * columns) % 1.0, (v * rows) % 1.0
    each = rng.uniform(-20, 20, (rows, columns))[(v * rows).astype(int) % rows, (u * columns).astype(int) % columns]
    shade = 205 + 26 * np.sin(np.pi * along) - 46 * (up > 0.86) + each + 10 * _noise(rng, 22.0)
    return _blank(0.0, shade.astype(np.float32))


def _gravel(rng: np.random.Generator) -> F32:
    image = _blank(214, 14 * _noise(rng, 0.7) + 10 * _noise(rng, 18.0))
    _rect(image, 0, 0, 1, 0.012, (150, 150, 150, 255))
    _rect(image, 0, 0, 0.012, 1, (150, 150, 150, 255))
    return image


def _leaves(rng: np.random.Generator, count: int = 620, low: float = 0.47, reach: float = 1.0) -> F32:
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    image[..., :3] = 150
    radius = low * SIDE * np.sqrt(rng.uniform(0, 1, count)) * reach
    angle = rng.uniform(0, 2 * np.pi, count)
    shade = np.sort(rng.uniform(115, 250, count))
    for r, a, value in zip(radius, angle, shade, strict=True):
        centre = (SIDE / 2 + r * np.cos(a), SIDE / 2 + r * np.sin(a))
        size = rng.uniform(8, 15)
        box = (centre, (float(size), float(size * 0.55)), float(rng.uniform(0, 180)))
        cv2.ellipse(image, box, (value, value, value * rng.uniform(0.75, 1.0), 255), -1, cv2.LINE_AA)
    return image


def _hedge(rng: np.random.Generator) -> F32:
    shade = 185 + 34 * _noise(rng, 0.9, 2.5) + 12 * _noise(rng, 14.0)
    return _blank(0.0, shade.astype(np.float32))


def _branches(rng: np.random.Generator) -> F32:
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    image[..., :3] = 120
    for _ in range(34):
        point, angle = np.array([SIDE / 2, SIDE / 2]), rng.uniform(0, 2 * np.pi)
        for step in range(9):
            ahead = point + 13 * np.array([np.cos(angle), np.sin(angle)])
            value = float(rng.uniform(90, 160))
            ends = (round(point[0]), round(point[1])), (round(ahead[0]), round(ahead[1]))
            cv2.line(image, *ends, (value, value * 0.92, value * 0.85, 255), 1 + (step < 3), cv2.LINE_AA)
            point, angle = ahead, angle + rng.normal(0, 0.45)
    return image


def _conifer(rng: np.random.Generator) -> F32:
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    image[..., :3] = 130
    for row in np.linspace(0.04, 0.94, 60):
        half = 0.06 + 0.42 * row * (0.8 + 0.2 * ((row * 9) % 1.0))
        for _ in range(10):
            x = 0.5 + rng.uniform(-half, half)
            value = rng.uniform(110, 235)
            box = ((x * SIDE, row * SIDE), (16.0, 6.0), float(rng.uniform(-30, 30) + (25 if x > 0.5 else -25)))
            cv2.ellipse(image, box, (value, value, value * 0.9, 255), -1, cv2.LINE_AA)
    return image


def _fence(rng: np.random.Generator) -> F32:
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    image[..., :3] = 190
    for k in range(10):
        value = rng.uniform(180, 240)
        _rect(image, k / 10 + 0.012, 0.04, k / 10 + 0.082, 1, (value, value, value, 255))
    for top in (0.2, 0.75):
        _rect(image, 0, top, 1, top + 0.07, (205, 205, 205, 255))
    return image


def _bark(rng: np.random.Generator) -> F32:
    lines = gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), (9.0, 1.3), mode="wrap")
    return _blank(190, (34 * lines / lines.std()).astype(np.float32))


def _garage(rng: np.random.Generator) -> F32:
    image = _plaster(rng)
    _rect(image, 0.06, 0.18, 0.94, 1, (206, 206, 204, 0))
    for top in np.arange(0.2, 1.0, 0.1):
        _rect(image, 0.06, float(top), 0.94, float(top) + 0.012, (150, 150, 150, 0))
    return image


def _sheets(rng: np.random.Generator) -> F32:
    wave = 24 * np.sin(np.linspace(0, 2 * np.pi * 16, SIDE, endpoint=False))
    return _blank(212, (wave[None, :] + 6 * _noise(rng, 20.0)).astype(np.float32))


def _round(rng: np.random.Generator) -> F32:  # noqa: ARG001
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    for radius, colour in ((122, (196, 32, 36)), (88, (240, 240, 238))):
        cv2.circle(image, (128, 128), radius, (*colour, 255), -1, cv2.LINE_AA)
    cv2.putText(image, "30", (62, 164), cv2.FONT_HERSHEY_DUPLEX, 3.2, (20, 20, 20, 255), 9, cv2.LINE_AA)
    return image


def _triangle(rng: np.random.Generator) -> F32:  # noqa: ARG001
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    for grow, colour in ((0, (196, 32, 36)), (38, (240, 240, 238))):
        points = np.array([[10 + grow * 1.2, 20 + grow * 0.7], [246 - grow * 1.2, 20 + grow * 0.7], [128, 236 - grow]])
        cv2.fillPoly(image, [points.astype(np.int32)], (*colour, 255), cv2.LINE_AA)
    return image


def _blue(rng: np.random.Generator) -> F32:
    image = _blank(0)
    image[..., :3] = (24, 72, 150)
    image[..., 3] = 0
    _rect(image, 0.03, 0.04, 0.97, 0.07, (236, 236, 236, 0))
    _rect(image, 0.03, 0.93, 0.97, 0.96, (236, 236, 236, 0))
    for top in (0.2, 0.45, 0.7):
        left = float(rng.uniform(0.1, 0.2))
        _rect(image, left, top, left + float(rng.uniform(0.35, 0.6)), top + 0.12, (236, 236, 236, 0))
    return image


def _balcony(rng: np.random.Generator) -> F32:
    image = _window(rng, 0.2, 0.16, 0.8)
    _glass(image, rng, (0.22, 0.18, 0.78, 0.96))
    _rect(image, 0.49, 0.18, 0.51, 0.96, (226, 226, 222, 0))
    _rect(image, 0.08, 0.6, 0.92, 0.98, (176, 180, 184, 0))
    _rect(image, 0.08, 0.58, 0.92, 0.61, (90, 92, 96, 0))
    return image


def _halo(rng: np.random.Generator) -> F32:  # noqa: ARG001
    v, u = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) * 2 - 1
    image = np.zeros((SIDE, SIDE, 4), np.float32)
    edge = np.maximum(np.abs(u), np.abs(v))
    image[..., 3] = 255 * np.clip((1 - edge) / 0.45, 0, 1)
    return image


_DRAW: dict[Pattern, Callable[[np.random.Generator], F32]] = {
    Pattern.PLAIN: _plain,
    Pattern.WINDOW: _window,
    Pattern.SHUTTERS: _shutters,
    Pattern.GROUND_FLOOR: _ground_floor,
    Pattern.DOOR: _door,
    Pattern.SHOP: _shop,
    Pattern.OFFICE: _office,
    Pattern.PLASTER: _plaster,
    Pattern.BRICK: _brick,
    Pattern.TILES: _tiles,
    Pattern.GRAVEL: _gravel,
    Pattern.LEAVES: _leaves,
    Pattern.HEDGE: _hedge,
    Pattern.BRANCHES: _branches,
    Pattern.CONIFER: _conifer,
    Pattern.FENCE: _fence,
    Pattern.BARK: _bark,
    Pattern.GARAGE: _garage,
    Pattern.SHEETS: _sheets,
    Pattern.SIGN_ROUND: _round,
    Pattern.SIGN_TRIANGLE: _triangle,
    Pattern.SIGN_BLUE: _blue,
    Pattern.BALCONY: _balcony,
    Pattern.HALO: _halo,
}
