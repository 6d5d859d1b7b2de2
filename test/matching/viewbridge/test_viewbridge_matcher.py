# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Perfect matches through the adapter, from a real patch, give the pose in map coordinates; bad input, weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, Matching, ViewBridge, merge
from cvloc_ros.errors import ImageError, ModelError
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.estimation.procrustes import from_matches
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole
from cvloc_ros.matching import registry, weights
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.aerial import Crop, crop_near
from cvloc_ros.matching.viewbridge import model as models
from cvloc_ros.matching.viewbridge.matcher import ViewBridgeMatcher
from cvloc_ros.matching.viewbridge.model import Model
from cvloc_ros.matching.viewbridge.network import Scores
from cvloc_ros.matching.viewbridge.settings import VARIANTS, ViewBridgeSettings
from cvloc_ros.pipeline import Localizer
from cvloc_ros.types import (
    AerialCode,
    AerialPatch,
    CameraModel,
    Correspondences,
    GroundView,
    Pose2,
    PosePrior,
    SearchWindow,
    Status,
)

CPU = torch.device("cpu")
SETTINGS = resolve(Config(), None)
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
PINHOLE = Pinhole(320, 240, 210.0, 205.0, 158.0, 121.0)
CAMERAS: dict[str, CameraModel] = {
    "pinhole": PINHOLE,
    "distorted": replace(PINHOLE, coefficients=(-0.2, 0.05, 1e-3, -1e-3, 0.0, 0.0, 0.0, 0.0)),
    "fisheye": Fisheye(320, 240, 110.0, 110.0, 160.0, 119.0, (0.03, -0.01, 0.0, 0.0)),
    "panorama": Equirectangular(400, 200),
}
Make = Callable[..., Model]


def mount(pitch: float = 0.0, yaw: float = 0.0, at: Sequence[float] = (1.2, -0.3, 1.6)) -> np.ndarray:
    T = np.eye(4)
    turn = cv2.Rodrigues(np.array([0.0, 0.0, yaw]))[0] @ cv2.Rodrigues(np.array([0.0, pitch, 0.0]))[0]
    T[:3, :3], T[:3, 3] = turn @ OPTICAL, at
    return T


def make_view(kind: str = "pinhole", seed: int = 0, **more: object) -> GroundView:
    camera = CAMERAS[kind]
    rgb = np.random.default_rng(seed).integers(0, 255, (camera.height, camera.width, 3), np.uint8)
    given = {"rgb": rgb, "T_base_camera": mount(), "stamp_ns": 9, **more}
    return GroundView(kind, camera=camera, **given)  # type: ignore[arg-type]


def ground_points(plane: Fg2Settings) -> np.ndarray:
    """Cells of the plane in base: row by row from the front, each from the left."""
    step = plane.extent_m / plane.cells
    axis = plane.extent_m / 2 - (np.arange(plane.cells) + 0.5) * step
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


def oracle(plane: Fg2Settings, truth: Pose2, crop: Crop) -> Callable[..., Scores]:
    """Spread each ground cell over the four aerial points around its true place, bilinearly."""
    step, cells = plane.extent_m / plane.cells, plane.cells
    local = Pose2(crop.x_m, crop.y_m, crop.turn_rad).inverse().apply(truth.apply(ground_points(plane)))
    index = np.stack([(plane.extent_m / 2 - local[:, 1]) / step - 0.5, (local[:, 0] + plane.extent_m / 2) / step - 0.5])
    P = np.zeros((cells, cells, cells**2))
    for column, (r, c) in enumerate(index.T):
        if not (0 <= r < cells - 1 and 0 <= c < cells - 1):
            continue
        i, j = int(r), int(c)
        for di, wi in ((0, 1 - (r - i)), (1, r - i)):
            for dj, wj in ((0, 1 - (c - j)), (1, c - j)):
                P[i + di, j + dj, column] = wi * wj
    matrix = torch.from_numpy(P.reshape(cells**2, -1).astype(np.float32))

    def match(_aerial: torch.Tensor, ground: object) -> Scores:
        seen = matrix * ground.valid[0]  # type: ignore[attr-defined]
        return Scores(seen[None], seen[None], seen[None])

    return match


