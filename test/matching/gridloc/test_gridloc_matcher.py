# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A perfect head through the adapter, from a real patch, gives the pose in map coordinates; bad input, weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, GridLoc, Matching, merge
from cvloc_ros.errors import ImageError, ModelError
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.estimation.volume import from_volume
from cvloc_ros.imaging.models import Equirectangular, Fisheye, Pinhole
from cvloc_ros.matching import registry, weights
from cvloc_ros.matching.gridloc import model as models
from cvloc_ros.matching.gridloc.matcher import GridLocMatcher
from cvloc_ros.matching.gridloc.model import Model
from cvloc_ros.matching.gridloc.network import Head
from cvloc_ros.matching.gridloc.settings import VARIANTS, GridLocSettings
from cvloc_ros.matching.gridloc.sight import upright, visible_part
from cvloc_ros.matching.layers.aerial import Crop, crop_near
from cvloc_ros.pipeline import Localizer
from cvloc_ros.types import (
    AerialCode,
    AerialPatch,
    CameraModel,
    GroundView,
    Pose2,
    PosePrior,
    ScoreVolume,
    SearchWindow,
    Status,
)

SETTINGS = resolve(Config(), None)
CPU = torch.device("cpu")
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
CAMERAS: dict[str, CameraModel] = {
    "pinhole": Pinhole(320, 240, 210.0, 205.0, 158.0, 121.0),
    "fisheye": Fisheye(320, 240, 110.0, 110.0, 160.0, 119.0, (0.03, -0.01, 0.0, 0.0)),
    "panorama": Equirectangular(400, 200),
}
Make = Callable[..., Model]


def mount(
    yaw: float = 0.0, pitch: float = 0.1, roll: float = 0.0, at: Sequence[float] = (1.2, -0.3, 1.6)
) -> np.ndarray:
    T = np.eye(4)
    turns = [cv2.Rodrigues(np.array(axis) * angle)[0] for axis, angle in
             (((0.0, 0.0, 1.0), yaw), ((0.0, 1.0, 0.0), pitch), ((1.0, 0.0, 0.0), roll))]
    T[:3, :3], T[:3, 3] = turns[0] @ turns[1] @ turns[2] @ OPTICAL, at
    return T


def make_view(kind: str = "pinhole", seed: int = 0, **more: object) -> GroundView:
    camera = CAMERAS[kind]
    rgb = np.random.default_rng(seed).integers(0, 255, (camera.height, camera.width, 3), np.uint8)
    given = {"rgb": rgb, "T_base_camera": mount(), "stamp_ns": 9, **more}
    return GroundView(kind, camera=camera, **given)  # type: ignore[arg-type]


def camera_in_map(view: GroundView, truth: Pose2) -> Pose2:
    axis = view.T_base_camera[:2, 2]
    return truth @ view.T_ref_base @ Pose2(*view.T_base_camera[:2, 3], math.atan2(axis[1], axis[0]))


def certain(settings: GridLocSettings, camera: Pose2, crop: Crop, other: Pose2 | None = None) -> Head:
    """A head that is sure of a camera pose in the map, or in doubt between two."""
    bins = max(settings.yaw_bins, 1)
    logits = torch.full((1, settings.cells**2, bins), -60.0)
    offset, turn = torch.zeros(1, settings.cells**2, 2), torch.zeros(1, settings.cells**2, bins)
    for number, pose in enumerate(p for p in (camera, other) if p is not None):
        place = torch.from_numpy(crop.from_map(pose.xy))[None]
        labels = settings.grid.encode(place, torch.tensor([crop.turn_rad + math.pi / 2 - pose.yaw_rad]).double())
        assert bool(labels.inside)
        cell, which = int(labels.cell), int(labels.bin)
        logits[0, cell, which] = -0.5 * number
        offset[0, cell] = labels.offset[0]
        turn[0, cell, which] = labels.turn[0]
    return Head(logits, offset, turn)


def matcher_of(model: Model, **config: object) -> GridLocMatcher:
    return GridLocMatcher(Matching(name="gridloc", gridloc=GridLoc(**config)), CPU, model=model)  # type: ignore[arg-type]


