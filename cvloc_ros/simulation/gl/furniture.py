# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stands along streets: lamps, signs, fences, gantries, barriers."""

from __future__ import annotations

import numpy as np

from cvloc_ros.simulation.gl.mesh import CUT_OUT, MeshBuilder, box_quads, prism_quads
from cvloc_ros.simulation.gl.patterns import Pattern
from cvloc_ros.types import F64

_STEEL = np.array([150, 154, 158], float)


def add_lamp(mesh: MeshBuilder, foot: F64, inward: F64, height_m: float = 6.5) -> None:
    """Add a lamp post whose arm reaches along `inward` (2,)."""
    top = foot + [0, 0, height_m]
    end = top + np.append(inward * 1.3, 0.25)
    mesh.add(prism_quads(foot, top, 0.08, 0.05, 6), _STEEL)
    mesh.add(prism_quads(top, end, 0.04, 0.04, 4), _STEEL)
    angle = float(np.arctan2(inward[1], inward[0]))
    mesh.add(box_quads(end - [0, 0, 0.1], np.array([0.6, 0.22, 0.1]), angle), np.array([210, 212, 206]), glow=255)


def add_sign(mesh: MeshBuilder, foot: F64, facing: F64, look: int) -> None:
    """Add a sign that is read by those who look against `facing` (2,)."""
    pattern = (Pattern.SIGN_ROUND, Pattern.SIGN_TRIANGLE, Pattern.SIGN_BLUE)[look % 3]
    mesh.add(prism_quads(foot, foot + [0, 0, 2.5], 0.03, 0.03, 5), _STEEL)
    aside = np.array([-facing[1], facing[0], 0.0])
    half, low = (0.32, 2.1) if pattern is not Pattern.SIGN_BLUE else (0.5, 2.2)
    middle = foot + np.append(facing * 0.05, 0)
    quad = np.array([[middle - aside * half, middle + aside * half, middle + aside * half, middle - aside * half]])
    quad[:, :2, 2] += low
    quad[:, 2:, 2] += low + 2 * half * (1.0 if pattern is not Pattern.SIGN_BLUE else 0.6)
    mode = CUT_OUT if pattern is not Pattern.SIGN_BLUE else 255
    mesh.add(quad, np.array([255.0] * 3), int(pattern), mode=mode, normal=np.append(facing, 0.0)[None])
    back = quad - np.append(facing * 0.02, 0)
    mesh.add(
        back[:, [1, 0, 3, 2]],
        np.array([120.0, 122, 126]),
        int(pattern),
        mode=mode,
        normal=-np.append(facing, 0.0)[None],
    )


def add_fence(mesh: MeshBuilder, a: F64, b: F64, tint: F64, height_m: float = 1.1) -> None:
    """Add a fence between two points (3,)."""
    length = float(np.linalg.norm(b - a))
    if length < 0.5:
        return
    up = np.array([0, 0, height_m])
    uv = np.array([[0, 0], [length / 1.8, 0], [length / 1.8, 1], [0, 1]])
    mesh.add(np.array([[a, b, b + up, a + up]]), tint, int(Pattern.FENCE), uv=uv, mode=CUT_OUT)


def add_barrier(mesh: MeshBuilder, line: F64, height_m: float = 0.78) -> None:
    """Add a guard rail along a line (N, 3)."""
    a, b = line[:-1], line[1:]
    low, high = np.array([0, 0, height_m - 0.32]), np.array([0, 0, height_m])
    mesh.add(np.stack([a + low, b + low, b + high, a + high], axis=1), _STEEL * 1.1, int(Pattern.SHEETS),
             uv=np.array([[0, 0.0], [0, 0.1], [0.1, 0.1], [0.1, 0]]))  # fmt: skip
    for foot in line[::2]:
        mesh.add(box_quads(foot, np.array([0.1, 0.1, height_m])), _STEEL * 0.8)


def add_gantry(mesh: MeshBuilder, left: F64, right: F64, ahead: F64) -> None:
    """Add a sign gantry over a road between two feet (3,)."""
    up = np.array([0, 0, 6.6])
    for foot in (left, right):
        mesh.add(prism_quads(foot, foot + up, 0.22, 0.18, 6), _STEEL)
    mesh.add(prism_quads(left + up, right + up, 0.2, 0.2, 4), _STEEL)
    face = np.append(-ahead, 0.0)
    across = (right - left) / np.linalg.norm(right - left)
    for share in (0.32, 0.68):
        middle = left + (right - left) * share + [0, 0, 5.0] + face * 0.3
        quad = [
            middle - across * 2.4,
            middle + across * 2.4,
            middle + across * 2.4 + [0, 0, 2.4],
            middle - across * 2.4 + [0, 0, 2.4],
        ]
        mesh.add(np.array([quad]), np.array([255.0] * 3), int(Pattern.SIGN_BLUE), normal=face[None])