def matcher_of(model: Model, **config: object) -> ViewBridgeMatcher:
    return ViewBridgeMatcher(Matching(name="viewbridge", viewbridge=ViewBridge(**config)), CPU, model=model)  # type: ignore[arg-type]


def run(model: Model, views: list[GroundView], patch: AerialPatch, truth: Pose2) -> Correspondences:
    """Match with perfect probabilities from a prior that is a few metres and degrees off."""
    prior = truth @ Pose2(3.0, -2.0, 0.1)
    plane = model.network.settings.plane
    crop = crop_near(prior.xy, None if plane.align == "north" else prior.yaw_rad)
    model.network.match = oracle(plane, truth, crop)  # type: ignore[method-assign]
    matcher = matcher_of(model, matches=65536)
    return matcher.match(views, matcher.encode_aerial(patch), SearchWindow(prior, 10.0, math.pi))


def check(matches: Correspondences, truth: Pose2) -> None:
    estimate = from_matches(matches, np.random.default_rng(0))
    assert estimate is not None
    assert np.abs(estimate.pose.xy - truth.xy).max() < 1e-4
    assert abs(math.remainder(estimate.pose.yaw_rad - truth.yaw_rad, math.tau)) < 1e-4


def check_pixels(matches: Correspondences, views: list[GroundView]) -> None:
    """Each match is drawn where its camera sees the surface of its column."""
    for number, view in enumerate(views):
        mine = matches.view == number
        there = view.T_ref_base.inverse().apply(matches.ground[mine])
        points = np.column_stack([there, matches.height_m[mine]])
        uv, inside = view.camera.project((points - view.T_base_camera[:3, 3]) @ view.T_base_camera[:3, :3])
        assert inside.all()
        np.testing.assert_allclose(matches.uv[mine], uv, atol=1e-6)


def poses(count: int) -> list[Pose2]:
    rng = np.random.default_rng(11)
    turns = [math.pi, -math.pi + 1e-9, math.pi / 2, *rng.uniform(-math.pi, math.pi, count)]
    return [Pose2(5e5 + rng.uniform(-20, 20), 5e6 + rng.uniform(-20, 20), float(yaw)) for yaw in turns]


@pytest.mark.parametrize("align", ["heading", "north"])
@pytest.mark.parametrize("kind", list(CAMERAS))
def test_every_camera(kind: str, align: str, model: Make, patch: AerialPatch) -> None:
    made = model(align=align)
    for number, truth in enumerate(poses(4)):
        rng = np.random.default_rng(number)
        view = make_view(kind, number, T_base_camera=mount(rng.normal(0.1, 0.1), rng.uniform(-3, 3)))
        matches = run(made, [view], patch, truth)
        assert len(matches.weights) > 20
        assert math.isinf(matches.inlier_m)
        check(matches, truth)
        check_pixels(matches, [view])


def test_several_cameras_and_a_keyframe(model: Make, patch: AerialPatch) -> None:
    views = [
        make_view("pinhole", 1, T_base_camera=mount(0.1)),
        make_view("fisheye", 2, T_base_camera=mount(0.0, 2.9, (-1.0, 0.5, 1.1))),
        make_view("panorama", 3, T_ref_base=Pose2(-4.0, 0.7, -0.3), stamp_ns=3),
    ]
    for truth in poses(2):
        matches = run(model(), views, patch, truth)
        assert set(matches.view) == {0, 1, 2}
        check(matches, truth)
        check_pixels(matches, views)


def test_a_vehicle_far_from_the_middle_of_the_window_is_found_with_several_crops(
    model: Make, patch: AerialPatch
) -> None:
    """Then not all matches can agree, as they do with one square."""
    made = model()
    plane = made.network.settings.plane
    matcher = matcher_of(made, matches=65536)
    centre = Pose2.at(patch_centre(patch), 0.4)
    truth = centre @ Pose2(0.45 * plane.extent_m, -0.4 * plane.extent_m, 0.1)
    asked: list[Crop] = []

    def compare(_side: object, crop: Crop, ground: object) -> torch.Tensor:
        asked.append(crop)
        return oracle(plane, truth, crop)(None, ground).probability[0]  # type: ignore[arg-type]

    matcher._compare = compare  # type: ignore[method-assign, assignment]
    window = SearchWindow(centre, 0.5 * plane.extent_m, 0.2)
    found = matcher.match([make_view("panorama")], matcher.encode_aerial(patch), window)
    assert 4 <= len(asked) <= 9
    assert math.isfinite(found.inlier_m)
    estimate = from_matches(found, np.random.default_rng(0))
    assert estimate is not None
    assert np.abs(estimate.pose.xy - truth.xy).max() < 0.2  # the oracle has no neighbours across an edge


