# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bridges, level crossings, overhead wires, quays, goals, and the signs that belong to junctions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from cvloc_ros.simulation.across import crossing_of
from cvloc_ros.simulation.gl import furniture
from cvloc_ros.simulation.gl.mesh import MeshBuilder, box_quads, prism_quads
from cvloc_ros.simulation.gl.patterns import Pattern
from cvloc_ros.simulation.gl.terrain import Terrain
from cvloc_ros.simulation.layout import Area, Layout, Line, Railway, River, Street
from cvloc_ros.simulation.markings import Approach
from cvloc_ros.types import F64

_STEEL = np.array([132, 136, 138], float)
_STONE = np.array([190, 184, 174], float)


def signs(layout: Layout, others: int, rng: np.random.Generator) -> Iterator[tuple[F64, F64, int]]:
    """Yield foot (2,), the way it faces (2,) and the look of each sign."""
    for street in layout.streets:
        if street.motorway:
            continue
        for at_start in (True, False):
            approach = Approach(street, at_start)
            if (street.start if at_start else street.end) >= 0 and approach.control in ("stop", "yield"):
                offset = -street.corridor_m + min(0.5, street.pavement_m / 2)
                foot = approach.placed(np.zeros((1, 2)), approach.clear_m + 3.0, offset)[0]
                yield foot, _unit(approach.placed(np.array([[-1.0, 0.0]]), approach.clear_m + 3.0, offset)[0] - foot), 1
        for _ in range(others):
            side = 1.0 if rng.random() < 0.5 else -1.0
            s = float(rng.uniform(street.clear[0] + 3, max(street.length_m - street.clear[1] - 3, street.clear[0] + 4)))
            foot = street.at(np.array([s]), -side * (street.corridor_m - 0.5))[0]
            yield foot, -street.ahead(s) * side, int(rng.choice([0, 0, 1, 2]))


def add_works(mesh: MeshBuilder, layout: Layout, terrain: Terrain) -> None:
    """Add all of them."""
    for river in layout.rivers:
        if river.canal:
            _add_quays(mesh, river, layout.streets, terrain)
        for street in layout.streets:
            s = crossing_of(street, river.line)
            if s is not None:
                _add_bridge(mesh, street, s, river.half_m + river.bank_m, terrain)
    for rail in layout.railways:
        if rail.ballast:
            _add_railway(mesh, rail, layout.streets, terrain)
        else:
            _add_tram_wires(mesh, rail, layout.streets, terrain)
    for area in layout.areas:
        if area.kind == "pitch":
            _add_goals(mesh, area, terrain)


def _add_bridge(mesh: MeshBuilder, street: Street, middle_m: float, reach_m: float, terrain: Terrain) -> None:
    """A wall on both sides of the street, or on a motorway what is there already."""
    if street.motorway:
        return
    s = np.linspace(middle_m - reach_m - 1.0, middle_m + reach_m + 1.0, 9)
    for side in (1.0, -1.0):
        points = street.at(s, side * (street.corridor_m + 0.1))
        for a, b in pairwise(points):
            _add_wall(mesh, _on(terrain, a), _on(terrain, b), 1.0)


def _add_wall(mesh: MeshBuilder, a: F64, b: F64, height_m: float) -> None:
    length, angle = float(np.linalg.norm(b - a)), float(np.arctan2(b[1] - a[1], b[0] - a[0]))
    mesh.add(box_quads((a + b) / 2 - [0, 0, 0.1], np.array([length + 0.05, 0.32, height_m]), angle), _STONE,
             int(Pattern.PLASTER))  # fmt: skip


def _add_quays(mesh: MeshBuilder, river: River, streets: tuple[Street, ...], terrain: Terrain) -> None:
    """Railings along a canal, except where a street crosses."""
    gaps = _gaps(river, streets)
    for side in (1.0, -1.0):
        line = river.at(np.arange(0.0, river.length_m, 3.0), side * (river.half_m + 0.5))
        for k, (a, b) in enumerate(pairwise(line)):
            if all(abs(3.0 * k - gap) > half for gap, half in gaps):
                furniture.add_fence(mesh, _on(terrain, a), _on(terrain, b), np.array([96.0, 100, 104]), 1.0)


def _gaps(line: Line, streets: tuple[Street, ...]) -> list[tuple[float, float]]:
    """Where streets cross a line: distance along it and half of the width to leave free."""
    found = []
    for street in streets:
        s = crossing_of(street, line.line)
        if s is not None:
            found.append((line.near(street.at(np.array([s]), 0.0)[0])[0], street.corridor_m + 3.5))
    return found


