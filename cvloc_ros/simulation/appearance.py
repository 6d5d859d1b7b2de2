# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the ground of a world looks on one day: colours, wear, texture, shadows. Map and cameras see different days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from cvloc_ros.simulation.layout import Box, Tree
from cvloc_ros.simulation.world import World
from cvloc_ros.types import F32, F64, U8

CAR_COLOURS = np.array(
    [[228, 228, 226], [40, 42, 46], [150, 153, 156], [118, 24, 26], [38, 62, 110], [88, 92, 96], [196, 190, 176],
     [20, 20, 22]], np.uint8
)  # fmt: skip
ROOF_COLOURS = np.array(
    [[146, 84, 66], [128, 76, 62], [96, 92, 92], [116, 112, 108], [158, 98, 74], [88, 80, 76]], np.uint8
)
_STRIP = 400


@dataclass(frozen=True, slots=True)
class Epoch:
    """The look of one day. `sun` is the shadow's length per metre of height (east, north); `light` its depth 0..1."""

    name: str
    colours: tuple[tuple[int, int, int], ...]
    texture: float
    wear: float
    sun: tuple[float, float]
    shadow: float
    paint: int


_GROUND = (
    (104, 116, 62), (88, 108, 54), (92, 92, 94), (74, 74, 77), (104, 102, 101), (150, 146, 139), (182, 179, 172),
    (136, 124, 112), (58, 56, 54), (78, 77, 76), (58, 74, 66), (118, 108, 100), (94, 84, 74), (128, 116, 108),
    (142, 128, 100), (104, 124, 52), (176, 158, 96), (112, 92, 70), (158, 152, 146), (146, 78, 62), (74, 156, 178),
    (66, 66, 68), (62, 61, 62), (150, 96, 84), (120, 82, 76), (112, 108, 106), (84, 118, 58), (68, 68, 71),
    (108, 107, 106), (146, 145, 142),
)  # fmt: skip
_AERIAL = (
    (128, 128, 84), (96, 112, 70), (118, 120, 126), (98, 99, 106), (128, 128, 130), (170, 168, 166), (188, 186, 184),
    (150, 144, 138), (88, 88, 90), (108, 108, 112), (66, 84, 80), (136, 128, 124), (118, 110, 102), (124, 112, 106),
    (166, 154, 130), (118, 134, 72), (188, 174, 122), (136, 118, 98), (172, 168, 166), (160, 100, 86), (96, 172, 192),
    (78, 78, 84), (90, 90, 94), (160, 116, 104), (150, 106, 98), (134, 130, 130), (100, 128, 76), (92, 92, 99),
    (132, 132, 134), (164, 163, 162),
)  # fmt: skip
GROUND_DAY = Epoch("ground", _GROUND, texture=1.0, wear=0.35, sun=(0.0, 0.0), shadow=0.0, paint=214)
AERIAL_DAY = Epoch("aerial", _AERIAL, texture=0.7, wear=0.55, sun=(-0.55, 0.75), shadow=0.45, paint=206)

_FINE = np.array(
    [0.13, 0.12, 0.055, 0.05, 0.05, 0.03, 0.02, 0.06, 0.12, 0.05, 0.02, 0.2, 0.1, 0.05, 0.11, 0.16, 0.13, 0.13, 0.04,
     0.04, 0.02, 0.05, 0.05, 0.34, 0.05, 0.14, 0.08, 0.045, 0.065, 0.04], np.float32
)  # fmt: skip
_COARSE = np.array(
    [0.16, 0.14, 0.05, 0.05, 0.06, 0.04, 0.02, 0.07, 0.05, 0.08, 0.03, 0.08, 0.06, 0.04, 0.13, 0.14, 0.1, 0.13, 0.05,
     0.05, 0.03, 0.02, 0.06, 0.26, 0.06, 0.05, 0.07, 0.03, 0.08, 0.06], np.float32
)  # fmt: skip


