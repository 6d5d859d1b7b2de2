# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bird's-eye view of a flat world that is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from cvloc_ros.errors import ImageError
from cvloc_ros.ground import GroundGrid
from cvloc_ros.imaging.camera import Camera, Equirectangular, Fisheye, Pinhole
from cvloc_ros.imaging.ground import BirdsEye, Limits, ground_points, level
from cvloc_ros.imaging.mounting import to_camera
from cvloc_ros.types import F64, U8, GroundView, Mask

WIDE = Pinhole(800, 600, 420.0, 420.0, 399.5, 299.5, (-0.1, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
GRID = GroundGrid(-12.0, 12.0, -10.0, 10.0, 0.25)
Mount = Callable[..., F64]


def _world(points: F64) -> F64:
    """Return colour 0..255 of ground points (..., 2): waves of 3 to 8 m that name the place."""
    x, y = points[..., 0], points[..., 1]
    waves = [np.sin(x * 0.9 + 0.4 * y), np.cos(y * 1.3 - 0.5 * x), np.sin(0.8 * x - 1.9 * y + 1.0)]
    return 127.5 + 100.0 * np.stack(waves, axis=-1)


def _render(camera: Camera, T_base_camera: F64, world: Callable[[F64], F64] = _world) -> U8:
    """Average of 2x2 samples of the world in each pixel; black above the horizon."""
    v, u = np.mgrid[0 : camera.height, 0 : camera.width].astype(np.float64)
    colours = []
    for du, dv in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):
        points = ground_points(np.stack([u + du, v + dv], axis=-1), camera, T_base_camera)
        colours.append(np.nan_to_num(world(points)))
    return np.rint(np.mean(colours, axis=0)).astype(np.uint8)


def _view(camera: Camera, T: F64, valid: Mask | None = None, name: str = "a") -> GroundView:
    return GroundView(name, _render(camera, T), camera, T, 0, valid=valid)


def _expected(grid: GroundGrid) -> F64:
    steps = (np.arange(4) + 0.5) / 4 - 0.5
    return np.mean([_world(grid.points() + np.array([a, b]) * grid.resolution_m) for a in steps for b in steps], axis=0)


@pytest.mark.parametrize(
    ("camera", "tilt"),
    [
        (WIDE, 0.5),
        (Fisheye(900, 900, 280.0, 280.0, 449.5, 449.5, (0.01, 0.0, 0.0, 0.0)), 0.7),
        (Equirectangular(1024, 512), 0.0),
    ],
)
@pytest.mark.parametrize("roll", [0.0, math.pi, 0.3])
def test_birds_eye_equals_the_flat_world(camera: Camera, tilt: float, roll: float, mounting: Mount) -> None:
    T = mounting(x=0.4, y=-0.2, z=2.5, yaw=0.8, down=tilt, roll=roll)
    image = BirdsEye()([_view(camera, T)], GRID)
    assert image.rgb.shape == (*GRID.shape, 3)
    assert image.valid.mean() > 0.1
    error = np.abs(image.rgb - _expected(GRID)).max(axis=-1)
    near = image.weight > 0.5
    assert near.mean() > 0.08
    assert error[near].mean() < 2.0
    assert np.percentile(error[near], 99) < 8.0
    assert (image.rgb[~image.valid] == 0).all()
    assert (image.weight[~image.valid] == 0).all()
    assert (image.weight[image.valid] > 0).all()
    assert image.weight.max() <= 1.0


def test_panorama_has_no_seam_behind(mounting: Mount) -> None:
    camera = Equirectangular(1024, 512)
    image = BirdsEye()([_view(camera, mounting(y=0.125, z=2.5))], GRID)  # the seam runs through the cells of a row
    assert image.valid.all()
    behind = np.abs(image.rgb - _expected(GRID)).max(axis=-1)[38:42, :40]
    assert behind[:, 20:].max() < 8.0


def test_cells_finer_than_a_pixel_and_coarser_than_many(mounting: Mount) -> None:
    T = mounting(z=3.0, down=1.2)
    for resolution, limit in ((0.02, 3.0), (1.0, 4.0)):
        grid = GroundGrid(0.0, 4.0, -2.0, 2.0, resolution)
        image = BirdsEye()([_view(WIDE, T)], grid)
        assert image.valid.mean() > 0.3
        assert np.abs(image.rgb - _expected(grid))[image.valid].mean() < limit


@pytest.mark.parametrize("focal", [60.0, 150.0, 333.0, 800.0])
def test_a_spot_is_where_it_should_be_at_every_level_of_reduction(focal: float, mounting: Mount) -> None:
    def spot(points: F64) -> F64:
        return np.repeat(
            250.0 * np.exp(-((points - (0.33, -0.21)) ** 2).sum(axis=-1, keepdims=True) / 0.02), 3, axis=-1
        )

    camera = Pinhole(801, 603, focal, focal, 400.3, 300.8)
    T = mounting(z=2.0, down=math.pi / 2, roll=0.4)
    grid = GroundGrid(-0.5, 1.0, -0.75, 0.5, 0.05)
    image = BirdsEye()([GroundView("a", _render(camera, T, spot), camera, T, 0)], grid)
    level_of_light = image.rgb[..., 0].astype(float)
    centre = (grid.points() * level_of_light[..., None]).sum(axis=(0, 1)) / level_of_light.sum()
    np.testing.assert_allclose(centre, (0.33, -0.21), atol=0.1 * max(2.0 / focal, 0.01))


def test_fine_pattern_averages_to_grey_instead_of_aliasing(mounting: Mount) -> None:
    def stripes(points: F64) -> F64:
        return np.repeat(127.5 + 120.0 * np.sign(np.sin(points[..., :1] * math.tau / 0.07)), 3, axis=-1)

    T = mounting(z=2.0, down=1.3)
    camera = Pinhole(800, 600, 600.0, 600.0, 399.5, 299.5)
    grid = GroundGrid(0.0, 1.4, -0.7, 0.7, 0.2)
    image = BirdsEye()([GroundView("a", _render(camera, T, stripes), camera, T, 0)], grid)
    assert image.valid.sum() > 20
    assert np.abs(image.rgb[image.valid] - 127.5).max() < 45.0


def test_two_cameras_agree_and_the_finer_one_counts_more(mounting: Mount) -> None:
    T_a, T_b = mounting(y=1.0, z=2.5, yaw=0.3, down=0.5), mounting(y=-1.0, z=2.5, yaw=-0.3, down=0.5, roll=math.pi)
    a, b = _view(WIDE, T_a), _view(WIDE, T_b, name="b")
    eye = BirdsEye()
    left, right, both = eye([a], GRID), eye([b], GRID), eye([a, b], GRID)
    overlap = left.valid & right.valid & (np.minimum(left.weight, right.weight) > 0.5)
    assert overlap.sum() > 300
    assert np.abs(left.rgb[overlap].astype(int) - right.rgb[overlap]).mean() < 3.0
    np.testing.assert_array_equal(both.valid, left.valid | right.valid)
    np.testing.assert_array_equal(both.weight, np.maximum(left.weight, right.weight))

    white = GroundView("w", np.full_like(a.rgb, 255), WIDE, mounting(x=-6.0, z=2.5, down=0.2), 0)
    black = GroundView("k", np.zeros_like(a.rgb), WIDE, mounting(x=2.0, z=2.5, down=0.5), 0)
    mixed = eye([white, black], GRID).rgb[40, 70]
    assert mixed.max() < 80


def test_own_vehicle_is_left_out_with_all_pixels_it_touches(mounting: Mount) -> None:
    T = mounting(z=2.5, down=0.5)
    view = _view(WIDE, T)
    valid = np.ones((600, 800), bool)
    valid[420:, 200:600] = False
    view.rgb[~valid] = (255, 0, 255)
    view = GroundView("a", view.rgb, WIDE, T, 0, valid=valid)
    eye = BirdsEye()
    image = eye([view], GRID)
    error = np.abs(image.rgb - _expected(GRID)).max(axis=-1)
    assert error[image.weight > 0.5].max() < 12.0
    assert image.valid.sum() < eye([_view(WIDE, T)], GRID).valid.sum()
    np.testing.assert_array_equal(image.rgb, eye([view], GRID).rgb)


def test_far_and_flat_ground_is_not_believed(mounting: Mount) -> None:
    grid = GroundGrid(-60.0, 60.0, -60.0, 60.0, 1.0)
    view = _view(WIDE, mounting(z=2.0, down=0.2))
    distance = np.linalg.norm(grid.points(), axis=-1)
    image = BirdsEye(Limits(max_range_m=30.0, min_depression_rad=0.0, min_px_per_cell=0.0))([view], grid)
    assert 28.0 < distance[image.valid].max() <= 30.0
    image = BirdsEye(Limits(max_range_m=100.0, min_depression_rad=math.atan(2.0 / 20.0), min_px_per_cell=0.0))(
        [view], grid
    )
    assert 18.0 < distance[image.valid].max() <= 20.0


@pytest.mark.parametrize("height", [0.0, -1.0])
def test_camera_on_or_under_the_ground_sees_none(height: float, mounting: Mount) -> None:
    view = GroundView("a", np.full((600, 800, 3), 9, np.uint8), WIDE, mounting(z=height, down=-0.5), 0)
    assert not BirdsEye()([view], GRID).valid.any()


def test_no_view_and_a_view_of_the_sky_are_empty(mounting: Mount) -> None:
    sky = GroundView("a", np.full((600, 800, 3), 9, np.uint8), WIDE, mounting(z=2.0, down=-1.2), 0)
    for views in ([], [sky], [GroundView("a", sky.rgb, WIDE, sky.T_base_camera, 0, valid=np.ones((600, 800), bool))]):
        image = BirdsEye()(views, GRID)
        assert not image.valid.any()
        assert image.rgb.shape == (*GRID.shape, 3)


def test_image_or_mask_of_another_size_is_refused(mounting: Mount) -> None:
    T = mounting(z=2.0, down=0.5)
    with pytest.raises(ImageError, match=r"image of camera a has shape \(300, 400, 3\)"):
        BirdsEye()([GroundView("a", np.zeros((300, 400, 3), np.uint8), WIDE, T, 0)], GRID)
    with pytest.raises(ImageError, match="mask of camera a"):
        BirdsEye()([GroundView("a", np.zeros((600, 800, 3), np.uint8), WIDE, T, 0, valid=np.ones((3, 4), bool))], GRID)


def test_tables_are_forgotten_oldest_first_and_results_stay_the_same(mounting: Mount) -> None:
    views = [_view(WIDE, mounting(z=2.5, down=0.5, yaw=yaw)) for yaw in (0.0, 0.1, 0.2)]
    small, large = BirdsEye(tables=1), BirdsEye()
    for view in [*views, *views]:
        np.testing.assert_array_equal(small([view], GRID).rgb, large([view], GRID).rgb)


def test_ground_points_invert_projection(camera: Camera, mounting: Mount) -> None:
    T = mounting(x=1.0, y=2.0, z=1.5, yaw=2.0, down=0.4, roll=3.0)
    points = GRID.points().reshape(-1, 2)
    uv, mask = camera.project(to_camera(points, T))
    assert mask.sum() > 50
    np.testing.assert_allclose(ground_points(uv[mask], camera, T), points[mask], atol=1e-4)


def test_ground_points_end_at_the_horizon(mounting: Mount) -> None:
    camera = Pinhole(640, 480, 400.0, 400.0, 319.5, 239.5)
    points = ground_points(np.array([[319.5, 239.5], [319.5, 100.0], [319.5, 439.5]]), camera, mounting(z=2.0))
    assert np.isnan(points[:2]).all()
    np.testing.assert_allclose(points[2], (4.0, 0.0), atol=1e-9)


def test_levelling_undoes_the_attitude_of_the_body(mounting: Mount) -> None:
    T = mounting(x=1.0, z=2.0, yaw=0.5, down=0.3)
    np.testing.assert_allclose(level(T, 0.0, 0.0), T)
    pitched = level(mounting(z=2.0), 0.0, 0.1)
    np.testing.assert_allclose(pitched[:3, 2], (math.cos(0.1), 0.0, -math.sin(0.1)), atol=1e-12)
    rolled = level(mounting(z=2.0, yaw=math.pi / 2), 0.1, 0.0)
    assert rolled[2, 2] > 0.0  # roll > 0 lifts the left side
    for roll, pitch in ((0.1, 0.0), (0.0, -0.2)):
        np.testing.assert_allclose(level(level(T, roll, pitch), -roll, -pitch), T, atol=1e-12)
