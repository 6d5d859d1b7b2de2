# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The plans of all styles: what a road user and a surveyor take for granted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from cvloc_ros.simulation.across import crossing_of
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.layout import Layout, Street
from cvloc_ros.simulation.markings import street_marks
from cvloc_ros.simulation.materials import CARRIAGEWAY, Material
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.styles import NAMES, STYLES
from cvloc_ros.simulation.town import make_layout
from cvloc_ros.simulation.world import World, build_world
from cvloc_ros.types import F64

SEEDS = (2, 3, 4)


def scene_of(style: str, seed: int) -> Scene:
    chosen = STYLES[style]
    return Scene(seed=seed, style=style, size_m=chosen.size_m, resolution_m=0.25, speed_mps=chosen.speed_mps)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plans() -> dict[tuple[str, int], Layout]:
    return {(style, seed): make_layout(scene_of(style, seed)) for style in NAMES for seed in SEEDS}


def all_of(plans: dict[tuple[str, int], Layout]) -> Iterator[tuple[str, Layout]]:
    for (style, seed), layout in plans.items():
        yield f"{style} {seed}", layout


def test_every_street_can_be_reached_from_every_other(plans: dict[tuple[str, int], Layout]) -> None:
    for name, layout in all_of(plans):
        reached, grown = {0}, True
        while grown:
            nodes = {n for k in reached for n in (layout.streets[k].start, layout.streets[k].end) if n >= 0}
            more = {k for k, s in enumerate(layout.streets) if s.start in nodes or s.end in nodes}
            grown = not more <= reached
            reached |= more
        assert len(reached) == len(layout.streets), name


def test_streets_end_at_their_junctions_and_cross_nowhere_else(plans: dict[tuple[str, int], Layout]) -> None:
    for name, layout in all_of(plans):
        for street in layout.streets:
            for node, place in ((street.start, street.line[0]), (street.end, street.line[-1])):
                assert node < 0 or np.linalg.norm(layout.junctions[node].centre - place) < 1.0, name
        for k, street in enumerate(layout.streets):
            for other in layout.streets[k + 1 :]:
                if {street.start, street.end} & {other.start, other.end} - {-1}:
                    continue
                away = np.linalg.norm(street.line[::4, None] - other.line[None, ::4], axis=-1).min()
                assert away > street.half_width_m + other.half_width_m + 4.0, f"{name}: {away:.1f} m"


def test_no_street_leads_through_a_house(plans: dict[tuple[str, int], Layout]) -> None:
    for name, layout in all_of(plans):
        for house in layout.buildings:
            outline = house.outline.astype(np.float32)
            for street in layout.streets:
                depth = max(cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in street.line[::4])
                assert depth < -street.half_width_m, f"{name}: a house {-depth:.1f} m from the middle of a street"


def test_water_and_railways_keep_away_from_junctions_and_houses(plans: dict[tuple[str, int], Layout]) -> None:
    found = 0
    for name, layout in all_of(plans):
        lines = [(river, river.half_m) for river in layout.rivers]
        for line, half in (*lines, *((rail, rail.half_m) for rail in layout.railways if rail.ballast)):
            found += 1
            assert all(line.near(junction.centre)[1] > half + 12.0 for junction in layout.junctions), name
            assert all(line.near(corner)[1] > half for house in layout.buildings for corner in house.outline), name
            assert any(crossing_of(street, line.line) is not None for street in layout.streets), name
    assert found >= 4


def test_pools_lie_in_gardens_only(plans: dict[tuple[str, int], Layout]) -> None:
    pools = 0
    for name, layout in all_of(plans):
        plots = [a.outline.astype(np.float32) for a in layout.areas if a.kind in ("lawn", "yard")]
        for pool in (area for area in layout.areas if area.kind == "pool"):
            pools += 1
            x, y = pool.outline.mean(axis=0).tolist()
            assert any(cv2.pointPolygonTest(plot, (x, y), False) > 0 for plot in plots), name
            assert all(s.near(np.array([x, y]))[1] > s.corridor_m for s in layout.streets), name
    assert pools > 10


def test_styles_have_networks_of_their_own(plans: dict[tuple[str, int], Layout]) -> None:
    def share(style: str, kind: str) -> int:
        return sum(j.kind == kind for seed in SEEDS for j in plans[style, seed].junctions)

    assert share("suburb", "turning") and share("village", "end") and not share("dense", "turning")
    assert all(any(s.median_m > 0 and s.lanes == 2 for s in plans["dense", seed].streets) for seed in SEEDS)
    assert sum(j.kind == "roundabout" for layout in plans.values() for j in layout.junctions) >= 6
    assert any(s.tram for s in plans["dense", 2].streets) and plans["campus", 2].car_parks


