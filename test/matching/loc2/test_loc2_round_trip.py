# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Perfect matches through the adapter, from a real patch, give the pose in map coordinates, for every camera."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.config import Matching
from cvloc_ros.estimation.procrustes import from_matches
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole, Rotated
from cvloc_ros.matching.depth import DepthMap
from cvloc_ros.matching.layers.aerial import Crop, crop_near, cut, grid_axis, to_device
from cvloc_ros.matching.layers.views import to_tensor
from cvloc_ros.matching.loc2.matcher import Loc2Matcher, roll_for
from cvloc_ros.types import AerialPatch, CameraModel, Correspondences, GroundView, Pose2, SearchWindow

CPU = torch.device("cpu")
GRID = (8, 20)  # tokens of an image of 64 x 160 px
CELLS, EXTENT_M = 21, 71.0
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
PINHOLE = Pinhole(320, 240, 210.0, 205.0, 158.0, 121.0)
SMALL_TURN = cv2.Rodrigues(np.array([0.01, -0.02, 0.015]))[0]
CAMERAS: dict[str, CameraModel] = {
    "pinhole": PINHOLE,
    "distorted": replace(PINHOLE, coefficients=(-0.2, 0.05, 1e-3, -1e-3, 0.0, 0.0, 0.0, 0.0)),
    "fisheye": Fisheye(320, 240, 110.0, 110.0, 160.0, 119.0, (0.03, -0.01, 0.0, 0.0)),
    "panorama": Equirectangular(400, 200),
    "rectified": Rotated(PINHOLE, tuple(SMALL_TURN.ravel())),
}
Settings = Callable[..., Matching]


def mount(
    roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0, at: Sequence[float] = (1.2, -0.3, 1.6)
) -> np.ndarray:
    T = np.eye(4)
    turns = [cv2.Rodrigues(np.array(axis) * angle)[0] for axis, angle in
             (((0.0, 0.0, 1.0), yaw), ((0.0, 1.0, 0.0), pitch), ((1.0, 0.0, 0.0), roll))]
    T[:3, :3], T[:3, 3] = turns[0] @ turns[1] @ turns[2] @ OPTICAL, at
    return T


