# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ground beside the streets: gardens, fields, squares, sports fields, paths, water, rails."""

from __future__ import annotations

import numpy as np

from cvloc_ros.simulation.across import crossing_of
from cvloc_ros.simulation.layout import Area, AreaKind, Layout, Railway
from cvloc_ros.simulation.materials import Material
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F64, U8

GAUGE_M = 1.435
_LOOKS: dict[AreaKind, Material] = {
    "lawn": Material.LAWN, "yard": Material.DRIVEWAY, "crops": Material.CROPS, "straw": Material.STRAW,
    "soil": Material.SOIL, "meadow": Material.MEADOW, "pool": Material.POOL, "pond": Material.WATER,
    "car park": Material.ASPHALT, "pitch": Material.TURF, "court": Material.COURT, "square": Material.PAVING,
    "path": Material.TRACK, "track": Material.TRACK, "flowers": Material.FLOWERS, "beds": Material.SOIL,
    "terrace": Material.PAVING,
}  # fmt: skip
_ROWS: dict[AreaKind, tuple[float, float, Material]] = {
    "crops": (0.75, 0.3, Material.SOIL), "soil": (1.5, 0.18, Material.STRAW), "straw": (3.0, 0.4, Material.SOIL),
    "beds": (0.7, 0.36, Material.CROPS),
}  # fmt: skip
"""Distance of rows, their width, what they are of."""


def paint_open_ground(layout: Layout, grid: Grid, material: U8, joint: U8) -> None:
    """Paint all areas of a plan, the first below."""
    for area in layout.areas:
        look = _LOOKS[area.kind]
        if area.kind in ("pool", "pond"):
            rim = 1.1 if area.kind == "pool" else 1.6
            centre = area.outline.mean(axis=0)
            span = float(np.linalg.norm(area.outline - centre, axis=1).min())
            ring = centre + (area.outline - centre) * (1 + rim / max(span, 1.0))
            grid.fill(material, [ring], int(Material.PAVING if area.kind == "pool" else Material.MEADOW))
        grid.fill(material, [area.outline], int(look))
        grid.fill(joint, [area.outline], 0)
        if area.kind in _ROWS:
            _paint_rows(area, grid, material)
        if area.kind == "square":
            _paint_slabs(area, grid, joint)
        if area.kind == "pitch":
            _paint_mowing(area, grid, joint)
        if area.kind == "track":
            middle = area.outline.mean(axis=0)
            aside = np.array([-area.ahead[1], area.ahead[0]])
            inner = middle + (area.outline - middle) @ (np.eye(2) - 0.72 * np.outer(aside, aside))
            grid.fill(material, [inner], int(Material.MEADOW))


def _span(area: Area) -> tuple[F64, F64, float, float, float, float]:
    aside = np.array([-area.ahead[1], area.ahead[0]])
    along, across = area.outline @ area.ahead, area.outline @ aside
    return area.ahead, aside, float(along.min()), float(along.max()), float(across.min()), float(across.max())


def _paint_rows(area: Area, grid: Grid, material: U8) -> None:
    """Rows of a crop within an outline of four corners, and the tracks of the tractor."""
    step, wide, look = _ROWS[area.kind]
    ahead, aside, low, high, left, right = _span(area)
    if area.kind != "beds":
        step = max(step, 3 * grid.resolution_m)
    rows = [(place, wide, look) for place in np.arange(left + step / 2, right - wide, step)]
    if area.kind in ("crops", "straw"):
        rows += [(place + k, 0.4, Material.TRACK) for place in np.arange(left + 9, right - 9, 18.0) for k in (0.0, 1.9)]
    for place, width, what in rows:
        corners = [(low + 0.4, place), (high - 0.4, place), (high - 0.4, place + width), (low + 0.4, place + width)]
        grid.fill(material, [np.array([ahead * u + aside * v for u, v in corners])], int(what))


def _paint_slabs(area: Area, grid: Grid, joint: U8) -> None:
    """Joints of large slabs, kept within the outline by a mask of their own."""
    ahead, aside, low, high, left, right = _span(area)
    inside = grid.empty()
    grid.fill(inside, [area.outline], 1)
    lines = [np.array([ahead * u + aside * left, ahead * u + aside * right]) for u in np.arange(low, high, 1.2)]
    lines += [np.array([ahead * low + aside * v, ahead * high + aside * v]) for v in np.arange(left, right, 1.2)]
    drawn = grid.empty()
    grid.lines(drawn, lines, 220)
    np.maximum(joint, drawn * inside, out=joint)


def _paint_mowing(area: Area, grid: Grid, joint: U8) -> None:
    a, b, c, d = area.outline
    for k in np.arange(0.0, 1.0, 0.2):
        grid.fill(joint, [np.array([a + (b - a) * k, a + (b - a) * (k + 0.1), d + (c - d) * (k + 0.1),
                                    d + (c - d) * k])], 120)  # fmt: skip


def paint_water(layout: Layout, grid: Grid, material: U8) -> None:
    """Paint rivers and canals with their banks."""
    for river in layout.rivers:
        edge = river.half_m + river.bank_m
        look = Material.CONCRETE if river.canal else Material.MEADOW
        grid.fill(material, [river.strip(0.0, river.length_m, edge, -edge)], int(look))
        s = np.arange(0.0, river.length_m, 0.5)
        swing = 0.0 if river.canal else 0.7
        left = river.at(s, river.half_m + swing * np.sin(s / 6.1) + 0.5 * swing * np.sin(s / 2.3))
        right = river.at(s, -river.half_m + swing * np.sin(s / 5.3 + 1) + 0.5 * swing * np.sin(s / 2.9))
        grid.fill(material, [np.concatenate([left, right[::-1]])], int(Material.WATER))
    for rail in layout.railways:
        if rail.ballast:
            for edge, look in ((rail.half_m + 1.6, Material.MEADOW), (rail.half_m, Material.BALLAST)):
                grid.fill(material, [rail.strip(0.0, rail.length_m, edge, -edge)], int(look))
            s = np.arange(0.3, rail.length_m, 0.65)
            for track in rail.tracks:
                for place in s:
                    sleeper = rail.strip(place, place + 0.26, track + 1.25, track - 1.25)
                    grid.fill(material, [sleeper], int(Material.SLEEPER))


def paint_rails(layout: Layout, grid: Grid, material: U8) -> None:
    """Paint rails, over the streets too, and the slabs between them at level crossings."""
    for rail in layout.railways:
        if rail.ballast:
            for street in layout.streets:
                s = crossing_of(street, rail.line)
                if s is not None:
                    reach = street.corridor_m if street.pavement_m else street.half_width_m
                    middle = rail.near(street.at(np.array([s]), 0.0)[0])[0]
                    for track in rail.tracks:
                        slab = rail.strip(middle - reach - 0.4, middle + reach + 0.4, track + 1.3, track - 1.3)
                        grid.fill(material, [slab], int(Material.CONCRETE))
        _paint_tracks(rail, grid, material)


def _paint_tracks(rail: Railway, grid: Grid, material: U8) -> None:
    half = max(0.04, grid.resolution_m * 0.75)
    for track in rail.tracks:
        for side in (-GAUGE_M / 2, GAUGE_M / 2):
            if not rail.ballast:  # a dark groove beside the rail
                groove = track + side + (half + 0.04 if side < 0 else -half - 0.04)
                grid.fill(material, [rail.strip(0.0, rail.length_m, groove + 0.04, groove - 0.04)], int(Material.SEAM))
            middle = track + side
            grid.fill(material, [rail.strip(0.0, rail.length_m, middle + half, middle - half)], int(Material.RAIL))
