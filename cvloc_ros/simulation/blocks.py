# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a place is divided into blocks: straight ways on a plane that is bent afterwards, so that all streets curve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cvloc_ros.simulation.layout import resample
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES, Style
from cvloc_ros.types import F64

BEYOND_M = 15.0
_APART_M = 42.0
End = Literal["join", "out", "turn", "end"]


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A street from end to end: path (N, 2), rank (0 main, 1 side, 2 lane), what is at its ends, its own seed."""

    path: F64
    rank: int
    ends: tuple[End, End]
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """A smooth shift of the plane: sums of waves, wave numbers (K, 2), shifts (K, 2) m, phases (K,)."""

    number: F64
    shift: F64
    phase: F64

    @classmethod
    def drawn(cls, rng: np.random.Generator, slope: float) -> Bend:
        """Draw one whose lines turn by about `slope` radians."""
        length, angle = rng.uniform(170.0, 380.0, 4), rng.uniform(0, 2 * np.pi, (2, 4))
        number = 2 * np.pi / length[:, None] * np.stack([np.cos(angle[0]), np.sin(angle[0])], axis=-1)
        size = slope * length / (2 * np.pi) / 1.6
        shift = size[:, None] * np.stack([np.cos(angle[1]), np.sin(angle[1])], axis=-1)
        return cls(number, shift, rng.uniform(0, 2 * np.pi, 4))

    def __call__(self, points: F64) -> F64:
        """Shift points (..., 2)."""
        return np.asarray(points + np.sin(points @ self.number.T + self.phase) @ self.shift)


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of the unbent plane: west, east, south, north (m), and the ways on those sides (-1: world's edge)."""

    sides: tuple[float, float, float, float]
    ways: tuple[int, int, int, int]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        return self.sides[1] - self.sides[0], self.sides[3] - self.sides[2]


