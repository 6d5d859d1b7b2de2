# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Meshes made of quadrilaterals, collected on the CPU and sorted into chunks that can be left out when not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.types import F32, F64

CHUNK_M = 40.0
VERTEX = np.dtype([("position", "<f4", 3), ("uv", "<f4", 2), ("normal", "u1", 4), ("tint", "u1", 4), ("look", "u1", 4)])
VERTEX_FORMAT = "3f 2f 4f1 4f1 4u1"
VERTEX_NAMES = ("in_position", "in_uv", "in_normal", "in_tint", "in_look")
UNIT_UV = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
SOLID, CUT_OUT = 255, 0


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Vertices (4 N,) of `VERTEX`, four for each quadrilateral, and chunks of them.

    `first` and `count` (C,) are quadrilaterals, `centre` (C, 3) and `radius` (C,) spheres around the chunks, metres.
    """

    vertices: NDArray[Any]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    centre: F32
    radius: F32


class MeshBuilder:
    """Collects quadrilaterals."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []

    def add(
        self,
        corners: F64,
        tint: Any,
        layer: Any = 0,
        *,
        uv: F64 | None = None,
        normal: F64 | None = None,
        mode: int = SOLID,
        glow: Any = 0,
    ) -> None:
        """Add quadrilaterals.

        Args:
            corners: (N, 4, 3) metres, x east, y north, z up; a triangle repeats a corner.
            tint: (3,), (N, 3) or (N, 4, 3), 0..255: multiplies the pattern.
            layer: number of the pattern, one or (N,).
            uv: (4, 2) or (N, 4, 2) place in the pattern, 1 is one repetition.
            normal: (N, 3) or (N, 4, 3); by default across the quadrilateral.
            mode: `SOLID`: alpha of the pattern says how much is tinted; `CUT_OUT`: how much is there.
            glow: 0..255, light of its own at night, one or (N,).
        """
        corners = np.asarray(corners, dtype=np.float64).reshape(-1, 4, 3)
        part = np.zeros((len(corners), 4), VERTEX)
        part["position"] = corners
        part["uv"] = UNIT_UV if uv is None else uv
        across = flat_normals(corners) if normal is None else normal
        across = across if across.ndim == 3 else across[:, None]
        part["normal"][..., :3] = _packed(across)
        colour = np.asarray(tint, dtype=np.float64)
        part["tint"][..., :3] = np.clip(colour if colour.ndim != 2 else colour[:, None], 0, 255)
        part["tint"][..., 3] = mode
        part["look"][..., 0] = np.asarray(layer)[..., None] if np.ndim(layer) else layer
        part["look"][..., 1] = np.asarray(glow)[..., None] if np.ndim(glow) else glow
        self._parts.append(part)

    def extend(self, other: MeshBuilder) -> None:
        """Take over the quadrilaterals of another builder."""
        self._parts += other._parts

    def quads(self) -> NDArray[Any]:
        """Return all quadrilaterals (N, 4) of `VERTEX`."""
        return np.concatenate(self._parts) if self._parts else np.zeros((0, 4), VERTEX)

    def build(self) -> Mesh:
        """Sort into chunks."""
        return chunked(self.quads())


def chunked(quads: NDArray[Any]) -> Mesh:
    """Sort quadrilaterals (N, 4) of `VERTEX` into chunks of the ground they stand on."""
    middle = quads["position"].astype(np.float64).mean(axis=1)
    cell = np.floor(middle[:, :2] / CHUNK_M).astype(np.int64)
    key = (cell[:, 0] + 5000) * 10_000 + cell[:, 1] + 5000
    order = np.argsort(key, kind="stable")
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    points = quads["position"][order]
    if len(order):
        low = np.minimum.reduceat(points.min(axis=1), first)
        high = np.maximum.reduceat(points.max(axis=1), first)
    else:
        low = high = np.zeros((0, 3), np.float32)
    centre = np.asarray((low + high) / 2, np.float32)
    radius = np.asarray(np.linalg.norm(high - low, axis=1) / 2, np.float32)
    return Mesh(quads[order].reshape(-1), first.astype(np.int64), count.astype(np.int64), centre, radius)


def moved(quads: NDArray[Any], place: Sequence[float], yaw_rad: float) -> NDArray[Any]:
    """Turn quadrilaterals (N, 4) of `VERTEX` and put their origin to a place (x, y, z), metres."""
    out: NDArray[Any] = quads.copy()
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    out["position"] = quads["position"] @ turn + np.array(place)
    out["normal"][..., :3] = _packed((quads["normal"][..., :3] / 127.5 - 1.0) @ turn)
    return out


def _packed(normal: Any) -> NDArray[np.uint8]:
    return np.asarray(np.rint((np.clip(normal, -1, 1) + 1) * 127.5), dtype=np.uint8)


def flat_normals(corners: F64) -> F64:
    """Unit normals (N, 3) of quadrilaterals (N, 4, 3) whose corners run counter-clockwise."""
    across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    return np.asarray(across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12))


def box_quads(centre: F64, size: F64, yaw_rad: float = 0.0) -> F64:
    """Sides and top (5, 4, 3) of an upright box: centre of its floor (3,), size (3,)."""
    x, y, z = np.asarray(size) / np.array([2.0, 2.0, 1.0])
    ring = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    ring = ring @ np.array([[c, s], [-s, c]])
    low, high = np.column_stack([ring, np.zeros(4)]), np.column_stack([ring, np.full(4, z)])
    quads = [[low[k], low[k - 3], high[k - 3], high[k]] for k in range(4)]
    return np.array([*quads, list(high)]) + np.asarray(centre)


def prism_quads(foot: F64, top: F64, foot_m: float, top_m: float, sides: int = 6) -> F64:
    """Sides (sides, 4, 3) of a pole from one point (3,) to another, with a radius at each end."""
    axis = (top - foot) / max(float(np.linalg.norm(top - foot)), 1e-9)
    aside = np.cross(axis, [1.0, 0.0, 0.0] if abs(axis[0]) < 0.8 else [0.0, 1.0, 0.0])
    aside /= np.linalg.norm(aside)
    third = np.cross(axis, aside)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    ring = np.cos(angle) * aside + np.sin(angle) * third
    low, high = foot + ring * foot_m, top + ring * top_m
    return np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1)
