# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Carriageways, kerbs, pavements, junctions and their wear, painted into rasters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cvloc_ros.simulation.layout import BAY_M, STEP_M, Junction, Layout, Street
from cvloc_ros.simulation.markings import Approach
from cvloc_ros.simulation.materials import Material
from cvloc_ros.simulation.network import FLARE_M
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.types import F64, U8

ISLAND_FAR_M = 10.5
"""How far the islands before a roundabout reach."""
_WIDER_M = 2.3


def paint_roads(layout: Layout, grid: Grid, material: U8, joint: U8) -> None:
    """Paint all streets and junctions."""
    for street in layout.streets:
        edge = street.corridor_m
        grid.fill(material, [street.strip(0.0, street.length_m, edge, -edge)], int(Material.PAVEMENT))
    for index, node in enumerate(layout.junctions):
        _paint_corners(layout.streets, index, node, grid, material)
    for street in layout.streets:
        if not street.motorway:
            _paint_sides(street, grid, material, joint)
    for park in layout.car_parks:
        grid.fill(material, [park.outline()], int(Material.KERB))
        inner = park.street.strip(park.start_m + 0.2, park.end_m - 0.2, park.side * (park.near_m + 0.2),
                                  park.side * (park.far_m - 0.2))  # fmt: skip
        grid.fill(material, [inner, park.access()], int(Material.OLD if park.seed % 2 else Material.ASPHALT))
    _paint_carriageways(layout, grid, material, joint)
    for street in layout.streets:
        _paint_wheel_tracks(street, grid, joint)


def paint_islands(layout: Layout, grid: Grid, material: U8) -> None:
    """Paint what lies within the carriageways: medians, roundabouts' islands. Nothing is repaired there."""
    for street in layout.streets:
        _paint_median(street, grid, material)
    for index, node in enumerate(layout.junctions):
        if node.kind == "roundabout":
            _paint_roundabout(layout, index, node, grid, material)


def _paint_corners(streets: tuple[Street, ...], index: int, node: Junction, grid: Grid, material: U8) -> None:
    """Pavements around a junction."""
    if node.kind == "end":
        grid.disc(material, node.centre, 7.0, int(Material.DRIVEWAY))
    elif node.radius_m:
        pavement = max((s.pavement_m for s in streets if index in (s.start, s.end)), default=1.5)
        grid.disc(material, node.centre, node.radius_m + pavement, int(Material.PAVEMENT))
    else:
        outline = _outline(streets, index, node.centre, lambda s: s.corridor_m)
        grid.fill(material, [outline], int(Material.PAVEMENT))


def _paint_sides(street: Street, grid: Grid, material: U8, joint: U8) -> None:
    """Slabs of the pavement and the verge."""
    inner = street.corridor_m - street.pavement_m
    rng = street.rng("pavement")
    slabs = rng.random() < 0.6
    rows = np.arange(inner + 0.5, street.corridor_m, 0.5)
    s = np.arange(0.0, street.length_m, 0.6 if slabs else 3.0)
    for sign in (1.0, -1.0):
        if street.pavement_m > 0.5:
            across = np.stack([street.at(s, sign * inner), street.at(s, sign * street.corridor_m)], axis=1)
            along = [street.at(np.arange(0.0, street.length_m, STEP_M), sign * row) for row in rows if slabs]
            grid.lines(joint, [*across, *along], 255)
        if street.verge_m > 0:
            first, last = street.clear[0] + 3.0, street.length_m - street.clear[1] - 3.0
            verge = street.strip(first, max(first, last), sign * (inner - street.verge_m), sign * inner)
            grid.fill(material, [verge], int(Material.LAWN))
            grid.fill(joint, [verge], 0)


def _surface(street: Street) -> Material:
    """What a street is surfaced with."""
    if street.cobbled:
        return Material.COBBLE
    drawn = street.rng("surface").random()
    return Material.FRESH if drawn < 0.15 else Material.OLD if drawn < 0.4 else Material.ASPHALT