def patch_centre(patch: AerialPatch) -> np.ndarray:
    rows, cols = patch.valid.shape
    return patch.map_from_px @ np.array([cols / 2 - 0.5, rows / 2 - 0.5, 1.0])


def test_heights_of_the_matches_are_those_of_the_surface(model: Make, patch: AerialPatch) -> None:
    """With a low threshold the lowest visible height of every column is its surface."""
    view = make_view("panorama")
    matches = run(model(threshold=1e-6), [view], patch, poses(0)[0])
    assert (matches.height_m == 0.0).all()
    higher = run(model(threshold=1.0), [view], patch, poses(0)[0])
    assert (higher.height_m == 6.0).all()


def test_masked_parts_of_the_image_give_no_matches(model: Make, patch: AerialPatch) -> None:
    valid = np.ones((240, 320), bool)
    valid[:, :160] = False
    matches = run(model(), [make_view(valid=valid)], patch, poses(0)[0])
    assert len(matches.weights)
    assert (matches.uv[:, 0] > 159).all()


# --- through the localizer, without training


HERE = Pose2(5e5, 5e6, 0.3)
WINDOW = SearchWindow(HERE, 10.0, 0.2)
PRIOR = PosePrior(HERE, np.diag([9.0, 9.0, 0.01]), 1, yaw_known=True, source="test")


class Imagery:
    def __init__(self, patch: AerialPatch) -> None:
        self._patch = patch

    def patch(self, _centre: np.ndarray, _radius_m: float) -> AerialPatch:
        return self._patch


def test_noise_through_an_untrained_network_is_refused(model: Make, patch: AerialPatch) -> None:
    config = merge(SETTINGS, {"matcher": {"name": "viewbridge", "viewbridge": {"inlier_m": 2.5}}})
    result = Localizer(config, Imagery(patch), matcher_of(model(), inlier_m=2.5)).localize([make_view()], PRIOR)
    assert result.status is not Status.OK
    assert result.matches is not None
    assert result.matches.inlier_m == 2.5


def test_the_same_frame_gives_the_same_matches(model: Make, patch: AerialPatch) -> None:
    matcher = matcher_of(model(), matches=100)
    first, again = (matcher.match([make_view()], matcher.encode_aerial(patch), WINDOW) for _ in range(2))
    assert len(first.weights) == 100
    np.testing.assert_array_equal(first.aerial, again.aerial)
    assert (np.diff(first.weights) <= 0).all()


def test_no_evidence_gives_no_matches(model: Make, patch: AerialPatch) -> None:
    matcher = matcher_of(model())
    code = matcher.encode_aerial(patch)
    up = np.eye(4)
    up[2, 3] = 9.0  # looks straight up from above the highest point
    blind = make_view(valid=np.zeros((240, 320), bool))
    for views in ([], [make_view(T_base_camera=up)], [blind]):
        assert len(matcher.match(views, code, WINDOW).weights) == 0
    bare = matcher.encode_aerial(replace(patch, valid=np.zeros_like(patch.valid)))
    assert len(matcher.match([make_view()], bare, WINDOW).weights) == 0
    away = SearchWindow(Pose2(6e5, 5e6, 0.0), 10.0, 0.2)
    assert len(matcher.match([make_view()], code, away).weights) == 0
    result = Localizer(SETTINGS, Imagery(patch), matcher).localize([blind], PRIOR)
    assert result.status in (Status.LOW_COVERAGE, Status.LOW_SCORE)


def test_scores_that_are_no_numbers_give_no_matches(model: Make, patch: AerialPatch) -> None:
    made = model()
    with torch.no_grad():
        made.network.plane.matching.dustbin_score.fill_(math.nan)
    matcher = matcher_of(made)
    assert len(matcher.match([make_view()], matcher.encode_aerial(patch), WINDOW).weights) == 0


