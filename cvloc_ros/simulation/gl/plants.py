# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Trees, bushes and hedges of a season."""

from __future__ import annotations

import numpy as np

from cvloc_ros.simulation.gl.mesh import CUT_OUT, MeshBuilder, box_quads, prism_quads
from cvloc_ros.simulation.gl.patterns import Pattern
from cvloc_ros.simulation.layout import Tree
from cvloc_ros.simulation.looks import Season
from cvloc_ros.types import F64

_GREENS: dict[Season, F64] = {
    "spring": np.array([[142, 170, 84], [126, 156, 76], [160, 176, 104]], float),
    "summer": np.array([[104, 134, 66], [92, 122, 60], [118, 140, 76]], float),
    "autumn": np.array([[190, 136, 58], [172, 98, 52], [150, 140, 64]], float),
    "winter": np.array([[128, 112, 98], [118, 106, 94], [134, 120, 108]], float),
    "snow": np.array([[150, 142, 136], [140, 134, 130], [156, 148, 142]], float),
}
_CONIFER = np.array([66, 92, 62], float)
_BARE = ("winter", "snow")


def add_tree(mesh: MeshBuilder, tree: Tree, z_m: float, season: Season, rng: np.random.Generator) -> None:
    """Add one tree; the random stream gives its shape, the season its leaves, so that all seasons share the shape."""
    foot = np.array([*tree.centre, z_m])
    shape = np.random.default_rng(int(rng.integers(2**31)))
    if shape.random() < 0.16:
        _add_conifer(mesh, foot, tree, shape, snow=season == "snow")
        return
    crown = min(max(tree.height_m - 2.1 * tree.radius_m, 1.4), 0.36 * tree.height_m)
    trunk = 0.09 + 0.02 * tree.height_m
    top = foot + [0, 0, crown + tree.radius_m * 0.9]
    mesh.add(prism_quads(foot, top, trunk, trunk * 0.5, 6), np.array([104, 88, 72]), int(Pattern.BARK))
    centre = foot + [0, 0, (crown + tree.height_m) / 2]
    half = np.array([tree.radius_m, tree.radius_m, max((tree.height_m - crown) / 2, 1.0)])
    tint = _GREENS[season][int(shape.integers(3))] * shape.uniform(0.9, 1.1)
    _add_cards(mesh, centre, half, tint, shape, bare=season in _BARE)


def _add_cards(mesh: MeshBuilder, centre: F64, half: F64, tint: F64, rng: np.random.Generator, *, bare: bool) -> None:
    """Fill an ellipsoid with flat pieces of foliage."""
    count = 20 + int(8 * half[0])
    way = rng.normal(0, 1, (count, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    reach = rng.uniform(0.2, 0.86, (count, 1)) ** 0.5
    bumps = 1 + 0.13 * np.sin(way[:, :1] * 4 + rng.uniform(0, 6)) + 0.1 * np.sin(way[:, 1:2] * 5 + rng.uniform(0, 6))
    middle = centre + way * reach * half * bumps
    size = half[0] * rng.uniform(0.42, 0.66, (count, 1))
    # Half of the pieces face outwards, the others lie anyhow.
    normal = np.where(np.arange(count)[:, None] % 2 == 0, way, rng.normal(0, 1, (count, 3)))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    aside = np.cross(normal, rng.normal(0, 1, (count, 3)))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    third = np.cross(normal, aside)
    corners = np.stack(
        [middle + size * (sign[0] * aside + sign[1] * third) for sign in ((-1, -1), (1, -1), (1, 1), (-1, 1))], axis=1
    )
    low = (middle[:, 2:] - centre[2]) / half[2]
    shade = (0.68 + 0.3 * reach + 0.16 * low) * rng.uniform(0.88, 1.12, (count, 1))
    light = way + np.array([0, 0, 0.35])
    light /= np.linalg.norm(light, axis=1, keepdims=True)
    layer = Pattern.BRANCHES if bare else Pattern.LEAVES
    mesh.add(corners, tint * shade, int(layer), normal=light, mode=CUT_OUT)


def _add_conifer(mesh: MeshBuilder, foot: F64, tree: Tree, rng: np.random.Generator, *, snow: bool) -> None:
    height, radius = tree.height_m * 1.25, tree.radius_m * 0.8
    mesh.add(prism_quads(foot, foot + [0, 0, height * 0.5], 0.16, 0.08, 5), np.array([92, 76, 62]), int(Pattern.BARK))
    tint = _CONIFER * rng.uniform(0.85, 1.15) + (60 if snow else 0)
    for angle in np.arange(5) * np.pi / 5 + rng.uniform(0, 1):
        aside = np.array([np.cos(angle), np.sin(angle), 0]) * radius
        low, high = foot + [0, 0, 0.5], foot + [0, 0, height]
        quad = np.array([[low - aside, low + aside, high + aside, high - aside]])
        normal = np.stack([-aside / radius, aside / radius, [0, 0, 1.0], [0, 0, 1.0]])[None] * 0.8
        mesh.add(quad, tint, int(Pattern.CONIFER), normal=normal, mode=CUT_OUT)
    # Seen from above it is a disc of branches.
    for level, share in ((0.18, 1.0), (0.42, 0.7), (0.68, 0.4)):
        ring = radius * share * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
        quad = (foot + ring + [0, 0, height * level])[None]
        mesh.add(quad, tint * (0.75 + 0.4 * level), int(Pattern.LEAVES), mode=CUT_OUT)


def add_hedge(mesh: MeshBuilder, a: F64, b: F64, height_m: float, season: Season, rng: np.random.Generator) -> None:
    """Add a hedge between two points (3,)."""
    length = float(np.linalg.norm(b - a))
    if length < 0.6:
        return
    tint = _GREENS["summer" if season in _BARE else season][1] * rng.uniform(0.62, 0.85)
    angle = float(np.arctan2(b[1] - a[1], b[0] - a[0]))
    quads = box_quads((a + b) / 2, np.array([length, 0.8, height_m]), angle)
    uv = np.array([[0, 0], [length / 1.6, 0], [length / 1.6, 1], [0, 1]])
    mesh.add(quads, tint, int(Pattern.HEDGE), uv=uv)