def make_view(
    kind: str, rng: np.random.Generator, T_base_camera: np.ndarray, name: str = "c", **more: object
) -> GroundView:
    """A view whose depth is constant in each token's cell, 3 to 25 m."""
    camera = CAMERAS[kind]
    cells = rng.uniform(3, 25, GRID).astype(np.float32)
    row = np.minimum(np.arange(camera.height) * GRID[0] // camera.height, GRID[0] - 1)
    col = np.minimum(np.arange(camera.width) * GRID[1] // camera.width, GRID[1] - 1)
    rgb = rng.integers(0, 255, (camera.height, camera.width, 3), np.uint8)
    return GroundView(name, rgb, camera, T_base_camera, 9, depth=cells[row[:, None], col], **more)  # type: ignore[arg-type]


def true_points(view: GroundView) -> np.ndarray:
    """Where each token lies in base at the reference stamp, worked out pixel by pixel; NaN where it has no ray."""
    camera, points = view.camera, []
    for row in range(GRID[0]):
        for col in range(GRID[1]):
            u = (col + 0.5) * camera.width / GRID[1] - 0.5
            v = (row + 0.5) * camera.height / GRID[0] - 0.5
            ray = camera.unproject(np.array([u, v]))
            if camera.kind in ("plumb_bob", "rational_polynomial"):
                ray = ray / (SMALL_TURN[2] @ ray if isinstance(camera, Rotated) else ray[2])
            metres = float(view.depth[min(round(v), camera.height - 1), min(round(u), camera.width - 1)])
            points.append((view.T_base_camera @ [*(ray * metres), 1.0])[:2])
    return view.T_ref_base.apply(np.array(points))


def oracle(points: np.ndarray, truth: Pose2, crop: Crop) -> Callable[..., tuple[None, torch.Tensor]]:
    """A matching matrix that spreads each token over the four aerial points around its true place, bilinearly."""
    step = EXTENT_M / CELLS
    local = crop.from_map(truth.apply(points))  # down, right
    index = (local[:, ::-1] + EXTENT_M / 2) / step - 0.5
    P = np.zeros((CELLS, CELLS, len(points)))
    for token, (x, y) in enumerate(index):
        if not (0 <= x < CELLS - 1 and 0 <= y < CELLS - 1):
            continue
        c, r = int(x), int(y)
        for dr, wr in ((0, 1 - (y - r)), (1, y - r)):
            for dc, wc in ((0, 1 - (x - c)), (1, x - c)):
                P[r + dr, c + dc, token] = wr * wc
    matrix = torch.from_numpy(P.reshape(CELLS**2, -1).astype(np.float32))

    return lambda *_: (None, matrix[None])


def seen(matcher: Loc2Matcher, view: GroundView, points: np.ndarray, roll_px: int = 0) -> np.ndarray:
    """Those of the points of all tokens that the network is given."""
    return points[matcher._encoder.points(view, roll_px).valid]


def run(
    matcher: Loc2Matcher, views: list[GroundView], patch: AerialPatch, truth: Pose2, *, turned: float = 0.0
) -> Correspondences:
    """Match with perfect scores from a prior that is a few metres and degrees off."""
    prior = truth @ Pose2(3.0, -2.0, 0.1)
    points = np.concatenate([seen(matcher, view, true_points(view)) for view in views])
    crop = replace(crop_near(prior.xy, None, step_m=8.0), turn_rad=math.remainder(turned, math.tau))
    matcher._network.compare = oracle(points, truth, crop)  # type: ignore[method-assign]
    return matcher.match(views, matcher.encode_aerial(patch), SearchWindow(prior, 10.0, math.pi))


def check(matches: Correspondences, truth: Pose2) -> None:
    estimate = from_matches(matches, np.random.default_rng(0))
    assert estimate is not None
    assert np.abs(estimate.pose.xy - truth.xy).max() < 1e-4
    assert abs(math.remainder(estimate.pose.yaw_rad - truth.yaw_rad, math.tau)) < 1e-4


def poses(count: int) -> list[Pose2]:
    rng = np.random.default_rng(11)
    turns = [math.pi, -math.pi + 1e-9, math.pi / 2, *rng.uniform(-math.pi, math.pi, count)]
    return [Pose2(5e5 + rng.uniform(-20, 20), 5e6 + rng.uniform(-20, 20), float(yaw)) for yaw in turns]


@pytest.fixture
def plain(settings: Settings) -> Callable[..., Loc2Matcher]:
    """Matcher that takes all matches, so that perfect ones average to the exact pose."""
    return lambda **more: Loc2Matcher(settings(**{"matches": 65536, "ransac_sets": 0, **more}), CPU)


@pytest.mark.parametrize("scale", ["free", "fixed"])
@pytest.mark.parametrize("kind", list(CAMERAS))
def test_every_camera(kind: str, scale: str, plain: Callable[..., Loc2Matcher], patch: AerialPatch) -> None:
    matcher = plain(scale=scale)
    for number, truth in enumerate(poses(5)):
        rng = np.random.default_rng(number)
        view = make_view(kind, rng, mount(rng.normal(0, 0.05), rng.normal(0, 0.1), rng.uniform(-3, 3)))
        matches = run(matcher, [view], patch, truth)
        assert len(matches.weights) > 200
        check(matches, truth)
        assert matches.scale == (pytest.approx(1.0, abs=1e-5) if scale == "free" else None)


def test_a_camera_upside_down(plain: Callable[..., Loc2Matcher], patch: AerialPatch) -> None:
    """The picture is turned for the network; pixels and points of the matches are those of the camera as mounted."""
    matcher = plain()
    truth = poses(1)[-1]
    rng = np.random.default_rng(0)
    view = make_view("distorted", rng, mount(roll=math.pi - 0.02, pitch=0.05))
    turned = seen(matcher, view, true_points(view)[::-1])
    prior = truth @ Pose2(3.0, -2.0, 0.1)
    crop = crop_near(prior.xy, None, step_m=8.0)
    matcher._network.compare = oracle(turned, truth, crop)  # type: ignore[method-assign]
    matches = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 10.0, math.pi))
    check(matches, truth)
    rays = view.camera.unproject(matches.uv)
    bearing = np.arctan2(*(rays @ view.T_base_camera[:3, :3].T)[:, 1::-1].T)
    away = matches.ground - view.T_base_camera[:2, 3]
    assert np.abs(np.sin(bearing - np.arctan2(away[:, 1], away[:, 0]))).max() < 1e-6


def test_several_cameras_and_a_keyframe(plain: Callable[..., Loc2Matcher], patch: AerialPatch) -> None:
    matcher = plain()
    for number, truth in enumerate(poses(3)):
        rng = np.random.default_rng(number)
        views = [
            make_view("pinhole", rng, mount(pitch=0.1), "front"),
            make_view("fisheye", rng, mount(yaw=2.9, at=(-1.0, 0.5, 1.1)), "rear"),
            replace(make_view("panorama", rng, mount(), "old"), T_ref_base=Pose2(-4.0, 0.7, -0.3), stamp_ns=3),
        ]
        matches = run(matcher, views, patch, truth)
        assert set(matches.view) == {0, 1, 2}
        check(matches, truth)