def oracle(model: Model, heads: list[Head]) -> None:
    given = iter(heads)
    model.network.locate = lambda *_: next(given)  # type: ignore[method-assign]


def poses(count: int) -> list[Pose2]:
    rng = np.random.default_rng(11)
    turns = [math.pi, -math.pi + 1e-9, math.pi / 2, *rng.uniform(-math.pi, math.pi, count)]
    return [Pose2(5e5 + rng.uniform(-20, 20), 5e6 + rng.uniform(-20, 20), float(yaw)) for yaw in turns]


def crop_of(settings: GridLocSettings, view: GroundView, prior: Pose2) -> Crop:
    looks = camera_in_map(view, prior).yaw_rad
    return crop_near(prior.xy, looks if settings.align == "heading" else None)


def check(volume: ScoreVolume, truth: Pose2, metres: float = 0.03, rad: float = 3e-3) -> None:
    """With a lever arm yaw and position are one; the summit that is found along each axis alone is then less exact."""
    estimate = from_volume(volume, SETTINGS.estimation)
    assert estimate is not None
    assert np.abs(estimate.pose.xy - truth.xy).max() < metres
    assert abs(math.remainder(estimate.pose.yaw_rad - truth.yaw_rad, math.tau)) < rad
    assert estimate.score > 0.9


@pytest.mark.parametrize("step_m", [0.3, 1.0])
def test_without_a_lever_arm_the_pose_is_exact(step_m: float, model: Make, patch: AerialPatch) -> None:
    made = model(yaw=True)
    view = make_view(T_base_camera=mount(0.6, at=(0.0, 0.0, 1.6)))
    for truth in poses(5):
        prior = truth @ Pose2(3.0, -2.0, 0.1)
        oracle(made, [certain(made.network.settings, camera_in_map(view, truth), crop_near(prior.xy, None))])
        matcher = matcher_of(made, step_m=step_m, floor=1e-6)
        volume = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 8.0, 0.5))
        check(volume, truth, 1e-3, 1e-4)


@pytest.mark.parametrize("align", ["north", "heading"])
@pytest.mark.parametrize("kind", ["pinhole", "fisheye"])
def test_every_pose_with_yaw(kind: str, align: str, model: Make, patch: AerialPatch) -> None:
    made = model(yaw=True, align=align)
    settings = made.network.settings
    for number, truth in enumerate(poses(3)):
        rng = np.random.default_rng(number)
        view = make_view(kind, number, T_base_camera=mount(rng.uniform(-3, 3)))
        prior = truth @ Pose2(3.0, -2.0, 0.1)
        oracle(made, [certain(settings, camera_in_map(view, truth), crop_of(settings, view, prior))])
        matcher = matcher_of(made)
        volume = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 8.0, 0.5))
        check(volume, truth)


def test_an_unknown_yaw_is_found_all_round(model: Make, patch: AerialPatch) -> None:
    made = model(yaw=True)
    truth = poses(1)[-1]
    view, prior = make_view(T_base_camera=mount(1.0)), Pose2(truth.x_m + 3.0, truth.y_m, truth.yaw_rad + 2.5)
    oracle(made, [certain(made.network.settings, camera_in_map(view, truth), crop_near(prior.xy, None))])
    matcher = matcher_of(made, step_m=1.0, yaw_step_deg=3.0)
    volume = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 8.0, math.pi))
    assert len(volume.yaw_rad) == 120
    assert (np.diff(volume.yaw_rad) > 0).all()
    check(volume, truth)


@pytest.mark.parametrize("align", ["roll", "north"])
def test_panoramas(align: str, model: Make, patch: AerialPatch) -> None:
    """Rolled by the prior the network sees a camera that looks north but for the prior's error."""
    made = model(yaw=True, align=align, panorama=True)
    settings = made.network.settings
    for truth in poses(2):
        view, prior = make_view("panorama", T_base_camera=mount(0.7, 0.0)), truth @ Pose2(2.0, 1.0, 0.1)
        camera = camera_in_map(view, truth)
        if align == "roll":
            turned = round(math.remainder(camera_in_map(view, prior).yaw_rad - math.pi / 2, math.tau) / math.tau * 400)
            camera = replace(camera, yaw_rad=camera.yaw_rad - turned * math.tau / 400)
            assert abs(math.remainder(camera.yaw_rad - math.pi / 2, math.tau)) < 0.11
        oracle(made, [certain(settings, camera, crop_near(prior.xy, None))])
        matcher = matcher_of(made)
        check(matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 8.0, 0.5)), truth)


