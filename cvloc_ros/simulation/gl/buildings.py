# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Houses with floors, windows, doors, roofs and chimneys, raised from the boxes of a plan."""

from __future__ import annotations

from typing import Literal

import numpy as np

from cvloc_ros.simulation.gl.mesh import MeshBuilder, box_quads
from cvloc_ros.simulation.gl.patterns import Pattern
from cvloc_ros.simulation.layout import Box
from cvloc_ros.types import F64

Roof = Literal["gable", "hip", "flat", "mansard", "barn"]
_FLOOR_M, _AXIS_M = 2.8, 2.7
WALLS = np.array(
    [[226, 216, 196], [214, 190, 158], [232, 230, 222], [196, 142, 112], [214, 202, 180], [196, 198, 194],
     [222, 200, 140], [172, 184, 188], [206, 168, 150]], np.float64
)  # fmt: skip
ROOFS = np.array(
    [[168, 112, 92], [146, 102, 88], [112, 106, 106], [136, 128, 122], [176, 124, 104], [100, 94, 92]], float
)
_UPPER = (Pattern.WINDOW, Pattern.SHUTTERS, Pattern.WINDOW, Pattern.BRICK, Pattern.BALCONY)


def add_building(
    mesh: MeshBuilder, house: Box, roof: Roof, z_m: float, rng: np.random.Generator, *, shop: bool
) -> None:
    """Add one building that stands at a height, metres."""
    a, b, c, d = (np.append(corner, z_m) for corner in _counter_clockwise(house.outline))
    if house.kind == "shed":
        _add_shed(mesh, [a, b, c, d], house, rng)
        return
    wall = WALLS[int(rng.integers(len(WALLS)))] * rng.uniform(0.92, 1.04)
    tint = ROOFS[house.look % len(ROOFS)] * rng.uniform(0.88, 1.1)
    if roof == "barn":
        upper = lower = Pattern.SHEETS
    elif roof == "flat" and rng.random() < 0.45:
        upper = lower = Pattern.OFFICE
        wall = wall * 0.35 + 150
    else:
        upper = _UPPER[int(rng.integers(len(_UPPER)))]
        lower = Pattern.GROUND_FLOOR
    up = np.array([0.0, 0.0, house.height_m])
    for k, (p, q) in enumerate(((a, b), (b, c), (c, d), (d, a))):
        _add_wall(mesh, p, q, house.height_m, wall, (lower, upper), rng, front=k % 2 == 0, shop=shop)
    ring = [a + up, b + up, c + up, d + up]
    if roof == "flat":
        _add_flat(mesh, ring, wall, rng)
    elif roof in ("hip", "mansard"):
        _add_hip(mesh, ring, tint, steep=roof == "mansard")
    else:
        _add_gable(mesh, ring, wall, tint, rng, barn=roof == "barn")


def _counter_clockwise(outline: F64) -> F64:
    x, y = outline.T
    area = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return outline if area > 0 else outline[::-1]


def _add_wall(
    mesh: MeshBuilder, p: F64, q: F64, height: float, wall: F64, looks: tuple[Pattern, Pattern],
    rng: np.random.Generator, *, front: bool, shop: bool,
) -> None:  # fmt: skip
    """Add one wall from p to q: a row of the ground floor with a door, and all upper floors as one piece."""
    length = float(np.linalg.norm(q - p))
    axes, floors = max(1, round(length / _AXIS_M)), max(1, round(height / _FLOOR_M))
    floor = height / floors
    lit = int(rng.choice([0, 0, 90, 200]))
    plain = not front and rng.random() < 0.3 and looks[1] not in (Pattern.OFFICE, Pattern.SHEETS)
    lower, upper = (Pattern.PLASTER, Pattern.PLASTER) if plain else looks

    def piece(start: int, end: int, low: float, high: float, look: Pattern) -> None:
        left, right = p + (q - p) * start / axes, p + (q - p) * end / axes
        rise = np.array([[0, 0, low], [0, 0, low], [0, 0, high], [0, 0, high]])
        repeat = np.array([[start, 0], [end, 0], [end, 1], [start, 1]]) * [1, max(1.0, round((high - low) / floor))]
        mesh.add(np.array([[left, right, right, left]]) + rise, wall, int(look), uv=repeat, glow=lit)

    if lower in (Pattern.OFFICE, Pattern.SHEETS):
        piece(0, axes, 0.0, height, upper)
        return
    if shop and front:
        lower = Pattern.SHOP
    door = int(rng.integers(axes)) if front else -1
    if door >= 0:
        look = Pattern.GARAGE if axes > 2 and floors < 4 and rng.random() < 0.3 and not shop else Pattern.DOOR
        piece(door, door + 1, 0.0, floor, look)
    for start, end in ((0, door), (door + 1, axes)):
        if end > start:
            piece(start, end, 0.0, floor, lower)
    if floors > 1:
        piece(0, axes, floor, height, upper)


