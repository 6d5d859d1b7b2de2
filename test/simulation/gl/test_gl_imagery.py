# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Worlds on imagery: the ground is the picture, the plan is guessed from it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.gl.build import map_stage, terrain_of
from cvloc_ros.simulation.gl.stream import stream
from cvloc_ros.simulation.heights import heights_of
from cvloc_ros.simulation.imagery import find, middle_of
from cvloc_ros.simulation.paths import find_path
from cvloc_ros.simulation.raster import Grid
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.worlds import make_world

BRIG = Path(__file__).resolve().parents[4] / "shared" / "data" / "swissimage_brig" / "swissimage_brig.mbtiles"


def test_the_path_follows_the_road() -> None:
    grid = Grid.centred((240.0, 240.0), 0.5)
    road = grid.empty()
    bend = np.column_stack([np.linspace(-120, 120, 60), 25 * np.sin(np.linspace(-2, 2, 60))])
    for a, b in pairwise(bend):
        side = np.array([0.0, 4.0])
        grid.fill(road, [np.array([a - side, b - side, b + side, a + side])], 1)
    line = find_path(grid, road > 0, road > 2, np.random.default_rng(0))
    expected = 25 * np.sin(line[:, 0] / 60)
    assert np.abs(line[:, 1] - expected).max() < 3.0
    assert np.linalg.norm(line[-1] - line[0]) > 100


def test_no_road_is_told() -> None:
    grid = Grid.centred((200.0, 200.0), 0.5)
    with pytest.raises(ConfigError, match="nothing like a road"):
        find_path(grid, grid.empty() > 0, grid.empty() > 0, np.random.default_rng(0))


def test_colours_are_sorted() -> None:
    photo = np.full((120, 120, 3), 118, np.uint8)
    photo[:50] = (52, 84, 40)
    photo[80:110, 20:60] = (168, 92, 70)
    photo[110:] = 240
    noise = np.random.default_rng(0).normal(0, 4, (120, 120, 1))
    finds = find(np.clip(photo + noise, 0, 255).astype(np.uint8))
    assert finds.roof[95, 40] and not finds.roof[95, 90] and not finds.roof[20, 40]
    assert finds.road[55:78].mean() > 0.3 and not finds.road[5:40].any()


@pytest.mark.skipif(not BRIG.is_file(), reason=f"{BRIG} is not there")
def test_real_ground_is_seen_with_relief(gl_scene: Scene) -> None:
    scene = replace(
        gl_scene, imagery=str(BRIG), datum=middle_of(str(BRIG)), size_m=(240.0, 240.0), resolution_m=0.2, duration_s=8.0
    )
    world = make_world(scene)
    assert "swisstopo" in world.attribution
    assert len(world.layout.trees) > 20
    poses = make_trajectory(scene, world.layout).poses(np.linspace(0, 8, 9))
    assert np.abs(poses[:, :2]).max() < 120
    (pair,) = stream(scene, 1, patch_m=60.0, patch_px=120)
    assert pair.patch.rgb.std() > 8 and pair.views[0].rgb.std() > 8


@pytest.mark.skipif(not BRIG.is_file(), reason=f"{BRIG} is not there")
def test_a_place_beyond_the_imagery_is_refused_with_its_share(gl_scene: Scene) -> None:
    latitude, longitude = middle_of(str(BRIG))
    scene = replace(gl_scene, imagery=str(BRIG), datum=(latitude, longitude + 0.012), size_m=(240.0, 240.0))
    with pytest.raises(ConfigError, match="covers"):
        make_world(scene)


def _write(path: Path, bands: np.ndarray, pixel_m: float) -> str:
    """Write bands (B, H, W) around a place in UTM 32 north."""
    import rasterio
    from affine import Affine

    rows, columns = bands.shape[1:]
    place = Affine(pixel_m, 0.0, 500000.0 - columns * pixel_m / 2, 0.0, -pixel_m, 5200000.0 + rows * pixel_m / 2)
    options = {"driver": "GTiff", "height": rows, "width": columns, "count": len(bands), "dtype": bands.dtype}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=place, **options) as file:
        file.write(bands)
    return str(path)


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A picture of a road between meadows with one roof and one wood, and its surface model on a slope of 4 %."""
    pytest.importorskip("rasterio")
    folder = tmp_path_factory.mktemp("survey")
    rng = np.random.default_rng(1)
    photo = np.full((3, 800, 800), 130, np.uint8)
    photo[:, :370] = np.array([90, 128, 66], np.uint8)[:, None, None]
    photo[:, 430:] = np.array([91, 128, 68], np.uint8)[:, None, None]
    photo[:, 640:780, 80:720] = 170
    photo[:, 200:260, 300:400] = np.array([160, 70, 46], np.uint8)[:, None, None]
    photo[:, 520:600, 500:580] = np.array([4, 38, 0], np.uint8)[:, None, None]
    photo += rng.integers(0, 80, (1, 800, 800), dtype=np.uint8)
    photo[:, 370:430] = rng.integers(137, 142, (1, 60, 800), dtype=np.uint8)  # asphalt is even
    columns = np.tile(np.arange(400), (400, 1))
    heights = (300.0 + 0.04 * 0.5 * columns).astype(np.float32)
    heights[100:130, 150:200] += 6.0
    heights[260:300, 250:290] += 9.0
    return _write(folder / "photo.tif", photo, 0.25), _write(folder / "heights.tif", heights[None], 0.5)


def test_heights_of_a_surface_model_make_ground_walls_and_trees(gl_scene: Scene, surveyed: tuple[str, str]) -> None:
    photo, heights = surveyed
    scene = replace(
        gl_scene, imagery=photo, heights=heights, datum=middle_of(photo), size_m=(190.0, 190.0), resolution_m=0.25,
        projection="utm",
    )  # fmt: skip
    world = make_world(scene)
    terrain = terrain_of(scene)
    rise = terrain.height(np.array([[60.0, 0.0], [-60.0, 0.0]]))
    assert rise[0] - rise[1] == pytest.approx(0.04 * 120.0, abs=0.3)
    assert world.solid is not None and 250 < world.solid.sum() < 420, "the house covers 25 m x 15 m"
    assert not world.layout.buildings and world.layout.trees
    assert [tree.height_m for tree in world.layout.trees] == pytest.approx([9.0] * len(world.layout.trees), abs=1.0)
    stage = map_stage(world)
    z = stage.mesh.vertices["position"]
    over_house = (np.abs(z[:, 0] + 12.5) < 8) & (np.abs(z[:, 1] - 42.5) < 4)
    ground = terrain.height(np.array([-12.5, 42.5]))
    assert z[over_house, 2].max() - ground == pytest.approx(6.0, abs=0.6)


def test_heights_of_another_place_are_refused_with_their_share(gl_scene: Scene, surveyed: tuple[str, str]) -> None:
    photo, heights = surveyed
    latitude, longitude = middle_of(photo)
    scene = replace(gl_scene, imagery=photo, heights=heights, datum=(latitude + 0.1, longitude))
    with pytest.raises(ConfigError, match="it knows 0%"):
        heights_of(scene)