def _add_railway(mesh: MeshBuilder, rail: Railway, streets: tuple[Street, ...], terrain: Terrain) -> None:
    """Masts with wires, rails that stand out of the ballast, and barriers at the crossings."""
    gaps = _gaps(rail, streets)
    masts = [s for s in np.arange(12.0, rail.length_m, 42.0) if all(abs(s - gap) > half for gap, half in gaps)]
    tops = []
    for s in masts:
        foot = _on(terrain, rail.at(np.array([s]), rail.half_m + 0.9)[0])
        inner = _on(terrain, rail.at(np.array([s]), min(rail.tracks))[0]) + [0, 0, 6.2]
        mesh.add(prism_quads(foot, foot + [0, 0, 7.0], 0.14, 0.1, 6), _STEEL)
        mesh.add(prism_quads(foot + [0, 0, 6.4], inner, 0.05, 0.05, 4), _STEEL)
        tops.append(s)
    for track in rail.tracks:
        for a, b in pairwise(rail.at(np.array(tops), track) if tops else []):
            mesh.add(prism_quads(_on(terrain, a) + [0, 0, 5.4], _on(terrain, b) + [0, 0, 5.4], 0.015, 0.015, 3),
                     np.array([60.0, 60, 62]))  # fmt: skip
    for street in streets:
        s = crossing_of(street, rail.line)
        if s is None or street.motorway:
            continue
        for sign in (1.0, -1.0):
            at = s - sign * (rail.half_m + 2.2)
            foot = _on(terrain, street.at(np.array([at]), -sign * (street.half_width_m + 0.7))[0])
            aside = np.append(street.at(np.array([at]), 0.0)[0] - foot[:2], 0.0) / (street.half_width_m + 0.7)
            mesh.add(prism_quads(foot, foot + [0, 0, 3.0], 0.07, 0.06, 6), _STEEL)
            for k in range(6):  # the raised arm in red and white
                low = foot + aside * 0.1 * k + np.array([0, 0, 1.0 + 0.75 * k])
                mesh.add(prism_quads(low, low + aside * 0.1 + [0, 0, 0.75], 0.06, 0.06, 4),
                         np.array([206.0, 40, 40] if k % 2 else [236.0, 236, 232]))  # fmt: skip
            furniture.add_sign(mesh, foot, -sign * street.ahead(at), 1)


def _add_tram_wires(mesh: MeshBuilder, rail: Railway, streets: tuple[Street, ...], terrain: Terrain) -> None:
    """Poles at the edge of the pavement and the wires between them."""
    street = next(s for s in streets if s.line is rail.line)
    s = np.arange(street.clear[0] + 5.0, max(street.length_m - street.clear[1] - 4.0, street.clear[0] + 6.0), 31.0)
    for place in s:
        for side in (1.0, -1.0):
            foot = _on(terrain, street.at(np.array([place]), side * (street.corridor_m - street.pavement_m + 0.4))[0])
            mesh.add(prism_quads(foot, foot + [0, 0, 7.2], 0.12, 0.09, 6), _STEEL)
            middle = _on(terrain, street.at(np.array([place]), 0.0)[0]) + [0, 0, 6.0]
            mesh.add(prism_quads(foot + [0, 0, 6.9], middle, 0.012, 0.012, 3), np.array([60.0, 60, 62]))
    for track in rail.tracks:
        for a, b in pairwise(street.at(np.append(s, street.length_m), track)):
            mesh.add(prism_quads(_on(terrain, a) + [0, 0, 5.7], _on(terrain, b) + [0, 0, 5.7], 0.012, 0.012, 3),
                     np.array([60.0, 60, 62]))  # fmt: skip


def _add_goals(mesh: MeshBuilder, area: Area, terrain: Terrain) -> None:
    a, b, c, d = area.outline
    white = np.array([238.0, 238, 236])
    for p, q in ((a, d), (b, c)):
        inward = _unit((b - a) if p is a else (a - b)) * 1.4
        posts = [_on(terrain, p + (q - p) * share + inward) for share in (0.42, 0.58)]
        for post in posts:
            mesh.add(prism_quads(post, post + [0, 0, 2.2], 0.06, 0.06, 6), white)
        mesh.add(prism_quads(posts[0] + [0, 0, 2.2], posts[1] + [0, 0, 2.2], 0.06, 0.06, 6), white)


def _on(terrain: Terrain, point: F64) -> F64:
    return np.append(point, float(terrain.height(point)))


def _unit(vector: F64) -> F64:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))