def _paint_carriageways(layout: Layout, grid: Grid, material: U8, joint: U8) -> None:
    layers = ((0.16, Material.KERB), (0.0, Material.GUTTER), (-0.28, Material.ASPHALT))
    for grow, look in layers:
        inmost = look is Material.ASPHALT
        for street in layout.streets:
            for start, end, sign in _bay_spans(street):
                edge = sign * (street.half_width_m + BAY_M + grow)
                area = street.strip(start - grow, end + grow, sign * (street.half_width_m - 0.5), edge)
                grid.fill(material, [area], int(Material.BAY if inmost else look))
                grid.fill(joint, [area], 0)
        for street in layout.streets:
            edge = street.half_width_m + grow
            area = street.strip(0.0, street.length_m, edge, -edge)
            grid.fill(material, [area], int(_surface(street) if inmost else look))
            grid.fill(joint, [area], 0)
            if inmost and street.cycle_m and street.rng("red lane").random() < 0.5:
                _paint_cycle_lanes(street, grid, material)
        for index, node in enumerate(layout.junctions):
            _paint_junction(layout.streets, index, node, grow, look, grid, material, joint)


def _paint_cycle_lanes(street: Street, grid: Grid, material: U8) -> None:
    first, last = street.clear[0], street.length_m - street.clear[1]
    outer, inner = street.half_width_m - 0.28, street.half_width_m - street.cycle_m
    for sign in (1.0, -1.0):
        if last > first:
            grid.fill(material, [street.strip(first, last, sign * outer, sign * inner)], int(Material.CYCLE))


def _paint_junction(
    streets: tuple[Street, ...], index: int, node: Junction, grow: float, look: Material, grid: Grid, material: U8,
    joint: U8,
) -> None:  # fmt: skip
    here = [s for s in streets if index in (s.start, s.end)]
    if node.kind in ("roundabout", "turning"):
        outlines = [_disc(node.centre, node.radius_m + grow)]
        if node.kind == "roundabout":
            outlines += [flare(approach, node, grow) for approach in _approaches(tuple(here), index)]
    elif node.kind == "end" or not here:
        return
    else:
        # Where only two streets meet, the outer kerb runs around the end of the wider one.
        widest = max(s.half_width_m for s in here) if len(here) == 2 else 0.5
        outlines = [_outline(streets, index, node.centre, lambda s: s.half_width_m + grow),
                    _disc(node.centre, widest + grow)]  # fmt: skip
    grid.fill(material, outlines, int(look))
    grid.fill(joint, outlines, 0)


def flare(approach: Approach, node: Junction, grow: float) -> F64:
    """Outline (N, 2) of the wider part of the road before a roundabout."""
    half = approach.street.half_width_m + grow
    s = np.linspace(node.radius_m - 2.5, node.radius_m + FLARE_M, 40)
    share = np.clip((node.radius_m + FLARE_M - s) / FLARE_M, 0, 1.1)
    edge = half + _WIDER_M * share * share * (3 - 2 * np.minimum(share, 1.0))
    length = approach.street.length_m
    along = s if approach.at_start else length - s
    return np.concatenate([approach.street.at(along, edge), approach.street.at(along[::-1], -edge[::-1])])


def _disc(centre: F64, radius_m: float) -> F64:
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    return np.asarray(centre + radius_m * np.column_stack([np.cos(angle), np.sin(angle)]))


def _paint_roundabout(layout: Layout, index: int, node: Junction, grid: Grid, material: U8) -> None:
    """The island in the middle, and those on which people wait half way across the approaches."""
    for radius, look in (
        (node.island_m + 1.3, Material.KERB), (node.island_m + 1.15, Material.COBBLE), (node.island_m, Material.KERB),
        (node.island_m - 0.16, Material.LAWN), (node.island_m * 0.45, Material.FLOWERS),
    ):  # fmt: skip
        grid.disc(material, node.centre, radius, int(look))
    for approach in _approaches(layout.streets, index):
        for grow, look in ((0.16, Material.KERB), (0.0, Material.PAVING)):
            grid.fill(material, [splitter(approach, node, grow)], int(look))
        cut = approach.strip(node.radius_m + 4.6, node.radius_m + 7.6, 1.5, -1.5)
        grid.fill(material, [cut], int(Material.ASPHALT))


