# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What stands upright in a town, seen from a point: the nearest wall, crown or post in every direction."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.simulation.layout import Box, Layout
from cvloc_ros.types import F32, F64

_REACH_M = 170.0
RIDGE_M = 2.6


@enum.unique
class Kind(enum.IntEnum):
    """What a curtain shows; chooses its colours."""

    HOUSE = 0
    CAR = 1
    CROWN = 2
    POST = 3
    HILLS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Curtain:
    """The nearest upright things of one kind in N directions: distance (inf: none), lower and upper edge (m).

    `along` is the position along the thing (m), `length` its length (m), `look` its variant, `light` 0..1.2,
    `owner` its number among the things of its kind.
    """

    kind: Kind
    distance: F32
    bottom: F32
    top: F32
    along: F32
    length: F32
    look: F32
    light: F32
    owner: F32


@dataclass(frozen=True, slots=True, eq=False)
class Roofs:
    """The gable roofs over the nearest houses in N directions, as planes along each ray, one entry a direction.

    At a distance d the ray is at `side` + d `side_rate` across the ridge and at `along` + d `along_rate` along it (m).
    """

    side: F32
    side_rate: F32
    along: F32
    along_rate: F32
    half_depth: F32
    half_length: F32
    eave: F32
    look: F32

    def hit(self, bins: NDArray[np.int32], slope: F32, eye_m: float) -> tuple[F32, F32, F32]:
        """Meet rays of a slope with the roofs: distance (inf: none), place along the ridge, height above the eave."""
        side, rate, half = self.side[bins], self.side_rate[bins], self.half_depth[bins]
        eave, pitch = self.eave[bins], np.float32(RIDGE_M) / half
        best = np.full(len(bins), np.inf, np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            for sign in (np.float32(1.0), np.float32(-1.0)):
                d = (eave + RIDGE_M - eye_m - sign * pitch * side) / (slope + sign * pitch * rate)
                across = sign * (side + d * rate)
                inside = (across >= 0) & (across <= half) & (d > 0.3)
                inside &= np.abs(self.along[bins] + d * self.along_rate[bins]) <= self.half_length[bins]
                best = np.where(inside & (d < best), d, best).astype(np.float32)
            height = np.asarray(eye_m + best * slope - eave, dtype=np.float32)
        along = self.along[bins] + np.where(np.isfinite(best), best, np.float32(0)) * self.along_rate[bins]
        return best, np.asarray(along, dtype=np.float32), height


@dataclass(frozen=True, slots=True, eq=False)
class Walls:
    """Upright walls (S, ...): start and end (S, 2), heights, extra height of the middle (gables), look."""

    kind: Kind
    start: F64
    end: F64
    bottom: F64
    top: F64
    gable: F64
    look: F64
    owner: F64

    @classmethod
    def around(cls, kind: Kind, boxes: Sequence[tuple[int, Box]], bottom_m: float, gable_m: float) -> Walls:
        """Return the walls of boxes, each with its number; `gable_m` is added over the middle of the short walls."""
        outlines = np.array([box.outline for _, box in boxes]).reshape(-1, 4, 2)
        height, look = (np.repeat([float(v) for v in column], 4) for column in (
            [box.height_m for _, box in boxes], [box.look for _, box in boxes]
        ))
        start, end = outlines.reshape(-1, 2), np.roll(outlines, -1, axis=1).reshape(-1, 2)
        gable = np.tile([0.0, gable_m], 2 * len(boxes))
        owner = np.repeat([float(number) for number, _ in boxes], 4)
        return cls(kind, start, end, np.full(len(start), bottom_m), height, gable, look, owner)

    def seen_from(self, eye: F64, direction: F64) -> Curtain:
        """Cast rays (N, 2) from a point (2,)."""
        middle = (self.start + self.end) / 2 - eye
        run = self.end - self.start
        facing = (run[:, 0] * middle[:, 1] - run[:, 1] * middle[:, 0]) > 0
        ahead = direction.mean(axis=0)
        near = np.linalg.norm(middle, axis=1) < _REACH_M
        near &= middle @ ahead > -np.linalg.norm(run, axis=1)
        keep = np.flatnonzero(facing & near)
        a, v = self.start[keep] - eye, run[keep]
        cross = direction[:, :1] * v[None, :, 1] - direction[:, 1:] * v[None, :, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (a[None, :, 0] * v[None, :, 1] - a[None, :, 1] * v[None, :, 0]) / cross
            part = (a[None, :, 0] * direction[:, 1:] - a[None, :, 1] * direction[:, :1]) / cross
        hit = (part >= 0) & (part <= 1) & (distance > 0.3)
        distance = np.where(hit, distance, np.inf)
        count = len(direction)
        if not len(keep):
            return _nothing(self.kind, count)
        best = distance.argmin(axis=1)
        row = np.arange(count)
        chosen, u = keep[best], np.where(np.isfinite(distance[row, best]), part[row, best], 0.0)
        length = np.linalg.norm(run[chosen], axis=1)
        rise = self.gable[chosen] * np.clip(1 - np.abs(2 * u - 1), 0, 1)
        normal = run[chosen] / length[:, None]
        light = 0.86 + 0.14 * (normal @ np.array([0.8, -0.6]))
        return _curtain(
            self.kind, distance[row, best], self.bottom[chosen], self.top[chosen] + rise, u * length, length,
            self.look[chosen], light, self.owner[chosen],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """Upright round things (S, ...): centre (S, 2), radius, heights; `bulge` rounds them off above and below."""

    kind: Kind
    centre: F64
    radius: F64
    bottom: F64
    top: F64
    bulge: bool

    def seen_from(self, eye: F64, direction: F64) -> Curtain:
        """Cast rays (N, 2) from a point (2,)."""
        rel = self.centre - eye
        keep = np.flatnonzero((np.linalg.norm(rel, axis=1) < _REACH_M) & (rel @ direction.mean(axis=0) > 0))
        if not len(keep):
            return _nothing(self.kind, len(direction))
        rel, radius = rel[keep], self.radius[keep]
        ahead = direction @ rel.T
        aside = direction[:, :1] * rel[None, :, 1] - direction[:, 1:] * rel[None, :, 0]
        with np.errstate(invalid="ignore"):
            inner = np.sqrt(radius**2 - aside**2)
        distance = np.where(np.isfinite(inner) & (ahead - inner > 0.3), ahead - inner, np.inf)
        best, row = distance.argmin(axis=1), np.arange(len(direction))
        chosen = keep[best]
        share = aside[row, best] / self.radius[chosen]
        round_off = np.sqrt(np.clip(1 - share**2, 0, 1)) if self.bulge else np.ones_like(share)
        middle = (self.bottom[chosen] + self.top[chosen]) / 2
        half = (self.top[chosen] - self.bottom[chosen]) / 2 * round_off
        light = 0.92 + 0.16 * share
        width = 2 * self.radius[chosen]
        return _curtain(
            self.kind, distance[row, best], middle - half, middle + half, (share + 1) / 2 * width, width,
            chosen.astype(np.float64), light, chosen,
        )  # fmt: skip


class Uprights:
    """All upright things of a layout."""

    def __init__(self, layout: Layout, cars: Sequence[Box]) -> None:
        # Sheds have no ridge; this renderer leaves them out.
        self._houses = tuple(house for house in layout.buildings if house.kind == "house")
        houses = list(enumerate(self._houses))
        trees = layout.trees
        centres = np.array([tree.centre for tree in trees]).reshape(-1, 2)
        radius = np.array([tree.radius_m for tree in trees])
        height = np.array([tree.height_m for tree in trees])
        posts = _lamp_posts(layout)
        trunks = np.concatenate([centres, posts])
        thick = np.concatenate([np.full(len(centres), 0.14), np.full(len(posts), 0.06)])
        tall = np.concatenate([height - 1.2 * radius, np.full(len(posts), 6.5)])
        self._layers: tuple[Walls | Rounds, ...] = (
            # Several layers, because of two houses or crowns of a layer in one direction only the nearer is drawn.
            *(Walls.around(Kind.HOUSE, houses[k::2], 0.0, RIDGE_M) for k in range(2)),
            *(
                Rounds(Kind.CROWN, centres[k::3], radius[k::3], (height - 2.1 * radius)[k::3], height[k::3], True)
                for k in range(3)
            ),
            Rounds(Kind.POST, trunks, thick, np.zeros(len(trunks)), tall, False),
            Walls.around(Kind.CAR, list(enumerate(cars)), 0.12, 0.0),
        )
        bumps = np.random.default_rng(5).uniform(0, 2 * np.pi, 9)
        angle = np.linspace(0, 2 * np.pi, 2048, endpoint=False)
        self._hills = 11.0 + sum(
            3.5 / (k + 1) * np.sin((3 + 7 * k) * angle + bump) for k, bump in enumerate(bumps.tolist())
        )

    def seen_from(self, eye: F64, direction: F64) -> list[Curtain]:
        """Look from a point (2,) in directions (N, 2); far things first."""
        angle = np.arctan2(direction[:, 1], direction[:, 0])
        top = np.interp(angle % (2 * np.pi), np.linspace(0, 2 * np.pi, 2048, endpoint=False), self._hills)
        full = np.ones_like(top)
        hills = _curtain(Kind.HILLS, 420.0 * full, -5.0 * full, top, angle * 420, full, 0 * full, full, 0 * full)
        return [hills, *(layer.seen_from(eye, direction) for layer in self._layers)]


    def roofs(self, houses: Curtain, eye: F64, direction: F64) -> Roofs:
        """Return the roofs of the nearest houses."""
        outlines = np.array([house.outline for house in self._houses]).reshape(-1, 4, 2)
        if not len(outlines):
            return Roofs(*(np.ones(len(direction), np.float32) for _ in range(8)))
        chosen = houses.owner.astype(np.int64)
        a, b, d = (outlines[chosen, k] for k in (0, 1, 3))
        centre = (b + d) / 2
        half_length, half_depth = np.linalg.norm(b - a, axis=1) / 2, np.linalg.norm(d - a, axis=1) / 2
        ahead, left = (b - a) / (2 * half_length[:, None]), (d - a) / (2 * half_depth[:, None])
        rel = eye - centre
        eave = np.array([house.height_m for house in self._houses])[chosen]
        look = np.array([house.look for house in self._houses])[chosen]
        half_length = np.where(np.isfinite(houses.distance), half_length, -1.0)
        columns = (
            (rel * left).sum(axis=1), (direction * left).sum(axis=1), (rel * ahead).sum(axis=1),
            (direction * ahead).sum(axis=1), half_depth, half_length, eave, look,
        )  # fmt: skip
        return Roofs(*(column.astype(np.float32) for column in columns))


def _lamp_posts(layout: Layout) -> F64:
    posts = [np.zeros((0, 2))]
    for street in layout.streets:
        s = np.arange(street.clear[0] + 9.0, max(street.length_m - street.clear[1] - 3.0, 18.0), 27.0)
        posts.append(street.at(s, street.corridor_m - 0.35))
    return np.concatenate(posts)


def _curtain(kind: Kind, *columns: F64) -> Curtain:
    return Curtain(kind, *(column.astype(np.float32) for column in columns))


def _nothing(kind: Kind, count: int) -> Curtain:
    none, zero = np.full(count, np.inf), np.zeros(count)
    return _curtain(kind, none, zero, zero, zero, zero + 1, zero, zero + 1, zero)