@pytest.mark.parametrize("align", ["north", "heading"])
def test_a_model_of_the_location_has_the_yaw_of_the_prior(align: str, model: Make, patch: AerialPatch) -> None:
    made = model(align=align)
    for truth in poses(2):
        truth = replace(truth, yaw_rad=round(truth.yaw_rad / math.radians(2)) * math.radians(2))  # noqa: PLW2901
        view, prior = make_view(T_base_camera=mount(0.3)), Pose2(truth.x_m + 3.0, truth.y_m - 2.0, truth.yaw_rad)
        settings = made.network.settings
        oracle(made, [certain(settings, camera_in_map(view, truth), crop_of(settings, view, prior))])
        matcher = matcher_of(made)
        volume = matcher.match([view], matcher.encode_aerial(patch), SearchWindow(prior, 8.0, math.radians(10)))
        check(volume, truth)
        estimate = from_volume(volume, SETTINGS.estimation)
        sigma = math.sqrt(estimate.covariance[2, 2])
        assert sigma > 0.7 * math.radians(10) / math.sqrt(3.0)


def test_views_are_multiplied(model: Make, patch: AerialPatch) -> None:
    """Two cameras that are each in doubt between two places agree on one."""
    made = model(yaw=True, sigma_cells=0.1)
    settings, truth = made.network.settings, poses(1)[-1]
    views = [
        make_view(T_base_camera=mount(0.0)),
        make_view("fisheye", T_base_camera=mount(2.9), T_ref_base=Pose2(-4.0, 0.7, -0.3), stamp_ns=3),
    ]
    crop, wrong = crop_near(truth.xy, None), [truth @ Pose2(7.0, 5.0, 0.4), truth @ Pose2(-6.0, -7.0, 0.3)]
    heads = [
        certain(settings, camera_in_map(view, other), crop, camera_in_map(view, truth))
        for view, other in zip(views, wrong, strict=True)
    ]
    window = SearchWindow(truth, 10.0, 0.5)
    oracle(made, [heads[0]])
    one = matcher_of(made, max_views=1)
    estimate = from_volume(one.match(views, one.encode_aerial(patch), window), SETTINGS.estimation)
    assert np.linalg.norm(estimate.pose.xy - truth.xy) > 5.0
    assert estimate.ambiguity > 0.5
    oracle(made, heads)
    both = matcher_of(made, max_views=2)
    estimate = from_volume(both.match(views, both.encode_aerial(patch), window), SETTINGS.estimation)
    assert np.linalg.norm(estimate.pose.xy - truth.xy) < 0.05
    assert estimate.ambiguity < 0.45


def test_the_volume_is_a_calibrated_density(model: Make, patch: AerialPatch) -> None:
    """Doubt between two places keeps its odds; the temperature softens them; everywhere else the floor is left."""
    settings, truth = model(yaw=True).network.settings, poses(1)[-1]
    view, other = make_view(T_base_camera=mount(at=(0.0, 0.0, 1.6))), truth @ Pose2(9.0, 0.0, 0.0)
    crop, window = crop_near(truth.xy, None), SearchWindow(truth, 12.0, 0.1)
    peaks = {}
    for temperature in (1.0, 2.0):
        made = model(yaw=True, temperature=temperature)
        oracle(made, [certain(settings, camera_in_map(view, truth), crop, camera_in_map(view, other))])
        matcher = matcher_of(made, step_m=0.25, floor=1e-6)
        volume = matcher.match([view], matcher.encode_aerial(patch), window)
        best = volume.log_likelihood.amax(0)
        cells = [(np.abs(volume.y_m - p.y_m).argmin(), np.abs(volume.x_m - p.x_m).argmin()) for p in (truth, other)]
        place = [float(best[cell]) for cell in cells]
        peaks[temperature] = place[0] - place[1]
        assert float(volume.log_likelihood.min()) > -40
        assert float(volume.scores.min()) >= 0.0
        assert float(volume.scores.max()) <= 1.0
    assert peaks[1.0] == pytest.approx(0.5, abs=0.1)
    assert peaks[2.0] == pytest.approx(0.25, abs=0.1)


