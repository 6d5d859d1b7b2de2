# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Vehicles and people as small meshes around their own origin, x ahead; `mesh.moved` puts them somewhere."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import numpy as np

from cvloc_ros.simulation.appearance import CAR_COLOURS
from cvloc_ros.simulation.gl.mesh import CUT_OUT, MeshBuilder, box_quads
from cvloc_ros.simulation.gl.patterns import Pattern
from cvloc_ros.types import F64

Kind = Literal["hatchback", "saloon", "estate", "van", "lorry"]
_GLASS = np.array([44, 52, 60], float)
# Length, width, height of bonnet and of roof; cabin: windscreen foot, roof front, roof rear, rear window foot (shares).
_SHAPES: dict[str, tuple[float, float, float, float, tuple[float, float, float, float]]] = {
    "hatchback": (4.0, 1.76, 0.92, 1.48, (0.70, 0.53, 0.10, 0.02)),
    "saloon": (4.6, 1.82, 0.92, 1.44, (0.70, 0.55, 0.28, 0.14)),
    "estate": (4.7, 1.84, 0.95, 1.52, (0.71, 0.56, 0.08, 0.02)),
    "van": (5.3, 1.98, 1.15, 2.2, (0.86, 0.74, 0.01, 0.0)),
    "lorry": (8.4, 2.4, 1.2, 3.0, (0.97, 0.95, 0.8, 0.79)),
}
KINDS: tuple[Kind, ...] = ("hatchback", "saloon", "estate", "van", "hatchback", "estate")


@cache
def vehicle(kind: Kind, colour: int) -> Any:
    """Return the quadrilaterals (N, 4) of a vehicle; its origin is on the ground in its middle."""
    mesh = MeshBuilder()
    length, width, bonnet, top, cabin = _SHAPES[kind]
    body = CAR_COLOURS[colour % len(CAR_COLOURS)].astype(float)
    half = width / 2
    x = (np.array(cabin) - 0.5) * length
    ends = np.array([-length / 2, length / 2])
    _add_body(mesh, ends, half, bonnet, body)
    _add_cabin(mesh, x, half, (bonnet, top), body)
    if kind == "lorry":
        box = box_quads(np.array([-length * 0.12, 0, 0.9]), np.array([length * 0.74, width, 2.6]))
        mesh.add(box, np.array([224, 222, 216]))
    _add_details(mesh, ends, half, bonnet)
    wheel = 0.33 if kind != "lorry" else 0.48
    for share in (0.19, 0.81):
        for side in (-1.0, 1.0):
            _add_wheel(mesh, np.array([(share - 0.5) * length, side * (half + 0.012), wheel]), side, wheel)
    reach = np.array([length / 2 + 0.25, half + 0.25])
    ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * reach
    mesh.add(np.column_stack([ring, np.full(4, 0.03)])[None], np.array([10.0, 10, 12]), int(Pattern.HALO), mode=CUT_OUT)
    return mesh.quads()


def _add_body(mesh: MeshBuilder, ends: F64, half: float, bonnet: float, body: F64) -> None:
    rear, front = ends
    knots = np.array([rear, rear + 0.18, rear + 0.6, front - 0.9, front - 0.25, front])
    upper = np.array([bonnet * 0.78, bonnet * 0.98, bonnet, bonnet, bonnet * 0.88, bonnet * 0.62])
    wide = half * np.array([0.86, 0.97, 1.0, 1.0, 0.96, 0.82])
    low = 0.22
    for k in range(len(knots) - 1):
        for side in (1.0, -1.0):
            quad = [
                [knots[k], side * wide[k], low], [knots[k + 1], side * wide[k + 1], low],
                [knots[k + 1], side * wide[k + 1] * 0.96, upper[k + 1]], [knots[k], side * wide[k] * 0.96, upper[k]],
            ]  # fmt: skip
            mesh.add(np.array([quad if side < 0 else quad[::-1]]), body)
        deck = [
            [knots[k], -wide[k] * 0.96, upper[k]], [knots[k + 1], -wide[k + 1] * 0.96, upper[k + 1]],
            [knots[k + 1], wide[k + 1] * 0.96, upper[k + 1]], [knots[k], wide[k] * 0.96, upper[k]],
        ]  # fmt: skip
        mesh.add(np.array([deck]), body)
    for x, y, z, sign in ((rear, wide[0], upper[0], -1.0), (front, wide[-1], upper[-1], 1.0)):
        quad = [[x, -y, low], [x, y, low], [x, y * 0.96, z], [x, -y * 0.96, z]]
        mesh.add(np.array([quad if sign > 0 else quad[::-1]]), body * 0.92)