def _approaches(streets: tuple[Street, ...], index: int) -> list[Approach]:
    """The ends of streets at a junction."""
    return [
        Approach(street, at_start)
        for street in streets
        for at_start in (True, False)
        if (street.start if at_start else street.end) == index
    ]


def splitter(approach: Approach, node: Junction, grow: float = 0.0) -> F64:
    """Outline (N, 2) of the island between the directions before a roundabout."""
    s = np.linspace(1.2, ISLAND_FAR_M, 20)
    half = np.interp(s, [1.2, ISLAND_FAR_M], [1.15, 0.25]) + grow
    along = node.radius_m + s if approach.at_start else approach.street.length_m - node.radius_m - s
    return np.concatenate([approach.street.at(along, half), approach.street.at(along[::-1], -half[::-1])])


def _paint_median(street: Street, grid: Grid, material: U8) -> None:
    """Grass or stone between the two directions."""
    if street.motorway:
        grid.fill(material, [street.strip(0.0, street.length_m, 1.5, -1.5)], int(Material.LAWN))
    if street.median_m <= 0:
        return
    first = street.clear[0] + 1.5 if street.start >= 0 else 0.0
    last = street.length_m - (street.clear[1] + 1.5 if street.end >= 0 else 0.0)
    if last - first < 6.0:
        return
    look = Material.LAWN if street.rng("median").random() < 0.6 or not street.tram else Material.COBBLE
    for grow, layer in ((0.0, Material.KERB), (-0.16, look)):
        edge = street.median_m + grow
        grid.fill(material, [street.strip(first - grow, last + grow, edge, -edge)], int(layer))


def _paint_wheel_tracks(street: Street, grid: Grid, joint: U8) -> None:
    """Tyres darken two bands of each lane; so do drops of oil between them."""
    lanes = [street.lane_m - k * (3.75 if street.motorway else street.width_m) for k in range(street.lanes)]
    for lane in lanes:
        for sign in (1.0, -1.0):
            for offset, half, value in ((-0.75, 0.24, 60), (0.75, 0.24, 60), (0.0, 0.3, 35)):
                middle = sign * (lane + offset)
                grid.fill(joint, [street.strip(0.0, street.length_m, middle + half, middle - half)], value, smooth=True)


def _outline(streets: tuple[Street, ...], index: int, node: F64, edge_of: Callable[[Street], float]) -> F64:
    """Outline (N, 2) of a junction: the mouths of its streets joined by rounded corners."""
    mouths = []
    for street in streets:
        for end in (False, True):
            if (street.end if end else street.start) == index:
                reach = street.clear[1 if end else 0] - 1.0
                s = np.array([street.length_m - reach if end else reach])
                edge = edge_of(street)
                left, right = (edge, -edge) if end else (-edge, edge)
                ahead = node - street.at(s, 0.0)[0]
                ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
                mouths.append((street.at(s, left)[0], street.at(s, right)[0], ahead))
    mouths.sort(key=lambda mouth: float(np.arctan2(-mouth[2][1], -mouth[2][0])))
    outline: list[F64] = []
    for (left, right, ahead), (next_left, _, next_ahead) in zip(mouths, mouths[1:] + mouths[:1], strict=True):
        outline += [left[None], _corner(right, ahead, next_left, next_ahead)]
    return np.concatenate(outline) if outline else np.zeros((0, 2))


def _corner(a: F64, da: F64, b: F64, db: F64) -> F64:
    """Round the corner (9, 2) between two kerb lines that start at a and b and run along da and db."""
    turn = float(da[0] * db[1] - da[1] * db[0])
    if abs(turn) < 0.35:
        return np.linspace(a, b, 9)
    gap = b - a
    tip = a + da * float(gap[0] * db[1] - gap[1] * db[0]) / turn
    t = np.linspace(0, 1, 9)[:, None]
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * tip + t**2 * b)


def _bay_spans(street: Street) -> list[tuple[float, float, float]]:
    spans = []
    for left, sign in ((True, 1.0), (False, -1.0)):
        slots = street.bay_slots(left=left)
        if len(slots) > 1:
            spans.append((float(slots[0]), float(slots[-1]), sign))
    return spans