def _add_shed(mesh: MeshBuilder, ring: list[F64], house: Box, rng: np.random.Generator) -> None:
    """A hut of boards, or a garage."""
    wood = np.array([[136, 104, 76], [110, 92, 76], [150, 146, 138], [120, 128, 110]], float)[house.look % 4]
    up = np.array([0.0, 0.0, house.height_m - 0.4])
    for k in range(4):
        p, q = ring[k], ring[(k + 1) % 4]
        wide = float(np.linalg.norm(q - p)) / 1.6
        uv = np.array([[0, 0], [0, 1], [wide, 1], [wide, 0]])[[0, 3, 2, 1]]
        mesh.add(np.array([[p, q, q + up, p + up]]), wood, int(Pattern.SHEETS), uv=uv)
    _add_gable(mesh, [p + up for p in ring], wood, np.array([104, 98, 94]) * rng.uniform(0.8, 1.2), rng, barn=True)


def _add_flat(mesh: MeshBuilder, ring: list[F64], wall: F64, rng: np.random.Generator) -> None:
    grey = np.array([178, 176, 172]) * rng.uniform(0.7, 1.1)
    corners = np.array(ring)
    middle = corners.mean(axis=0)
    inner = middle + (corners - middle) * 0.965
    rim = np.array([0, 0, 0.45])
    size = np.linalg.norm(corners[1] - corners[0]) / 5, np.linalg.norm(corners[3] - corners[0]) / 5
    uv = np.array([[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]])
    mesh.add(inner[None], grey, int(Pattern.GRAVEL), uv=uv)
    for k in range(4):
        n = (k + 1) % 4
        mesh.add(np.array([[corners[k], corners[n], corners[n] + rim, corners[k] + rim]]), wall * 0.92)
        mesh.add(np.array([[inner[n], inner[k], inner[k] + rim, inner[n] + rim]]), wall * 0.8)
        mesh.add(np.array([[corners[k] + rim, corners[n] + rim, inner[n] + rim, inner[k] + rim]]), wall * 0.85)
    angle = float(np.arctan2(*(corners[1] - corners[0])[[1, 0]]))
    for _ in range(int(rng.integers(1, 5))):
        share = rng.uniform(0.2, 0.8, 2)
        spot = corners[0] + (corners[1] - corners[0]) * share[0] + (corners[3] - corners[0]) * share[1]
        size3 = np.array([rng.uniform(0.8, 3.0), rng.uniform(0.8, 2.4), rng.uniform(0.5, 1.8)])
        mesh.add(box_quads(spot, size3, angle), np.array([186, 188, 190]) * rng.uniform(0.7, 1.1))


def _add_gable(
    mesh: MeshBuilder, ring: list[F64], wall: F64, tint: F64, rng: np.random.Generator, *, barn: bool
) -> None:
    a, b, c, d = ring
    if np.linalg.norm(b - a) < np.linalg.norm(d - a):
        a, b, c, d = b, c, d, a
    depth = float(np.linalg.norm(d - a))
    rise = np.array([0, 0, depth * (0.22 if barn else rng.uniform(0.34, 0.52))])
    along, across = (b - a) / np.linalg.norm(b - a), (d - a) / depth
    left, right = (a + d) / 2 + rise, (b + c) / 2 + rise
    for p, q, tip in ((b, c, right), (d, a, left)):
        mesh.add(
            np.array([[p, q, tip, tip]]), wall, int(Pattern.PLASTER), uv=np.array([[0, 0], [3, 0], [1.5, 1], [1.5, 1]])
        )
    over = 0.45
    drop = rise * (2 * over / depth)
    look = Pattern.SHEETS if barn else Pattern.TILES
    wide = (float(np.linalg.norm(b - a)) + 2 * over) / 2.2
    deep = float(np.hypot(depth / 2 + over, rise[2])) / 2.2
    uv = np.array([[0, 0], [wide, 0], [wide, deep], [0, deep]])
    for eave in (
        (a - along * over - across * over - drop, b + along * over - across * over - drop, right, left),
        (c + along * over + across * over - drop, d - along * over + across * over - drop, left, right),
    ):
        end = along * over * (1 if np.dot(eave[1] - eave[0], along) > 0 else -1)
        corners = np.array([eave[0], eave[1], eave[2] + end, eave[3] - end])
        mesh.add(corners[None], tint, int(look), uv=uv)
        mesh.add((corners - [0, 0, 0.16])[None, ::-1], np.array([120, 104, 90]))
    if not barn:
        _add_chimney(mesh, left, right, across, rng)