def test_the_same_pose_is_scored_whatever_the_window_is(model: Make, patch: AerialPatch) -> None:
    matcher = matcher_of(model(yaw=True).train(mode=False))
    code, here = matcher.encode_aerial(patch), Pose2(5e5, 5e6, 0.3)
    small, large = (matcher.match([make_view()], code, SearchWindow(here, r, 0.2)) for r in (4.0, 9.0))
    rows, cols = (np.searchsorted(getattr(large, a), getattr(small, a)) for a in ("y_m", "x_m"))
    np.testing.assert_array_equal(large.x_m[cols], small.x_m)
    torch.testing.assert_close(large.log_likelihood[:, rows][:, :, cols], small.log_likelihood)


def test_places_without_imagery_are_not_scored(model: Make, patch: AerialPatch) -> None:
    valid = patch.valid.copy()
    valid[:, 320:] = False
    matcher = matcher_of(model(yaw=True))
    volume = matcher.match(
        [make_view(T_base_camera=mount(at=(0, 0, 1.6)))], matcher.encode_aerial(replace(patch, valid=valid)),
        SearchWindow(Pose2(5e5, 5e6, 0.0), 10.0, 0.1),
    )  # fmt: skip
    east = volume.x_m > 5e5 + 0.1
    assert torch.isneginf(volume.log_likelihood[:, :, east]).all()
    assert (volume.overlap[:, :, east] == 0).all()
    assert torch.isfinite(volume.log_likelihood[:, :, volume.x_m < 5e5 - 8.1]).all()


def test_a_camera_upside_down_and_the_part_that_is_seen(small: Callable[..., GridLocSettings]) -> None:
    mask = np.ones((240, 320), bool)
    mask[:20] = False
    view = make_view(T_base_camera=mount(0.4, 0.1, math.pi), valid=mask)
    turned = upright(view)
    np.testing.assert_array_equal(turned.rgb, view.rgb[::-1, ::-1])
    np.testing.assert_allclose(turned.T_base_camera, mount(0.4, 0.1), atol=1e-12)
    part = visible_part(turned, small(ground_crop=VARIANTS["oxford"].ground_crop))
    assert part.shape == (200, 300, 3)
    np.testing.assert_array_equal(part, turned.rgb[:200, 10:310])
    assert (visible_part(turned, small())[220:] == 128).all()


# --- through the localizer, without training


HERE = Pose2(5e5, 5e6, 0.3)
WINDOW = SearchWindow(HERE, 10.0, 0.2)
PRIOR = PosePrior(HERE, np.diag([9.0, 9.0, 0.01]), 1, yaw_known=True, source="test")


class Imagery:
    def __init__(self, patch: AerialPatch) -> None:
        self._patch = patch

    def patch(self, _centre: np.ndarray, _radius_m: float) -> AerialPatch:
        return self._patch


@pytest.mark.parametrize("yaw", [False, True])
def test_noise_through_an_untrained_network_is_refused(yaw: bool, model: Make, patch: AerialPatch) -> None:
    config = merge(SETTINGS, {"matcher": {"name": "gridloc"}})
    result = Localizer(config, Imagery(patch), matcher_of(model(yaw=yaw))).localize([make_view()], PRIOR)
    assert result.status is not Status.OK
    assert result.volume is not None


def test_no_evidence_scores_nothing(model: Make, patch: AerialPatch) -> None:
    matcher = matcher_of(model(yaw=True))
    code = matcher.encode_aerial(patch)
    bare = matcher.encode_aerial(replace(patch, valid=np.zeros_like(patch.valid)))
    away = SearchWindow(Pose2(6e5, 5e6, 0.0), 10.0, 0.2)
    for views, given, window in (([], code, WINDOW), ([make_view()], bare, WINDOW), ([make_view()], code, away)):
        volume = matcher.match(views, given, window)
        assert torch.isneginf(volume.log_likelihood).all()
    result = Localizer(SETTINGS, Imagery(patch), matcher).localize([], PRIOR)
    assert result.status is Status.LOW_COVERAGE