@dataclass(slots=True)
class Blocks:
    """Ways and blocks while they are drawn."""

    rng: np.random.Generator
    style: Style
    ways: list[Way] = field(default_factory=list)
    joints: list[list[float]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    kept: list[F64] = field(default_factory=list)
    """Points of crescents and stubs, which other streets keep away from."""

    def add(self, path: F64, rank: int, ends: tuple[End, End]) -> int:
        """Add a way; returns its number."""
        self.ways.append(Way(path, rank, ends, int(self.rng.integers(2**31))))
        self.joints.append([])
        return len(self.ways) - 1

    def fits(self, way: int, place: float) -> bool:
        """Tell whether a street may join a way here: where another does, or well away from all others."""
        return way < 0 or all(abs(place - j) < 0.5 or abs(place - j) >= _APART_M for j in self.joints[way])

    def crowded(self, path: F64) -> bool:
        """Tell whether a way (N, 2) comes too near to a crescent or a stub."""
        line = resample(path, 4.0)
        return any(
            float(np.linalg.norm(points[:, None] - line[None], axis=-1).min()) < _APART_M - 6.0 for points in self.kept
        )

    def keep(self, path: F64) -> None:
        """Keep other streets away from the inner part of a way (N, 2)."""
        line = resample(path, 4.0)
        self.kept.append(line[4:] if len(line) > 8 else line)

    def cut(self, block: Block) -> None:
        """Divide a block by streets until its parts are small enough."""
        size = block.size
        limit = self.style.block_m * float(self.rng.uniform(1.1, 1.75))
        for axis in (0, 1) if size[0] > size[1] else (1, 0):
            low, high = (2, 3) if axis == 0 else (0, 1)
            ends = block.ways[low], block.ways[high]
            if size[axis] < limit or max(ends) < 0:
                continue
            a, b = block.sides[low], block.sides[high]
            place = self._place(block.sides[2 * axis], block.sides[2 * axis + 1], ends, (a, b), axis)
            if place is None:
                continue
            line = _across(axis, place, a, b)
            new = self.add(line, 1, ("join" if ends[0] >= 0 else "out", "join" if ends[1] >= 0 else "out"))
            for end in ends:
                if end >= 0:
                    self.joints[end].append(place)
            first, second = list(block.sides), list(block.sides)
            ways, others = list(block.ways), list(block.ways)
            first[2 * axis + 1] = second[2 * axis] = place
            ways[2 * axis + 1] = others[2 * axis] = new
            self.cut(Block((first[0], first[1], first[2], first[3]), (ways[0], ways[1], ways[2], ways[3])))
            self.cut(Block((second[0], second[1], second[2], second[3]), (others[0], others[1], others[2], others[3])))
            return
        self.blocks.append(block)

    def _place(
        self, low: float, high: float, ends: tuple[int, int], reach: tuple[float, float], axis: int
    ) -> float | None:
        for _ in range(12):
            place = float(self.rng.uniform(low + 0.34 * (high - low), high - 0.34 * (high - low)))
            near = [j for end in ends if end >= 0 for j in self.joints[end] if abs(j - place) < _APART_M]
            place = min(near, key=lambda j: abs(j - place)) if near else place
            fits = all(self.fits(end, place) for end in ends) and min(place - low, high - place) > 38.0
            if fits and not self.crowded(_across(axis, place, *reach)):
                return place
        return None

    def stub(self, block: Block, depth: tuple[float, float], end: End, rank: int = 1) -> bool:
        """Lead a street from one side of a block into it, where there is room."""
        for side in self.rng.permutation(4).tolist():
            axis = 1 if side < 2 else 0  # the axis along that side
            way, room = block.ways[side], block.size[1 - axis]
            low, high = block.sides[2 * axis], block.sides[2 * axis + 1]
            length = float(self.rng.uniform(*depth)) * room
            place = float(self.rng.uniform(0.38, 0.62)) * (high - low) + low
            if way < 0 or high - low < 88 or length < 34 or room - length < 36 or not self.fits(way, place):
                continue
            if any(abs(place - j) < 0.5 for j in self.joints[way]):
                continue
            inward = 1.0 if side in (0, 2) else -1.0
            foot = np.array([block.sides[side], place] if axis == 1 else [place, block.sides[side]])
            way_in = inward * length * np.array([1.0, 0.0] if axis == 1 else [0.0, 1.0])
            path = np.array([foot, foot + way_in])
            if self.crowded(path):
                continue
            self.add(path, rank, ("join", end))
            self.keep(path)
            self.joints[way].append(place)
            return True
        return False

    def crescent(self, block: Block, rank: int = 1) -> bool:
        """Lead a street from one side of a block into it and back, round at its corners."""
        for side in (2, 3):
            way, depth = block.ways[side], float(self.rng.uniform(52.0, 66.0))
            low, high = block.sides[0], block.sides[1]
            if way < 0 or high - low < 150 or block.size[1] - depth < 34:
                continue
            for _ in range(10):
                a = low + float(self.rng.uniform(38.0, 0.45 * (high - low)))
                b = a + float(self.rng.uniform(82.0, 120.0))
                free = all(abs(p - j) >= _APART_M for p in (a, b) for j in self.joints[way])
                if not free or b > high - 38:
                    continue
                inner = block.sides[side] + (depth if side == 2 else -depth)
                corners = np.array([[a, block.sides[side]], [a, inner], [b, inner], [b, block.sides[side]]])
                self.add(_rounded(corners, 19.0), rank, ("join", "join"))
                self.keep(_rounded(corners, 19.0))
                self.joints[way] += [a, b]
                return True
        return False


def _across(axis: int, place: float, low: float, high: float) -> F64:
    """A line (2, 2) from low to high at a place on the other axis (0: it runs north)."""
    return np.array([[place, low], [place, high]] if axis == 0 else [[low, place], [high, place]])


def _rounded(corners: F64, radius_m: float) -> F64:
    """Round the inner corners of a polyline (N, 2)."""
    out = [corners[:1]]
    for a, b, c in zip(corners[:-2], corners[1:-1], corners[2:], strict=True):
        start = b + (a - b) / np.linalg.norm(a - b) * radius_m
        end = b + (c - b) / np.linalg.norm(c - b) * radius_m
        t = np.linspace(0, 1, 24)[:, None]
        out.append((1 - t) ** 2 * start + 2 * t * (1 - t) * b + t**2 * end)
    return np.concatenate([*out, corners[-1:]])


def draw_blocks(scene: Scene) -> tuple[list[Way], Bend]:
    """Draw the ways of a scene, and the bend that makes a place of them."""
    rng, style = scene.rng("streets"), STYLES[scene.style]
    half = np.array(scene.size_m) / 2 + BEYOND_M
    blocks = Blocks(rng, style)
    middle = float(rng.uniform(-0.14, 0.14)) * scene.size_m[1]
    main = blocks.add(np.array([[-half[0], middle], [half[0], middle]]), 0, ("out", "out"))
    upper = Block((-half[0], half[0], middle, half[1]), (-1, -1, main, -1))
    lower = Block((-half[0], half[0], -half[1], middle), (-1, -1, -1, main))
    for block in (upper, lower):
        if style.crescents and rng.random() < style.crescents:
            blocks.crescent(block, rank=1)
        blocks.cut(block)
    for block in list(blocks.blocks):
        for _ in range(style.stubs):
            if rng.random() < 0.8:
                blocks.stub(block, (0.42, 0.62), style.stub_end, rank=2 if style.stub_end == "end" else 1)
    return blocks.ways, Bend.drawn(rng, style.bend)


def bent(way: Way, bend: Bend) -> F64:
    """The path of a way in the world (N, 2) in steps of 0.5 m."""
    return resample(bend(resample(way.path, 0.5)), 0.5)