def _add_chimney(mesh: MeshBuilder, left: F64, right: F64, across: F64, rng: np.random.Generator) -> None:
    spot = left + (right - left) * rng.uniform(0.15, 0.85) + across * rng.uniform(-0.8, 0.8) - [0, 0, 1.0]
    angle = float(np.arctan2(across[1], across[0]))
    mesh.add(box_quads(spot, np.array([0.55, 0.55, 1.9]), angle), np.array([150, 104, 88]), int(Pattern.BRICK))
    for _ in range(int(rng.integers(0, 3))):
        side = 1.0 if rng.random() < 0.5 else -1.0
        pane = left + (right - left) * rng.uniform(0.15, 0.85)
        out = across * side
        slope = np.array([0, 0, -0.86 * 1.1])
        ahead = (right - left) / np.linalg.norm(right - left) * 0.45
        low = pane + out * 2.2 + slope * 2.2 / 1.1 * 0.44 + [0, 0, 0.12]
        high = pane + out * 1.1 + slope * 1.1 / 1.1 * 0.44 + [0, 0, 0.12]
        quad = np.array([[low - ahead, low + ahead, high + ahead, high - ahead]])
        mesh.add(quad if side < 0 else quad[:, ::-1], np.array([60, 70, 84]))


def _add_hip(mesh: MeshBuilder, ring: list[F64], tint: F64, *, steep: bool) -> None:
    corners = np.array(ring)
    if np.linalg.norm(corners[1] - corners[0]) < np.linalg.norm(corners[3] - corners[0]):
        corners = np.roll(corners, -1, axis=0)
    a, b, c, d = corners
    depth = float(np.linalg.norm(d - a))
    along, across = (b - a) / np.linalg.norm(b - a), (d - a) / depth
    grow = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    if steep:
        inset = 0.9
        top = [
            p - along * inset * s - across * inset * t + [0, 0, 2.4] for p, (s, t) in zip(corners, grow, strict=True)
        ]
        for k in range(4):
            n = (k + 1) % 4
            wide = float(np.linalg.norm(corners[n] - corners[k])) / 2.7
            uv = np.array([[0, 0], [wide, 0], [wide, 1], [0, 1]])
            quad = np.array([[corners[k], corners[n], top[n], top[k]]])
            mesh.add(quad, tint * 0.8, int(Pattern.WINDOW if k % 2 == 0 else Pattern.TILES), uv=uv)
        mesh.add(
            np.array([top]),
            np.array([130, 130, 132]),
            int(Pattern.GRAVEL),
            uv=np.array([[0, 0], [3, 0], [3, 2], [0, 2]]),
        )
        return
    over = 0.45
    eaves = [p + along * over * s + across * over * t for p, (s, t) in zip(corners, grow, strict=True)]
    rise = np.array([0, 0, depth * 0.3])
    left, right = (a + d) / 2 + along * depth / 2 + rise, (b + c) / 2 - along * depth / 2 + rise
    if np.dot(right - left, along) < 0:
        left = right = (left + right) / 2
    deep, wide = depth / 2 / 2.2, float(np.linalg.norm(b - a)) / 2.2
    for piece, run in (
        ((eaves[0], eaves[1], right, left), wide), ((eaves[1], eaves[2], right, right), deep * 2),
        ((eaves[2], eaves[3], left, right), wide), ((eaves[3], eaves[0], left, left), deep * 2),
    ):  # fmt: skip
        uv = np.array([[0, 0], [run, 0], [run - deep, deep], [deep, deep]])
        mesh.add(np.array([piece]), tint, int(Pattern.TILES), uv=uv)