def test_logits_that_are_no_numbers_are_refused(model: Make, patch: AerialPatch) -> None:
    made = model(yaw=True)
    with torch.no_grad():
        made.network.head[-1].bias.fill_(math.nan)
    result = Localizer(SETTINGS, Imagery(patch), matcher_of(made)).localize([make_view()], PRIOR)
    assert result.status is not Status.OK


@pytest.mark.parametrize("rgb", [np.full((240, 320, 3), np.nan), np.zeros((240, 321, 3), np.uint8), np.zeros((9, 9))])
def test_an_image_that_does_not_fit_is_an_error(rgb: np.ndarray, model: Make, patch: AerialPatch) -> None:
    matcher = matcher_of(model())
    with pytest.raises(ImageError, match=r"image of camera pinhole is .* uint8"):
        matcher.match([make_view(rgb=rgb)], matcher.encode_aerial(patch), WINDOW)


def test_cameras_of_another_kind_and_codes_of_another_matcher(model: Make, patch: AerialPatch) -> None:
    matcher = matcher_of(model(panorama=True))
    with pytest.raises(ModelError, match="model of panoramas"):
        matcher.match([make_view()], matcher.encode_aerial(patch), WINDOW)
    with pytest.raises(ModelError, match="another matcher"):
        matcher.match([make_view("panorama")], AerialCode(patch, "other"), WINDOW)


def test_the_aerial_image_is_described_once(model: Make, patch: AerialPatch) -> None:
    made = model(yaw=True)
    calls: list[int] = []
    made.aerial.register_forward_hook(lambda *_: calls.append(1))
    matcher = matcher_of(made)
    code = matcher.encode_aerial(patch)
    for _ in range(3):
        matcher.match([make_view()], code, WINDOW)
    assert len(calls) == 1


# --- weights


def test_a_saved_model_is_opened_by_name(model: Make, patch: AerialPatch, tmp_path: Path) -> None:
    made = model(yaw=True).train(mode=False)
    made = made.calibrated(replace(made.network.settings, temperature=1.7))
    models.save(made, tmp_path / "w.safetensors")
    config = Matching(name="gridloc", device="cpu", gridloc=GridLoc(weights=str(tmp_path / "w.safetensors")))
    matcher = registry.create(config, project_ground=lambda _views, _grid: None)  # type: ignore[arg-type, return-value]
    assert matcher.name == "gridloc"
    assert matcher.warm_up() > 0
    first, again = (m.match([make_view()], m.encode_aerial(patch), WINDOW) for m in (matcher, matcher_of(made)))
    torch.testing.assert_close(first.log_likelihood, again.log_likelihood)
    matcher.close()


def test_wrong_weights_name_what_is_wrong(model: Make, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(ModelError, match="weights is empty"):
        GridLocMatcher(Matching(gridloc=GridLoc(weights="")), CPU)
    with pytest.raises(ModelError, match="do not exist"):
        models.open_model(path, CPU)
    made = model()
    models.save(made, path)
    state, facts = weights.read_tensors(path), weights.read_facts(path)
    cases = {
        "not GridLoc": (state, {**facts, "model": "fg2"}),
        "cannot be read": (state, {**facts, "settings": '{"up": 1}'}),
        "backbone 'x' is unknown": (state, {**facts, "settings": '{"backbone": "x"}'}),
        "missing: network.ground_in.bias": ({k: v for k, v in state.items() if k != "network.ground_in.bias"}, facts),
        "unknown: other": ({**state, "other": torch.zeros(1)}, facts),
        "not finite": ({**state, "network.ground_in.bias": torch.full((32,), math.nan)}, facts),
    }
    for text, (tensors, told) in cases.items():
        weights.write_tensors(path, tensors, told)
        with pytest.raises(ModelError, match=text):
            models.open_model(path, CPU)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        models.open_model(path, CPU)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_settings_survive_the_header(name: str) -> None:
    assert GridLocSettings.from_json(VARIANTS[name].to_json()) == VARIANTS[name]
