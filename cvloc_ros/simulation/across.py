# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What crosses a whole place: a railway, a river or canal, tram tracks in the main street."""

from __future__ import annotations

import numpy as np

from cvloc_ros.simulation.blocks import BEYOND_M
from cvloc_ros.simulation.layout import STEP_M, Railway, River, Street, resample
from cvloc_ros.simulation.network import Network
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.types import F64

_TRIES = 41


def railways(scene: Scene, network: Network) -> tuple[Railway, ...]:
    """Lay the railway and the tram of a place, where it has them."""
    rng, style = scene.rng("rails"), STYLES[scene.style]
    found = []
    if rng.random() < style.railway:
        line = _free_line(scene, network, room_m=30.0, rng=rng)
        if line is not None:
            found.append(Railway(line, tracks=(-2.0, 2.0) if rng.random() < 0.6 else (0.0,)))
    trams = [Railway(street.line, tracks=(-1.6, 1.6), ballast=False) for street in network.streets if street.tram]
    return (*found, *trams)


def rivers(scene: Scene, network: Network, rails: tuple[Railway, ...]) -> tuple[River, ...]:
    """Lay the water that runs through a place, where it has any."""
    rng, style = scene.rng("river"), STYLES[scene.style]
    if rng.random() >= style.river:
        return ()
    half = float(rng.uniform(3.0, 6.5))
    line = _free_line(scene, network, room_m=half + 27.0, rng=rng, rails=tuple(r.line for r in rails if r.ballast))
    if line is None:
        return ()
    return (River(line, half_m=half, bank_m=1.2 if style.canal else 3.4, canal=style.canal),)


def _free_line(
    scene: Scene, network: Network, *, room_m: float, rng: np.random.Generator, rails: tuple[F64, ...] = ()
) -> F64 | None:
    """Find a line through the world that crosses streets steeply and keeps away from their junctions and ends."""
    half = np.array(scene.size_m) / 2 + BEYOND_M
    nodes = np.array([junction.centre for junction in network.junctions]).reshape(-1, 2)
    others = np.concatenate([np.zeros((0, 2)), *rails])
    best, chosen = 0.0, None
    for _ in range(_TRIES):
        axis = int(rng.integers(2)) if scene.style != "motorway" else 1
        place = float(rng.uniform(-0.8, 0.8)) * half[1 - axis]
        ends = np.array([[-half[0], place], [half[0], place]] if axis == 0 else [[place, -half[1]], [place, half[1]]])
        line = resample(network.bend(resample(ends, 1.0)), STEP_M)
        if len(others) and _distance(line, others) < 2 * room_m:
            continue
        if len(nodes) and _distance(line, nodes) < room_m:
            continue
        steep = [_crosses_well(line, street, room_m) for street in network.streets]
        if not all(value is not False for value in steep):
            continue
        score = sum(value is True for value in steep) + 0.5 * float(rng.random())
        if score > best and score >= 1.0:
            best, chosen = score, line
    return chosen


def _crosses_well(line: F64, street: Street, room_m: float) -> bool | None:
    """None: the street stays away from the line; else whether it crosses it once, steeply, in its inner part."""
    away = np.min(np.linalg.norm(street.line[::4, None] - line[None, ::4], axis=-1), axis=1)
    reach = room_m * 0.8 + street.corridor_m
    if away.min() > reach:
        return None
    index = int(away.argmin())
    if away[index] > 3.0:
        return False
    close = np.flatnonzero(away < reach)
    # A street that runs along the line is close to it for long.
    if (close[-1] - close[0]) * 4 * STEP_M > 2.9 * reach:
        return False
    s = index * 4 * STEP_M
    inner = (street.start < 0 or s > street.clear[0] + room_m * 0.6) and (
        street.end < 0 or s < street.length_m - street.clear[1] - room_m * 0.6
    )
    return bool(inner)


def _distance(line: F64, points: F64) -> float:
    return float(np.min(np.linalg.norm(points[:, None] - line[None, ::6], axis=-1)))


def crossing_of(street: Street, line: F64) -> float | None:
    """Distance along a street at which another line crosses it."""
    away = np.min(np.linalg.norm(street.line[::2, None] - line[None, ::2], axis=-1), axis=1)
    index = int(away.argmin())
    return index * 2 * STEP_M if away[index] < 1.6 else None
