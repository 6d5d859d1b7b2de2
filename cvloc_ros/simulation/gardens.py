# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The plots of houses: lawns and yards, drives, terraces, beds, sheds, pools, borders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cvloc_ros.simulation.layout import Area, AreaKind, Box, Street, box
from cvloc_ros.simulation.occupancy import Occupancy
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import STYLES
from cvloc_ros.types import F64


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """The ground of a house: along a street from `start_m` to `end_m`, on its left (side 1) or right (-1)."""

    street: Street
    side: float
    start_m: float
    end_m: float
    setback_m: float
    depth_m: float
    house: Box

    @property
    def back_m(self) -> float:
        """Offset of the back wall of the house from the middle of the street."""
        return self.street.corridor_m + self.setback_m + self.depth_m

    def strip(self, s0: float, s1: float, near: float, far: float) -> F64:
        """Outline by distances along the street and distances from its middle to this side."""
        return self.street.strip(s0, s1, self.side * near, self.side * far)


@dataclass(frozen=True, slots=True, eq=False)
class Gardens:
    """What the plots hold, painted in this order."""

    areas: tuple[Area, ...] = ()
    sheds: tuple[Box, ...] = ()
    fences: tuple[F64, ...] = ()


def make_gardens(scene: Scene, plots: list[Plot], taken: Occupancy) -> Gardens:
    """Lay out all plots."""
    rng, style = scene.rng("gardens"), STYLES[scene.style]
    areas: list[Area] = []
    details: list[Area] = []
    sheds: list[Box] = []
    fences: list[F64] = []
    if not style.gardens:
        return Gardens()
    urban = style.core < 1.0
    for plot in plots:
        ahead = plot.street.ahead((plot.start_m + plot.end_m) / 2)
        far = plot.back_m + float(rng.uniform(9.0, 17.0))
        yard = rng.random() < (0.75 if urban else 0.14)
        kind: AreaKind = "yard" if yard else "lawn"
        areas.append(Area(plot.strip(plot.start_m, plot.end_m, plot.street.corridor_m, far), kind, ahead,
                          int(rng.integers(2**31))))  # fmt: skip
        details += _front(plot, ahead, rng)
        if not urban and style.border_chance > 0.3:
            near = plot.street.corridor_m + 0.8
            fences += [
                plot.street.at(np.array([s, s]), np.array([plot.side * near, plot.side * far]))
                for s in (plot.start_m, plot.end_m)
                if rng.random() < style.border_chance
            ]
            fences.append(plot.street.at(np.array([plot.start_m, plot.end_m]), plot.side * far))
        for wish in _wishes(style.pools, rng, urban=urban):
            found = _place(plot, wish, far, rng, taken)
            if found is None:
                continue
            if wish == "shed":
                sheds.append(Box(found, float(rng.uniform(2.1, 2.7)), int(rng.integers(6)), "shed"))
            else:
                details.append(Area(found, wish, ahead, int(rng.integers(2**31))))  # type: ignore[arg-type]
    free = [fence for fence in fences if _clear(fence, taken)]
    return Gardens(tuple(areas + details), tuple(sheds), tuple(free))


def _front(plot: Plot, ahead: F64, rng: np.random.Generator) -> list[Area]:
    """The drive to the side of the house and the path to its door."""
    found = []
    near, wall = plot.street.corridor_m - 0.3, plot.street.corridor_m + plot.setback_m
    gap = plot.end_m - plot.start_m - float(np.linalg.norm(plot.house.outline[1] - plot.house.outline[0]))
    middle = (plot.start_m + plot.end_m) / 2 + float(rng.uniform(-2.5, 2.5))
    if plot.setback_m > 1.5:
        found.append(Area(plot.strip(middle - 0.7, middle + 0.7, near, wall + 0.2), "terrace", ahead))
    if gap > 5.0 and rng.random() < 0.8:
        edge = plot.end_m - 0.4
        found.append(Area(plot.strip(edge - 3.0, edge, near, wall + float(rng.uniform(2.0, 7.0))), "yard", ahead))
    if plot.setback_m > 2.0 and rng.random() < 0.4:
        found.append(Area(plot.strip(middle + 1.2, middle + 4.0, wall - 1.2, wall - 0.3), "flowers", ahead,
                          int(rng.integers(2**31))))  # fmt: skip
    if rng.random() < 0.7:
        found.append(Area(plot.strip(middle - 3.0, middle + 2.0, plot.back_m, plot.back_m + 3.0), "terrace", ahead))
    return found


def _wishes(pools: float, rng: np.random.Generator, *, urban: bool) -> list[str]:
    wishes = []
    if rng.random() < pools:
        wishes.append("pool")
    if rng.random() < (0.15 if urban else 0.5):
        wishes.append("shed")
    if not urban and rng.random() < 0.35:
        wishes.append("beds")
    return wishes


_SIZES = {"pool": ((5.5, 9.0), (3.0, 4.5)), "shed": ((2.4, 4.5), (2.0, 3.0)), "beds": ((3.5, 7.0), (2.5, 5.0))}


def _place(plot: Plot, wish: str, far: float, rng: np.random.Generator, taken: Occupancy) -> F64 | None:
    """Find room for something behind the house; returns its outline (4, 2)."""
    (low, high), (thin, wide) = _SIZES[wish]
    for _ in range(4):
        length, width = float(rng.uniform(low, high)), float(rng.uniform(thin, wide))
        room = far - plot.back_m - width - 4.2
        if room < 0 or plot.end_m - plot.start_m < length + 2.4:
            continue
        s = float(rng.uniform(plot.start_m + length / 2 + 1.0, plot.end_m - length / 2 - 1.0))
        offset = plot.back_m + 3.4 + width / 2 + float(rng.uniform(0, room))
        centre = plot.street.at(np.array([s]), plot.side * offset)[0]
        ahead = plot.street.ahead(s)
        outline = box(centre, ahead, length, width)
        plot_outline = plot.strip(plot.start_m, plot.end_m, plot.street.corridor_m, far).astype(np.float32)
        within = all(cv2.pointPolygonTest(plot_outline, (float(x), float(y)), False) > 0 for x, y in outline)
        if within and taken.inside(outline) and taken.free(box(centre, ahead, length + 1.6, width + 1.6)):
            taken.add(outline)
            return outline
    return None


def _clear(fence: F64, taken: Occupancy) -> bool:
    ahead = fence[1] - fence[0]
    length = float(np.linalg.norm(ahead))
    return length > 2.0 and taken.free(box(fence.mean(axis=0), ahead / length, length, 0.8))