@pytest.mark.parametrize("factor", [1e-3, 0.37, 1e3])
@pytest.mark.parametrize("count", [1, 2])
def test_relative_depth_gives_the_pose_and_its_scale(
    factor: float, count: int, plain: Callable[..., Loc2Matcher], patch: AerialPatch
) -> None:
    matcher = plain(scale="fixed")  # a scale that depth itself leaves open is found all the same

    class Relative:
        metric = False

        def __call__(self, view: GroundView) -> DepthMap:
            return DepthMap(view.depth * np.float32(factor), "axis", metric=False)

        def close(self) -> None: ...

    matcher._encoder._depth = Relative()
    rng = np.random.default_rng(2)
    views = [make_view("pinhole", rng, mount(), "front"), make_view("distorted", rng, mount(yaw=-1.5), "right")][:count]
    for truth in poses(1):
        matcher._encoder._kept.clear()
        matches = run(matcher, views, patch, truth)
        assert matches.scale == pytest.approx(1 / factor, rel=1e-5)
        check(matches, truth)
        estimate = from_matches(matches, np.random.default_rng(0))
        assert estimate is not None
        assert estimate.scale == pytest.approx(1 / factor, rel=1e-4)


def test_metric_depth_that_would_have_to_be_five_times_larger_means_wrong_matches(
    plain: Callable[..., Loc2Matcher], patch: AerialPatch
) -> None:
    view = make_view("pinhole", np.random.default_rng(1), mount())
    matcher, truth = plain(scale="free"), poses(1)[-1]
    assert len(run(matcher, [view], patch, truth).weights) > 0
    near = replace(view, depth=view.depth / 5)
    right = seen(matcher, near, true_points(view))
    prior = truth @ Pose2(3.0, -2.0, 0.1)
    crop = crop_near(prior.xy, None, step_m=8.0)
    matcher._network.compare = oracle(right, truth, crop)  # type: ignore[method-assign]
    matches = matcher.match([near], matcher.encode_aerial(patch), SearchWindow(prior, 10.0, math.pi))
    assert len(matches.weights) == 0


@pytest.mark.parametrize(("heading", "quarter"), [("right", 0.0), ("up", -math.pi / 2)])
def test_the_aerial_image_is_turned_to_the_heading(
    heading: str, quarter: float, plain: Callable[..., Loc2Matcher], patch: AerialPatch
) -> None:
    matcher = plain(heading=heading, heading_step_deg=5.0)
    view = make_view("pinhole", np.random.default_rng(1), mount(yaw=0.4))
    for truth in poses(2):
        step = math.radians(5.0)
        wanted = round((truth.yaw_rad + 0.1 + 0.4 + quarter) / step) * step
        check(run(matcher, [view], patch, truth, turned=wanted), truth)


def test_a_third_of_wrong_matches_does_not_matter(settings: Settings, patch: AerialPatch) -> None:
    """With RANSAC: weights of wrong pairs are spread over the matrix."""
    matcher = Loc2Matcher(settings(matches=2048, ransac_sets=2, scale="free"), CPU)
    truth = poses(1)[-1]
    view = make_view("panorama", np.random.default_rng(4), mount())
    run(matcher, [view], patch, truth)
    right = matcher._network.compare(None, None, None)[1]  # type: ignore[arg-type]
    wrong = torch.rand(right.shape, generator=torch.Generator().manual_seed(1))
    mixed = right + wrong * 0.5 * right.sum() / wrong.sum()
    matcher._network.compare = lambda *_: (None, mixed)  # type: ignore[method-assign]
    prior = truth @ Pose2(3.0, -2.0, 0.1)
    matches = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 10.0, math.pi))
    assert matches.scale == pytest.approx(1.0, abs=0.03)
    assert matches.inlier_m == 2.5
    assert matches.height_m is None
    estimate = from_matches(matches, np.random.default_rng(0))
    assert estimate is not None
    error = np.linalg.norm(estimate.pose.xy - truth.xy)
    assert error < 0.3
    assert 0.5 < estimate.inliers < 0.9
    again = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 10.0, math.pi))
    np.testing.assert_array_equal(again.ground, matches.ground)