def paint_day(world: World, day: Epoch) -> U8:
    """Render the bare ground (H, W, 3) of a world on one day."""
    rng = world.scene.rng(f"texture {day.name}")
    materials, marking = (
        (world.material_aerial, world.marking_aerial) if day.name == "aerial" else (world.material, world.marking)
    )
    rows, columns = materials.shape
    fine = rng.normal(0, 1, (_STRIP, columns)).astype(np.float32)
    coarse, blotch = _field(rng, world.grid.resolution_m, (rows, columns), 0.6), _field(
        rng, world.grid.resolution_m, (rows, columns), 9.0
    )
    worn = _field(rng, world.grid.resolution_m, (rows, columns), 1.2)
    colours = np.array(day.colours, np.float32)
    out = np.empty((rows, columns, 3), np.uint8)
    for top in range(0, rows, _STRIP):
        part = slice(top, min(top + _STRIP, rows))
        count = part.stop - top
        look = materials[part]
        shift = int(rng.integers(columns))
        noise = np.roll(fine[:count], shift, axis=1) * _FINE[look] * day.texture
        noise += coarse.strip(part) * (_COARSE[look] * day.texture) + 0.05 * blotch.strip(part)
        noise -= world.joint[part] * np.float32(0.16 / 255)
        cover = marking[part] * np.float32(1 / 255)
        cover *= np.clip(1.12 - day.wear * (0.55 + 0.45 * worn.strip(part) + 0.35 * fine[:count]), 0.15, 1.0)
        gain = (1.0 + noise)[..., None]
        base = colours[look] * gain
        base += cover[..., None] * (day.paint * (0.97 + 0.25 * noise[..., None]) - base)
        out[part] = np.clip(base, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(out, (3, 3), 0.6))


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """Smooth noise kept at low resolution and enlarged strip by strip."""

    small: F32
    cell_px: float
    columns: int

    def strip(self, part: slice) -> F32:
        count = part.stop - part.start
        scale = 1.0 / self.cell_px
        affine = np.array([[scale, 0.0, 0.5], [0.0, scale, part.start * scale + 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(self.small, affine, (self.columns, count), flags=flags, borderMode=cv2.BORDER_REFLECT)
        )


def _field(rng: np.random.Generator, resolution_m: float, shape: tuple[int, int], size_m: float) -> _Field:
    cell = size_m / resolution_m
    small = rng.normal(0, 1, (int(shape[0] / cell) + 4, int(shape[1] / cell) + 4)).astype(np.float32)
    return _Field(small, cell, shape[1])


def paint_cars(world: World, image: U8, cars: Iterable[Box], *, detailed: bool) -> None:
    """Draw vehicles seen from above: body, and when `detailed` their windows and a soft contact shadow."""
    for car in cars:
        colour = CAR_COLOURS[car.look]
        if detailed:
            world.grid.fill(image, [_grown(car.outline, 1.06)], (52, 53, 56), smooth=True)
        world.grid.fill(image, [car.outline], colour.tolist(), smooth=True)
        a, b, c, d = car.outline
        if detailed:
            for start, end in ((0.18, 0.34), (0.66, 0.8)):
                glass = np.array([a + (b - a) * start, a + (b - a) * end, d + (c - d) * end, d + (c - d) * start])
                world.grid.fill(image, [_grown(glass, 0.86)], (44, 50, 56), smooth=True)


def paint_roofs(world: World, image: U8) -> None:
    """Draw the buildings seen from above: gable roofs, one side in the light."""
    for house in world.layout.buildings:
        if house.kind == "shed":
            world.grid.fill(image, [house.outline], (128, 120, 112))
            continue
        a, b, c, d = house.outline
        colour = ROOF_COLOURS[house.look].astype(np.float64)
        ridge = (a + d) / 2, (b + c) / 2
        sides = np.array([[a, b, ridge[1], ridge[0]], [ridge[0], ridge[1], c, d]])
        for outline, light in zip(sides, (1.12, 0.8), strict=True):
            world.grid.fill(image, [outline], np.clip(colour * light, 0, 255).tolist())
        world.grid.lines(image, [np.array(ridge)], (colour * 0.7).tolist())


def paint_crowns(world: World, image: U8, trees: Iterable[Tree]) -> None:
    """Draw tree crowns seen from above."""
    rng = world.scene.rng("crowns")
    for tree in trees:
        green = np.array([62, 84, 44]) * rng.uniform(0.8, 1.2)
        world.grid.disc(image, tree.centre, tree.radius_m, (green * 0.7).tolist())
        for _ in range(14):
            where = tree.centre + rng.normal(0, tree.radius_m * 0.42, 2)
            shade = green * rng.uniform(0.75, 1.35)
            world.grid.disc(image, where, tree.radius_m * rng.uniform(0.2, 0.38), np.clip(shade, 0, 255).tolist())


def cast_shadows(world: World, image: U8, day: Epoch, cars: Iterable[Box]) -> None:
    """Darken the ground where the sun does not reach it, with soft edges."""
    shade = world.grid.empty()
    sun = np.array(day.sun)
    for box in (*world.layout.buildings, *cars):
        outline = np.concatenate([box.outline, box.outline + sun * box.height_m]).astype(np.float32)
        world.grid.fill(shade, [cv2.convexHull(outline)[:, 0].astype(np.float64)], 255)
    for tree in world.layout.trees:
        world.grid.disc(shade, tree.centre + sun * (tree.height_m - tree.radius_m), tree.radius_m, 255)
    shade = np.asarray(cv2.blur(shade, (9, 9)))
    tint = np.array([1.0, 0.96, 0.86], np.float32) * np.float32(day.shadow / 255)
    for top in range(0, len(image), _STRIP):
        part = slice(top, top + _STRIP)
        image[part] = (image[part] * (1.0 - shade[part][..., None] * tint)).astype(np.uint8)


def _grown(outline: F64, factor: float) -> F64:
    centre = outline.mean(axis=0)
    return np.asarray(centre + (outline - centre) * factor)