def _roundabout(plans: dict[tuple[str, int], Layout]) -> Iterator[tuple[F64, F64, float]]:
    """Positions and yaws of drives through roundabouts, relative to the centre."""
    for (style, seed), layout in plans.items():
        poses = make_trajectory(scene_of(style, seed), layout).poses(np.arange(0.0, 64.0, 0.1))
        for junction in (j for j in layout.junctions if j.kind == "roundabout"):
            rel = poses[:, :2] - junction.centre
            near = np.linalg.norm(rel, axis=1) < junction.radius_m - 1.5
            if near.any():
                assert np.linalg.norm(rel, axis=1).min() > junction.island_m + 1.2, f"{style} {seed}: over the island"
                yield rel[near], poses[near, 2], junction.drive_m


def test_roundabouts_are_driven_on_the_right_hand_side(plans: dict[tuple[str, int], Layout]) -> None:
    driven = 0
    for rel, yaw, _ in _roundabout(plans):
        turn = rel[:, 0] * np.sin(yaw) - rel[:, 1] * np.cos(yaw)
        assert np.median(turn) > 0, "counter-clockwise around the island"
        driven += 1
    assert driven >= 2


@pytest.fixture(scope="module")
def crossed() -> World:
    for seed in range(1, 30):
        scene = scene_of("village", seed)
        if make_layout(scene).rivers:
            return build_world(scene)
    pytest.fail("no village with a river")


def test_a_street_crosses_a_river_on_a_bridge(crossed: World) -> None:
    river = crossed.layout.rivers[0]
    assert (crossed.material == int(Material.WATER)).sum() * 0.25**2 > 500
    for street in crossed.layout.streets:
        s = crossing_of(street, river.line)
        if s is None:
            continue
        for offset in (-street.lane_m, 0.0, street.lane_m):
            u, v = np.rint(crossed.grid.px(street.at(np.array([s]), offset)[0])).astype(int)
            if 0 <= u < crossed.grid.columns and 0 <= v < crossed.grid.rows:
                assert crossed.material[v, u] in [int(m) for m in CARRIAGEWAY]


def test_some_paint_of_the_map_is_missing_or_moved(crossed: World) -> None:
    drive, aerial = crossed.marking > 150, crossed.marking_aerial > 100
    gone = (drive & ~aerial).sum() / drive.sum()
    assert 0.02 < gone < 0.5
    assert (crossed.material != crossed.material_aerial).any()


def test_every_mark_of_a_boulevard_lies_on_it(plans: dict[tuple[str, int], Layout]) -> None:
    layout = plans["dense", 2]
    for street in layout.streets:
        for mark in street_marks(street, layout.junctions):
            for outline in mark:
                x, y = outline.mean(axis=0)
                assert street.near(np.array([x, y]))[1] < street.half_width_m + 2.2


def test_a_short_street_from_beyond_the_world_is_not_driven() -> None:
    """It had no place for a lane, and the route through it was no number."""
    scene = Scene(seed=272, duration_s=120.0, style="town", size_m=(260.0, 220.0), resolution_m=0.1, speed_mps=7.0)
    layout = make_layout(scene)
    assert any(min(s.start, s.end) < 0 and s.length_m < 45.0 for s in layout.streets)
    assert np.isfinite(make_trajectory(scene, layout).poses(np.arange(0.0, 64.0, 0.5))).all()


def test_the_one_short_street_of_a_world_is_driven_in_its_middle() -> None:
    """The route through it was empty: a world cut out of an orthophoto may show 61 m of a road and no more."""
    scene = Scene(seed=3, style="town", size_m=(260.0, 220.0), resolution_m=0.25, speed_mps=7.0)
    line = np.column_stack([np.arange(-30.0, 31.5, 0.5), np.zeros(123)])
    street = Street(line, -1, -1, main=True, half_width_m=2.6, verge_m=0.0, pavement_m=1.0, bays=(False, False))
    layout = dataclasses.replace(make_layout(scene), streets=(street,), junctions=())
    poses = make_trajectory(scene, layout).poses(np.arange(0.0, 64.0, 0.5))
    assert np.isfinite(poses).all()
    assert 10.0 < np.ptp(poses[:, 0]) < 31.0