@pytest.mark.parametrize("crops", [1, 9])
def test_a_vehicle_far_from_the_middle_of_the_window_is_found_with_several_crops(
    crops: int, settings: Settings, patch: AerialPatch
) -> None:
    config = settings(matches=65536, scale="fixed").model_copy(update={"crops": crops})
    matcher = Loc2Matcher(config, CPU)
    view = make_view("panorama", np.random.default_rng(3), mount())
    points = seen(matcher, view, true_points(view))
    for truth in poses(2):
        asked: list[Crop] = []

        def compare(_side, crop, _ground, truth=truth, asked=asked):
            asked.append(crop)
            return oracle(points, truth, crop)()[1][0]

        matcher._compare = compare  # type: ignore[method-assign, assignment]
        prior = Pose2(truth.x_m + 48.0, truth.y_m - 47.0, truth.yaw_rad)
        matches = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 50.0, math.pi))
        assert len(asked) == crops
        if crops == 1:
            assert len(matches.weights) < 25  # hardly anything of what is seen lies in the square
        else:
            assert len(matches.weights) > 200
            estimate = from_matches(matches, np.random.default_rng(0))
            assert np.abs(estimate.pose.xy - truth.xy).max() < 0.2  # the oracle has no neighbours across an edge


def test_a_panorama_is_rolled_to_the_north_as_published(plain: Callable[..., Loc2Matcher], patch: AerialPatch) -> None:
    """The aerial image stays as it is; pixels and points of the matches are those of the panorama as it came."""
    matcher = plain(heading="north", heading_step_deg=9.0)  # 10 of 400 columns
    described = []
    real = matcher._describe_ground
    matcher._encoder._describe = lambda image: described.append(image) or real(image)
    view = make_view("panorama", np.random.default_rng(1), mount(yaw=0.4, pitch=0.05))
    for truth in poses(2):
        prior = truth @ Pose2(3.0, -2.0, 0.0)
        window = SearchWindow(prior, 10.0, 0.3)
        columns = roll_for(matcher._config, view, window)
        ahead = math.remainder(truth.yaw_rad + 0.4 - math.pi / 2 - math.tau * columns / 400, math.tau)
        assert abs(ahead) <= math.tau * 5.5 / 400  # the middle looks north to half a step
        points = np.roll(true_points(view).reshape(*GRID, 2), -columns * GRID[1] // 400, axis=1).reshape(-1, 2)
        points = seen(matcher, view, points, columns)
        crop = crop_near(prior.xy, None, step_m=8.0)
        matcher._network.compare = oracle(points, truth, crop)  # type: ignore[method-assign]
        matches = matcher.match([view], matcher.encode_aerial(patch), window)
        check(matches, truth)
        rolled = to_tensor(np.roll(view.rgb, -columns, axis=1), (64, 160), CPU)
        torch.testing.assert_close(described[-1], rolled)
        rays = view.camera.unproject(matches.uv) @ view.T_base_camera[:3, :3].T
        away = matches.ground - view.T_base_camera[:2, 3]
        assert np.abs(rays[:, 0] * away[:, 1] - rays[:, 1] * away[:, 0]).max() < 1e-6


def test_a_crop_shows_what_lies_at_its_points(patch: AerialPatch) -> None:
    """A spot on the map appears at the cell whose point lies there, for any turn and zoom."""
    place = np.array([5e5 + 9.0, 5e6 - 6.0])
    at = patch.px_from_map(place)
    grid = np.stack(np.meshgrid(np.arange(640), np.arange(640)), -1)
    spot = np.exp(-((grid - at) ** 2).sum(-1) / (2 * 8.0**2)) * 255
    picture = replace(patch, rgb=np.repeat(spot[..., None], 3, -1).astype(np.uint8))
    for turn in (0.0, 0.7, -2.5):
        for size in (630, 252):
            crop = Crop(5e5 + 4.0, 5e6 + 2.0, turn)
            image, valid = cut(to_device(picture, CPU), crop, 71.0, size)
            assert valid.min() > 0.999
            axis = grid_axis(71.0, size, ends=False)
            points = crop.to_map(torch.cartesian_prod(axis, axis).numpy()).reshape(size, size, 2)
            weight = image[0, 0].double().numpy()
            centroid = (points * weight[..., None]).sum((0, 1)) / weight.sum()
            assert np.abs(centroid - place).max() < 0.02


def test_outside_of_the_patch_there_is_no_imagery(patch: AerialPatch) -> None:
    _, valid = cut(to_device(patch, CPU), Crop(5e5 + 80.0, 5e6, 0.0), 71.0, 100)
    assert (valid[0, 0, :, :49] > 0.5).all()
    assert not (valid[0, 0, :, 51:] > 0.5).any()
