# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bare ground of a day, season included."""

from __future__ import annotations

import cv2
import numpy as np

from cvloc_ros.simulation.appearance import AERIAL_DAY, GROUND_DAY, Epoch, paint_day
from cvloc_ros.simulation.looks import LookSpec, Season
from cvloc_ros.simulation.materials import Material
from cvloc_ros.simulation.world import World
from cvloc_ros.types import U8

_GREENS: dict[Season, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "spring": ((132, 138, 92), (112, 130, 82)),
    "summer": ((138, 134, 96), (110, 122, 80)),
    "autumn": ((140, 128, 84), (116, 118, 66)),
    "winter": ((132, 122, 96), (112, 112, 78)),
    "snow": ((222, 224, 228), (226, 228, 232)),
}
_CROPS: dict[Material, dict[Season, tuple[int, int, int]]] = {
    Material.CROPS: {
        "spring": (122, 148, 84), "summer": (148, 152, 84), "autumn": (132, 132, 78), "winter": (122, 122, 84),
        "snow": (220, 222, 226),
    },
    Material.STRAW: {
        "spring": (120, 142, 84), "summer": (196, 176, 112), "autumn": (176, 156, 108), "winter": (142, 124, 92),
        "snow": (224, 226, 230),
    },
    Material.SOIL: {"snow": (206, 206, 208)},
    Material.TURF: {"autumn": (112, 132, 74), "winter": (116, 124, 82), "snow": (226, 228, 232)},
    Material.FLOWERS: {"autumn": (120, 110, 62), "winter": (104, 92, 70), "snow": (224, 226, 228)},
}  # fmt: skip
_SOFT = (
    Material.MEADOW, Material.LAWN, Material.CROPS, Material.STRAW, Material.SOIL, Material.TURF, Material.FLOWERS,
    Material.TRACK, Material.BALLAST,
)  # fmt: skip
_BRIGHT = 1.22


def epoch_of(look: LookSpec, *, from_above: bool) -> Epoch:
    """Return colours and wear of a day; map and drive never have the same."""
    base = AERIAL_DAY if from_above else GROUND_DAY
    meadow, lawn = _GREENS[look.season]
    colours = [(round(r * _BRIGHT), round(g * _BRIGHT), round(b * _BRIGHT)) for r, g, b in base.colours]
    colours[Material.MEADOW], colours[Material.LAWN] = meadow, lawn
    for crop, of_season in _CROPS.items():
        colours[crop] = of_season.get(look.season, colours[crop])
    if from_above:
        colours = [(round(0.9 * r + 4), round(0.91 * g + 4), round(0.94 * b + 5)) for r, g, b in colours]
    return Epoch(base.name, tuple(colours), base.texture, look.wear, (0.0, 0.0), 0.0, 236 if not from_above else 228)


def paint_ground(world: World, look: LookSpec, *, from_above: bool) -> U8:
    """Paint the ground (H, W, 3) of a day without light and shadow."""
    if world.photo is not None:
        return _photo_of(world.photo, world, look, from_above=from_above)
    image = paint_day(world, epoch_of(look, from_above=from_above))
    if look.season == "autumn":
        _scatter(world, image, np.array([168, 116, 52]), 0.05)
    if look.season == "snow":
        _snow(world, image)
    return image


def _photo_of(photo: U8, world: World, look: LookSpec, *, from_above: bool) -> U8:
    """Return the orthophoto on another day: the drive has other colours and structure than the map."""
    rng = world.scene.rng(f"photo from above {from_above}")
    gain, lift = rng.uniform(0.9, 1.1, 3).astype(np.float32), rng.uniform(-6, 6, 3).astype(np.float32)
    if not from_above:
        gain, lift = gain * np.float32(0.8), lift - 8
    out = np.empty_like(photo)
    step = 400
    tile = cv2.GaussianBlur(rng.normal(0, 1, (step, photo.shape[1])).astype(np.float32), (0, 0), 0.8)
    for top in range(0, len(photo), step):
        part = photo[top : top + step].astype(np.float32)
        if not from_above:
            # Fine structure that the photo cannot hold, and tyres and rain that changed the rest.
            part *= 1.0 + 0.09 * np.roll(tile, top // step * 97, axis=1)[: len(part), :, None]
        if look.season == "snow":
            part = part * 0.3 + 150
        out[top : top + step] = np.clip(part * gain + lift + 10, 0, 255).astype(np.uint8)
    return out


def _scatter(world: World, image: U8, colour: U8, share: float) -> None:
    """Strew leaves over all ground near trees."""
    near = world.grid.empty()
    for tree in world.layout.trees:
        world.grid.disc(near, tree.centre, tree.radius_m * 1.6, 255)
    rng = world.scene.rng("leaves on the ground")
    tile = rng.random((512, 512)) < share
    tile = np.asarray(cv2.dilate(tile.astype(np.uint8), np.ones((2, 2), np.uint8)))
    for top in range(0, image.shape[0], 512):
        for left in range(0, image.shape[1], 512):
            part = image[top : top + 512, left : left + 512]
            here = (near[top : top + 512, left : left + 512] > 0) & (tile[: part.shape[0], : part.shape[1]] > 0)
            part[here] = colour


def _snow(world: World, image: U8) -> None:
    """Cover all but the driven lanes; pavements are half cleared."""
    lanes = world.grid.empty()
    for street in world.layout.streets:
        for sign in (1.0, -1.0):
            for offset in (-0.75, 0.75):
                s = street.strip(
                    0.0, street.length_m, sign * street.lane_m + offset + 0.3, sign * street.lane_m + offset - 0.3
                )
                world.grid.fill(lanes, [s], 255)
    hard = ~np.isin(world.material, [int(m) for m in _SOFT])
    step = 400
    for top in range(0, image.shape[0], step):
        part = slice(top, top + step)
        cover = np.where(hard[part], 0.55, 0.96).astype(np.float32)
        cover = np.where(world.material[part] == int(Material.PAVEMENT), 0.4, cover)
        cover *= 1 - 0.85 * cv2.blur(lanes[part], (7, 7)).astype(np.float32) / 255
        image[part] = (image[part] * (1 - cover[..., None]) + 232 * cover[..., None]).astype(np.uint8)