def _add_cabin(mesh: MeshBuilder, x: F64, half: float, heights: tuple[float, float], body: F64) -> None:
    foot, front, rear, back = x
    belt, top = heights
    low, high = half * 0.95, half * 0.76
    roof = [[rear, -high, top], [front, -high, top], [front, high, top], [rear, high, top]]
    mesh.add(np.array([roof]), body)
    screen = [[foot, low, belt], [foot, -low, belt], [front, -high, top], [front, high, top]]
    window = [[back, -low, belt], [back, low, belt], [rear, high, top], [rear, -high, top]]
    mesh.add(np.array([screen[::-1], window[::-1]]), body)
    for quad in (screen, window):
        points = np.array(quad, float)
        middle = points.mean(axis=0)
        out = np.array([np.sign(middle[0] - (front + rear) / 2) * 0.012, 0, 0.006])
        mesh.add((middle + (points - middle) * [1, 0.9, 0.86] + out)[None, ::-1], _GLASS)
    for side in (1.0, -1.0):
        points = np.array(
            [[back, side * low, belt], [foot, side * low, belt], [front, side * high, top], [rear, side * high, top]]
        )
        mesh.add(points[None] if side < 0 else points[None, ::-1], body)
        for start, end in ((0.06, 0.47), (0.53, 0.92)):
            lower = points[0] + (points[1] - points[0]) * np.array([[start], [end]])
            upper = points[3] + (points[2] - points[3]) * np.array([[start], [end]])
            glass = np.array([lower[0], lower[1], upper[1] * 0.9 + lower[1] * 0.1, upper[0] * 0.9 + lower[0] * 0.1])
            glass += [0, side * 0.012, 0.03]
            mesh.add(glass[None] if side < 0 else glass[None, ::-1], _GLASS)


def _add_details(mesh: MeshBuilder, ends: F64, half: float, bonnet: float) -> None:
    for x, sign, lamp, glow in ((ends[1], 1.0, (236, 238, 240), 255), (ends[0], -1.0, (176, 26, 24), 120)):
        for side in (-1.0, 1.0):
            y = side * half * 0.68
            spot = [
                [x, y - 0.16, bonnet * 0.5],
                [x, y + 0.16, bonnet * 0.5],
                [x, y + 0.16, bonnet * 0.66],
                [x, y - 0.16, bonnet * 0.66],
            ]
            quad = np.array([spot]) + [0.012 * sign, 0, 0]
            mesh.add(quad if sign > 0 else quad[:, ::-1], np.array(lamp, float), glow=glow)
        plate = np.array([[[x, -0.26, 0.38], [x, 0.26, 0.38], [x, 0.26, 0.5], [x, -0.26, 0.5]]]) + [0.014 * sign, 0, 0]
        mesh.add(plate if sign > 0 else plate[:, ::-1], np.array([226, 226, 214], float))


def _add_wheel(mesh: MeshBuilder, centre: F64, side: float, radius: float) -> None:
    angle = np.linspace(0, 2 * np.pi, 9)
    for size, tint in ((radius, 26.0), (radius * 0.55, 138.0)):
        ring = (
            np.column_stack([np.cos(angle), 0 * angle, np.sin(angle)]) * size
            + centre
            + [0, side * 0.006 * (tint > 50), 0]
        )
        mesh.add(np.stack([ring[:-1:2], ring[1::2], ring[2::2], np.repeat(centre[None], 4, axis=0)], axis=1),
                 np.array([tint] * 3), normal=np.tile([[0.0, side, 0.0]], (4, 1)))  # fmt: skip


@cache
def person(look: int) -> Any:
    """Return the quadrilaterals (N, 4) of a person who stands, or walks, looking along x."""
    rng = np.random.default_rng([31, look])
    mesh = MeshBuilder()
    height = rng.uniform(1.58, 1.86)
    coat, trousers = rng.uniform(30, 200, 3), rng.uniform(25, 110) * np.ones(3)
    step = rng.uniform(0.0, 0.22)
    for side in (-1.0, 1.0):
        leg = box_quads(np.array([side * step, side * 0.1, 0.0]), np.array([0.16, 0.15, height * 0.48]))
        arm = box_quads(
            np.array([-side * step * 0.7, side * 0.27, height * 0.44]), np.array([0.11, 0.1, height * 0.36])
        )
        mesh.add(leg, trousers)
        mesh.add(arm, coat * 0.9)
    mesh.add(box_quads(np.array([0, 0, height * 0.46]), np.array([0.25, 0.42, height * 0.37])), coat)
    mesh.add(
        box_quads(np.array([0, 0, height * 0.84]), np.array([0.2, 0.17, height * 0.14])), np.array([206, 164, 138])
    )
    mesh.add(
        box_quads(np.array([-0.02, 0, height * 0.94]), np.array([0.22, 0.19, height * 0.06])),
        rng.uniform(20, 120) * np.ones(3),
    )
    return mesh.quads()