@pytest.mark.parametrize("rgb", [np.full((240, 320, 3), np.nan), np.zeros((240, 321, 3), np.uint8), np.zeros((9, 9))])
def test_an_image_that_does_not_fit_is_an_error(rgb: np.ndarray, model: Make, patch: AerialPatch) -> None:
    matcher = matcher_of(model())
    with pytest.raises(ImageError, match=r"image of camera pinhole is .* uint8"):
        matcher.match([make_view(rgb=rgb)], matcher.encode_aerial(patch), WINDOW)


def test_aerial_code_of_another_matcher_is_an_error(model: Make, patch: AerialPatch) -> None:
    with pytest.raises(ModelError, match="another matcher"):
        matcher_of(model()).match([make_view()], AerialCode(patch, "other"), WINDOW)


def test_the_aerial_image_is_described_once(model: Make, patch: AerialPatch) -> None:
    made = model()
    sizes: list[int] = []
    made.backbone.register_forward_hook(lambda _m, args, _o: sizes.append(args[0].shape[2]))
    matcher = matcher_of(made)
    code = matcher.encode_aerial(patch)
    for _ in range(3):
        matcher.match([make_view()], code, WINDOW)
    assert sizes.count(96) == 1
    assert sizes.count(48) == 3


# --- weights


def test_a_saved_model_is_opened_by_name(model: Make, patch: AerialPatch, tmp_path: Path) -> None:
    made = model(propagate=True, threshold=0.7)
    made.network.eval()
    made.backbone.eval()
    models.save(made, tmp_path / "w.safetensors")
    config = Matching(name="viewbridge", device="cpu", viewbridge=ViewBridge(weights=str(tmp_path / "w.safetensors")))
    matcher = registry.create(config, project_ground=lambda _views, _grid: None)  # type: ignore[arg-type, return-value]
    assert matcher.name == "viewbridge"
    assert matcher.warm_up() > 0
    direct = matcher_of(made)
    first, again = (m.match([make_view()], m.encode_aerial(patch), WINDOW) for m in (matcher, direct))
    np.testing.assert_allclose(first.weights, again.weights)
    matcher.close()


def test_wrong_weights_name_what_is_wrong(model: Make, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(ModelError, match="weights is empty"):
        ViewBridgeMatcher(Matching(viewbridge=ViewBridge(weights="")), CPU)
    with pytest.raises(ModelError, match="do not exist"):
        models.open_model(path, "", CPU)
    made = model()
    state = {**made.network.state_dict(), **{f"backbone.{k}": v for k, v in made.backbone.state_dict().items()}}
    facts = {"model": "viewbridge", "settings": made.network.settings.to_json()}
    cases = {
        "not ViewBridge": (state, {**facts, "model": "fg2"}),
        "cannot be read": (state, {**facts, "settings": "{}"}),
        "missing: aerial_queries": ({k: v for k, v in state.items() if k != "aerial_queries"}, facts),
        "unknown: other": ({**state, "other": torch.zeros(1)}, facts),
        "not finite": ({**state, "aerial_queries": torch.full_like(state["aerial_queries"], math.nan)}, facts),
    }
    for text, (tensors, told) in cases.items():
        weights.write_tensors(path, tensors, told)
        with pytest.raises(ModelError, match=text):
            models.open_model(path, "", CPU)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        models.open_model(path, "", CPU)


@pytest.mark.parametrize(
    "wrong", [{"threshold": 0.0}, {"threshold": 1.5}, {"softness": 0.0}, {"iterations": 0}, {"mode": "published"}]
)
def test_settings_that_no_model_can_have(wrong: dict[str, object], small: Callable[..., ViewBridgeSettings]) -> None:
    with pytest.raises(ModelError):
        small(**wrong)


def test_settings_survive_the_header(small: Callable[..., ViewBridgeSettings]) -> None:
    given = small(propagate=True, threshold=0.8, heights=5)
    assert ViewBridgeSettings.from_json(given.to_json()) == given
    assert VARIANTS["vigor"].plane.cells == 41
