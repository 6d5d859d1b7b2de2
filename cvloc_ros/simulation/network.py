# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The streets of a place and where they meet: from ways to streets between junctions, with who gives way to whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from cvloc_ros.simulation.blocks import BEYOND_M, Bend, Way, bent, draw_blocks
from cvloc_ros.simulation.layout import STEP_M, Control, Junction, Street, resample
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES, Style
from cvloc_ros.types import F64

FLARE_M = 13.0
"""How far from a roundabout its approaches begin to widen."""
_TURNING_M = 8.6
_MERGE_M = 3.0
_SHORTEST_M = 26.0


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Junctions and streets, and the bend that the plane has."""

    junctions: tuple[Junction, ...]
    streets: tuple[Street, ...]
    bend: Bend


@dataclass(frozen=True, slots=True)
class _Arm:
    """One end of a street at a junction."""

    street: int
    end: Literal[0, 1]


def make_network(scene: Scene) -> Network:
    """Lay the streets of a scene. All of them can be reached from all others."""
    rng, style = scene.rng("network"), STYLES[scene.style]
    if scene.style == "motorway":
        bend = Bend.drawn(rng, 0.0)
        return Network((), (_motorway(scene, scene.rng("streets"), style),), bend)
    ways, bend = draw_blocks(scene)
    lines = [bent(way, bend) for way in ways]
    nodes = _nodes(ways, lines)
    streets: list[Street] = []
    owner: list[int] = []
    for index, (way, line) in enumerate(zip(ways, lines, strict=True)):
        for street in _split(way, line, nodes, scene, style):
            streets.append(street)
            owner.append(index)
    junctions = [Junction(node) for node in nodes]
    for way, line in zip(ways, lines, strict=True):
        for end, place in ((way.ends[0], line[0]), (way.ends[1], line[-1])):
            if end in ("turn", "end"):
                node = int(np.linalg.norm(nodes - place, axis=1).argmin())
                junctions[node] = replace(
                    junctions[node], kind="turning" if end == "turn" else "end", radius_m=_TURNING_M
                )
    _add_roundabout(junctions, streets, style, rng)
    arms = arms_of(len(junctions), streets)
    for node, ends in enumerate(arms):
        _regulate(junctions[node], ends, streets, owner, style, rng)
    return Network(tuple(junctions), tuple(streets), bend)


def arms_of(count: int, streets: list[Street]) -> list[list[_Arm]]:
    """The ends of streets at each junction."""
    arms: list[list[_Arm]] = [[] for _ in range(count)]
    for index, street in enumerate(streets):
        if street.start >= 0:
            arms[street.start].append(_Arm(index, 0))
        if street.end >= 0:
            arms[street.end].append(_Arm(index, 1))
    return arms


def _nodes(ways: list[Way], lines: list[F64]) -> F64:
    """Places (N, 2) at which ways end, unless they leave the world."""
    nodes: list[F64] = []
    for way, line in zip(ways, lines, strict=True):
        for end, place in ((way.ends[0], line[0]), (way.ends[1], line[-1])):
            if end != "out" and not any(np.linalg.norm(place - node) < _MERGE_M for node in nodes):
                nodes.append(place)
    return np.array(nodes).reshape(-1, 2)


def _split(way: Way, line: F64, nodes: F64, scene: Scene, style: Style) -> list[Street]:
    """Cut a way at the junctions that lie on it."""
    rng = np.random.default_rng(way.seed)
    cuts: list[tuple[int, int]] = []
    for node, place in enumerate(nodes):
        away = np.linalg.norm(line - place, axis=1)
        if away.min() < _MERGE_M:
            cuts.append((int(away.argmin()), node))
    cuts.sort()
    pieces = [(a, b, i, j) for (a, i), (b, j) in pairwise(cuts)]
    if way.ends[0] == "out" and cuts:
        pieces.insert(0, (0, cuts[0][0], -1, cuts[0][1]))
    if way.ends[1] == "out" and cuts:
        pieces.append((cuts[-1][0], len(line) - 1, cuts[-1][1], -1))
    if not cuts:
        pieces = [(0, len(line) - 1, -1, -1)]
    plan = _profile(way.rank, scene, style, rng)
    streets = []
    for a, b, start, end in pieces:
        leaves = min(start, end) < 0
        if leaves and cuts and (b - a) * STEP_M < _SHORTEST_M:
            continue
        if leaves and cuts and way.rank > 0 and rng.random() < 0.35:
            continue
        part = line[a : b + 1].copy()
        for node, index in ((start, 0), (end, -1)):
            part[index] = nodes[node] if node >= 0 else part[index]
        bays = tuple(bool(v) for v in rng.random(2) < style.bay_chance[min(way.rank, 1)])
        streets.append(replace(
            plan, line=resample(part, STEP_M), start=start, end=end, bays=(bays[0], bays[1]),
            seed=int(rng.integers(2**31)),
        ))  # fmt: skip
    return streets


def _profile(rank: int, scene: Scene, style: Style, rng: np.random.Generator) -> Street:
    """Draw the cross section of a way."""
    kind = min(rank, 1)
    half = style.half_width_m[kind] * (float(rng.uniform(0.92, 1.1)) if kind else 1.0)
    tram = rank == 0 and rng.random() < style.tram
    cycle = 1.5 if rank == 0 and rng.random() < style.cycle else 0.0
    median, lanes = 0.0, 1
    if rank == 0 and style.boulevard and min(scene.size_m) > 150:
        median, lanes = (3.4 if tram else 1.6), 2
        half = median + 2 * 3.05
    elif tram:
        half = max(half, 4.2)
    if rank == 2:
        half = min(half, 2.3)
    lined = rank == 0 or (rank == 1 and style.bay_chance[1] > 0.2 and rng.random() < 0.6)
    return Street(
        line=np.zeros((2, 2)), start=-1, end=-1, main=rank == 0, half_width_m=half + cycle,
        verge_m=0.0 if rank in (0, 2) else float(rng.choice(style.verges_m)),
        pavement_m=style.pavement_m[kind] if rank < 2 else 0.0, bays=(False, False), median_m=median, lanes=lanes,
        cycle_m=cycle, lined=lined, tram=tram, cobbled=bool(rank > 0 and rng.random() < style.cobbles),
    )  # fmt: skip


def _add_roundabout(
    junctions: list[Junction], streets: list[Street], style: Style, rng: np.random.Generator
) -> None:
    """Make the junction with the widest arms a roundabout, if they are long enough."""
    if rng.random() >= style.roundabout:
        return
    island = float(rng.uniform(4.8, 7.5))
    radius = island + float(rng.uniform(6.4, 7.4))
    best, chosen = 0.0, -1
    for node, arms in enumerate(arms_of(len(junctions), streets)):
        roads = [streets[arm.street] for arm in arms]
        if len(roads) < 3 or min(road.length_m for road in roads) < radius + FLARE_M + 26.0:
            continue
        wide = sum(road.half_width_m for road in roads) - 0.01 * float(np.linalg.norm(junctions[node].centre))
        if wide > best and not any(road.median_m for road in roads):
            best, chosen = wide, node
    if chosen >= 0:
        junctions[chosen] = replace(junctions[chosen], kind="roundabout", radius_m=radius, island_m=island)


def _regulate(
    junction: Junction, arms: list[_Arm], streets: list[Street], owner: list[int], style: Style,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Say who waits at a junction, where its markings begin and where people cross."""
    ranks = {arm: 0 if streets[arm.street].main else 1 if streets[arm.street].lined else 2 for arm in arms}
    through = {arm: sum(owner[o.street] == owner[arm.street] for o in arms) == 2 for arm in arms}
    signals = style.signals and len(arms) > 2 and (min(ranks.values()) == 0 or rng.random() < 0.4)
    equal = len(arms) == 4 and len(set(ranks.values())) == 1
    priority: Control = "stop" if rng.random() < 0.4 else "yield"
    widths = {arm: streets[arm.street].half_width_m for arm in arms}
    for arm in arms:
        street = streets[arm.street]
        control: Control = "none"
        if junction.kind == "roundabout":
            control, clear = "yield", junction.radius_m + FLARE_M
        elif junction.kind in ("turning", "end"):
            clear = junction.radius_m + 1.0
        else:
            others = [w for o, w in widths.items() if owner[o.street] != owner[arm.street]]
            clear = max(9.0, max(others, default=0.0) + 5.2)
            minor = not through[arm] if len(arms) == 3 else ranks[arm] > min(ranks.values())
            if signals:
                control = "signal"
            elif len(arms) > 2 and (minor or (equal and ranks[arm] == 0)):
                control = priority if ranks[arm] < 2 or not equal else "none"
        crossing = junction.kind == "crossing" and street.pavement_m > 1.0 and len(arms) > 2
        crossing = crossing and bool(rng.random() < style.zebra * (1.3 if street.main else 1.0))

        def at(values: tuple[object, object], new: object, end: int = arm.end) -> tuple[object, object]:
            return (new, values[1]) if end == 0 else (values[0], new)

        streets[arm.street] = replace(
            street, clear=at(street.clear, clear), controls=at(street.controls, control),  # type: ignore[arg-type]
            crossings=at(street.crossings, crossing),  # type: ignore[arg-type]
        )  # fmt: skip


def _motorway(scene: Scene, rng: np.random.Generator, style: Style) -> Street:
    """One road with two carriageways through the whole world, in wide bends."""
    across = scene.size_m[0] / 2 + BEYOND_M
    x = np.arange(-across, across, 1.0)
    swing = min(12.0, scene.size_m[1] / 8)
    y = swing * np.sin(x / 210.0 + rng.uniform(0, 6)) + 0.5 * swing * np.sin(x / 120.0 + rng.uniform(0, 6))
    line = resample(np.column_stack([x, y]), STEP_M)
    return Street(line, -1, -1, main=True, half_width_m=style.half_width_m[0], verge_m=style.verges_m[0],
                  pavement_m=0.0, bays=(False, False), motorway=True, lanes=2,
                  seed=int(rng.integers(2**31)))  # fmt: skip
