# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The matcher in the pipeline's frames: perfect matches give the true pose, pixels and heights are the matches' own."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from cvloc_ros.config import parse
from cvloc_ros.errors import ImageError, ModelError
from cvloc_ros.estimation.procrustes import from_matches, procrustes
from cvloc_ros.imaging.camera import Equirectangular, Fisheye, Pinhole
from cvloc_ros.matching import registry
from cvloc_ros.matching.fg2 import checkpoint, matcher, model
from cvloc_ros.matching.fg2.decode import draw, settle
from cvloc_ros.matching.fg2.matcher import Fg2Matcher
from cvloc_ros.matching.fg2.network import Fg2Network
from cvloc_ros.matching.fg2.settings import VARIANTS
from cvloc_ros.matching.fg2.views import forward_in_base, ground_in_base
from cvloc_ros.matching.layers import dinov2
from cvloc_ros.matching.layers.pose import procrustes as batched
from cvloc_ros.matching.layers.views import roll_to_north
from cvloc_ros.types import AerialCode, AerialPatch, Pose2, SearchWindow

CPU = torch.device("cpu")
PINHOLE = Pinhole(128, 96, 80.0, 80.0, 63.5, 47.5, (-0.1, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
CAMERAS = {"pinhole": PINHOLE, "fisheye": Fisheye(96, 96, 31.0, 31.0, 47.5, 47.5), "panorama": Equirectangular(160, 80)}
ORIGIN = np.array([448_261.37, 5_411_932.81])


def config(**keys):
    return parse({"matcher": {"name": "fg2", "fg2": keys}}).matcher


def patch_at(centre, size=800, metres=0.25):
    left, top = centre[0] - size * metres / 2, centre[1] + size * metres / 2
    map_from_px = np.array([[metres, 0.0, left + metres / 2], [0.0, -metres, top - metres / 2]])
    rgb = np.random.default_rng(1).integers(0, 255, (size, size, 3), np.uint8)
    return AerialPatch(rgb, np.ones((size, size), bool), metres, map_from_px, "test", 1.0, ("test", size))


def make(settings, first=None, **keys):
    torch.manual_seed(0)
    models = [None if s is None else model.create(s, "", CPU) for s in (settings, first)]
    for part in models:
        if part is not None:
            part.network.eval()
            part.backbone.eval()
    return Fg2Matcher(config(**keys), CPU, models=tuple(models))


class Oracle:
    """Stands in for sampling: the aerial point of each ground cell by the formula of the internal frames."""

    def __init__(self, T_map_camera: Pose2, crops: list, count: int = 200) -> None:
        self.truth, self.crops, self.count = T_map_camera, crops, count

    def __call__(self, probability, _points, settings, _count, **_):
        crop = self.crops[-1]
        up = crop.turn_rad + math.pi / 2
        heading = up - self.truth.yaw_rad  # clockwise from up
        offset = self.truth.xy - [crop.x_m, crop.y_m]
        p = torch.tensor(
            [-(offset @ [math.cos(up), math.sin(up)]), offset @ [math.sin(up), -math.cos(up)]], dtype=torch.float64
        )
        c, s = math.cos(heading), math.sin(heading)
        turn = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)  # aerial to ground
        cells = torch.randperm(probability.shape[2])[: self.count]
        ground = settings.ground_points().double()[cells]
        aerial = (ground + p) @ turn if settings.shifted else ground @ turn + p
        weight = torch.rand(len(cells), dtype=torch.float64) + 0.1
        fitted = batched(aerial[None], ground[None], weight[None])
        return settle(cells, aerial, weight, fitted, settings)


@pytest.fixture
def spied(monkeypatch):
    """Record the crops that the matcher chooses; of several the first, which its matches are told in."""
    crops = []
    real = matcher.crops_over

    def spy(*args):
        chosen = real(*args)
        crops.append(chosen[0])
        return chosen

    monkeypatch.setattr(matcher, "crops_over", spy)
    return crops


def check_round_trip(subject, view, spied, monkeypatch, rng, settings):
    truth = Pose2.at(ORIGIN + rng.uniform(-5000, 5000, 2), rng.uniform(-math.pi, math.pi))
    prior = Pose2.at(truth.xy + rng.uniform(-8, 8, 2), truth.yaw_rad + rng.uniform(-0.3, 0.3))
    by = roll_to_north(view, prior.yaw_rad) if settings.align == "roll" else 0
    centre = ground_in_base(view, settings, by)
    plane = settings.ground_points().numpy()
    nearest = int(np.abs(plane).sum(1).argmin())
    forward = forward_in_base(view, settings, by)
    # origin of the plane in base, found from a point of known internal coordinates
    turn = np.array([[math.cos(forward), -math.sin(forward)], [math.sin(forward), math.cos(forward)]])
    origin = centre[nearest] - turn @ [-plane[nearest, 0], -plane[nearest, 1]]
    monkeypatch.setattr(matcher, "draw", Oracle(truth @ Pose2.at(origin, forward), spied))
    aerial = subject.encode_aerial(patch_at(prior.xy))
    found = subject.match([view], aerial, SearchWindow(prior, 10.0, 0.4))
    pose = procrustes(found.ground, found.aerial, found.weights)
    assert pose is not None
    np.testing.assert_allclose(pose.xy, truth.xy, atol=1e-4)
    assert abs(math.remainder(pose.yaw_rad - truth.yaw_rad, math.tau)) < 1e-4
    estimate = from_matches(found, np.random.default_rng(0))
    assert estimate is not None
    assert estimate.inliers > 0.99
    if not settings.published:
        np.testing.assert_allclose(origin, 0.0, atol=1e-5)


@pytest.mark.parametrize("kind", list(CAMERAS))
@pytest.mark.parametrize("mode", ["mended", "kitti", "vigor_known", "vigor_first"])
def test_perfect_matches_give_the_true_pose(kind, mode, small_settings, mounting, make_view, spied, monkeypatch):
    settings = small_settings()
    if mode != "mended":
        keys = ("mode", "align", "shifted", "front_only")
        settings = dataclasses.replace(settings, **{key: getattr(VARIANTS[mode], key) for key in keys})
    if mode == "vigor_first":
        settings = dataclasses.replace(settings, extent_m=30.0)
    subject = make(settings)
    rng = np.random.default_rng(len(kind) + len(mode))
    for _ in range(4):
        T = mounting(*rng.uniform(-1, 1, 2), rng.uniform(1, 2), yaw=rng.uniform(-3, 3), pitch=rng.uniform(0.0, 0.3))
        view = make_view(CAMERAS[kind], T, stamp_ns=int(rng.integers(1 << 60)))
        check_round_trip(subject, view, spied, monkeypatch, rng, settings)


def test_pixels_and_heights_are_those_of_the_ground_points(small_settings, mounting, make_view):
    subject = make(small_settings(extent_m=20.0), matches=300)
    views = [
        make_view(CAMERAS["panorama"], mounting(0.3, 0.1, 1.6, yaw=0.2), stamp_ns=5),
        make_view(PINHOLE, mounting(1.0, 0.0, 1.5, pitch=0.3), stamp_ns=5),
        make_view(PINHOLE, mounting(-1.0, 0.0, 1.5, yaw=3.1), stamp_ns=2, T_ref_base=Pose2(-3.0, 0.2, 0.1)),
    ]
    found = subject.match(views, subject.encode_aerial(patch_at(ORIGIN)), SearchWindow(Pose2.at(ORIGIN, 0.4), 10, 0.2))
    assert len(found.weights) == 300
    assert (np.diff(found.weights) <= 0).all()
    assert found.weights[0] > 0
    assert set(found.height_m.tolist()) <= {0.0, 2.0}
    for view, ground, height, uv in zip(found.view, found.ground, found.height_m, found.uv, strict=True):
        seen = views[view]
        here = np.array([*seen.T_ref_base.inverse().apply(ground), height]) - seen.T_base_camera[:3, 3]
        np.testing.assert_allclose(seen.camera.project(here @ seen.T_base_camera[:3, :3])[0], uv, atol=1e-4)
    assert len(set(found.view.tolist())) > 1


def test_a_replay_repeats_the_draws_and_the_aerial_half_is_kept(small_settings, mounting, make_view):
    subject = make(small_settings())
    calls = []
    encode = subject._model.network.encode_aerial
    subject._model.network.encode_aerial = lambda tokens: calls.append(1) or encode(tokens)
    aerial = subject.encode_aerial(patch_at(ORIGIN))
    view = make_view(PINHOLE, mounting(pitch=0.2), stamp_ns=77)
    window = SearchWindow(Pose2.at(ORIGIN, 0.4), 6, 0.2)
    a, b = subject.match([view], aerial, window), subject.match([view], aerial, window)
    assert np.array_equal(a.aerial, b.aerial)
    other = subject.match([dataclasses.replace(view, stamp_ns=78)], aerial, window)
    assert not np.array_equal(a.aerial, other.aerial)
    assert len(calls) == 1


def oracle(settings, truth):
    """Probabilities that spread each ground cell over the aerial points near its true place."""

    def compare(_model, _aerial, crop, _ground):
        there = crop.to_map(settings.aerial_points().double().numpy())
        here = truth.apply(-settings.ground_points().double().numpy())  # backwards, right: forwards, left
        away = np.linalg.norm(there[:, None] - here, axis=-1)
        return torch.from_numpy(np.exp(-((away / 0.9) ** 2)) * 0.5).float()

    return compare


@pytest.mark.parametrize("crops", [1, 9])
def test_a_vehicle_far_from_the_middle_of_the_window_is_found_with_several_crops(
    crops, small_settings, mounting, make_view, monkeypatch
):
    settings = small_settings(align="north")
    subject = make(settings, matches=2048)
    monkeypatch.setattr(subject, "_crops", crops)
    truth = Pose2.at(ORIGIN + np.array([17.0, -16.0]), 0.7)
    asked = []
    real = oracle(settings, truth)
    monkeypatch.setattr(subject, "_compare", lambda *args: asked.append(args[2]) or real(*args))
    view = make_view(CAMERAS["panorama"], mounting(), stamp_ns=3)
    found = subject.match([view], subject.encode_aerial(patch_at(ORIGIN)), SearchWindow(Pose2.at(ORIGIN, 0.7), 20, 0.2))
    assert len(asked) == crops
    heavy = int((found.weights > 0.1).sum())
    if crops == 1:
        assert heavy < 20  # hardly anything of the plane lies in the square
    else:
        assert heavy > 80
        estimate = from_matches(found, np.random.default_rng(0))
        assert np.abs(estimate.pose.xy - truth.xy).max() < 0.15
        assert abs(estimate.pose.yaw_rad - 0.7) < 0.02


def test_models_whose_matches_hang_on_the_middle_of_their_crop_take_one(small_settings, mounting, make_view):
    settings = small_settings(mode="published", shifted=True, align="north")
    subject = make(settings)
    aerial = subject.encode_aerial(patch_at(ORIGIN))
    view = make_view(CAMERAS["panorama"], mounting(), stamp_ns=3)
    subject.match([view], aerial, SearchWindow(Pose2.at(ORIGIN, 0.7), 20, 0.2))
    assert len(aerial.data.codes) == 1


def test_two_passes_where_the_yaw_is_unknown(small_settings, mounting, make_view, spied, monkeypatch):
    published = {"mode": "published", "shifted": True}
    second = small_settings(align="heading", **published)
    first = small_settings(align="north", **published)
    subject = make(second, first)
    truth = Pose2.at(ORIGIN, 2.2)
    view = make_view(CAMERAS["panorama"], mounting(yaw=0.5), stamp_ns=9)
    monkeypatch.setattr(matcher, "draw", Oracle(truth @ Pose2(0.0, 0.0, 0.5), spied))
    aerial = subject.encode_aerial(patch_at(ORIGIN))
    subject.match([view], aerial, SearchWindow(Pose2.at(ORIGIN, -1.0), 10.0, math.pi))
    assert spied[0].turn_rad == 0.0
    assert spied[1].turn_rad == pytest.approx(2.2 + 0.5 - math.pi / 2, abs=math.radians(2.6))
    subject.match([view], aerial, SearchWindow(Pose2.at(ORIGIN, 2.1), 10.0, 0.2))
    assert len(spied) == 3


@pytest.mark.parametrize("robust", [False, True])
def test_drawing_from_a_sharp_matrix_gives_its_pose(robust, small_settings):
    settings = small_settings(extent_m=24.0)
    angle = math.pi / 2
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    mapped = settings.aerial_points() @ turn.T + torch.tensor([2.0, -4.0])
    sharp = (torch.cdist(mapped, settings.ground_points()) < 0.1).float()
    probability = (0.5 * sharp + 1e-5)[None]
    draws = torch.Generator().manual_seed(0)
    found = draw(probability, settings.aerial_points(), settings, 100, robust=robust, generator=draws)
    assert found.turn_rad == pytest.approx(angle, abs=0.02)
    heavy = found.weight > 0.1
    expected = (settings.ground_points()[found.ground[heavy]] - torch.tensor([2.0, -4.0])) @ turn
    torch.testing.assert_close(found.aerial[heavy], expected, atol=1e-4, rtol=0)


def test_no_view_no_evidence_no_imagery_and_values_that_are_not_finite(small_settings, mounting, make_view):
    subject = make(small_settings())
    patch = patch_at(ORIGIN)
    aerial = subject.encode_aerial(patch)
    window = SearchWindow(Pose2.at(ORIGIN, 0.4), 10, 0.2)
    assert len(subject.match([], aerial, window).weights) == 0
    up = make_view(PINHOLE, mounting(pitch=-1.5))  # sees nothing of the ground
    view = make_view(PINHOLE, mounting(pitch=0.2))
    masked = dataclasses.replace(view, valid=np.zeros((96, 128), bool))
    bare = subject.encode_aerial(dataclasses.replace(patch, valid=np.zeros_like(patch.valid)))
    for views, code in (([up], aerial), ([masked], aerial), ([view], bare)):
        found = subject.match(views, code, window)
        assert not found.weights.any()
        assert np.isfinite(found.ground).all()
        assert from_matches(found, np.random.default_rng(0)) is None
        strict = make(small_settings(), ransac=True)
        assert not strict.match(views, code, window).weights.any()
    broken = make(small_settings())
    with torch.no_grad():
        next(iter(broken._model.backbone.parameters()))[0] = torch.nan
    assert not broken.match([view], broken.encode_aerial(patch), window).weights.any()
    with pytest.raises(ModelError, match="another matcher"):
        subject.match([view], AerialCode(patch, object()), window)
    for rgb in (np.zeros((96, 96, 3), np.uint8), np.full((96, 128, 3), np.nan)):
        with pytest.raises(ImageError, match="its calibration says"):
            subject.match([dataclasses.replace(view, rgb=rgb)], aerial, window)


def test_files_and_registry(small_settings, tmp_path, mounting, make_view):
    torch.manual_seed(3)
    made = model.create(small_settings(), "", CPU)
    path = tmp_path / "fg2.safetensors"
    model.save(made, path)
    settings = config(weights=str(path), orientation_weights=str(path))
    subject = registry.create(settings, lambda *_: None)
    assert subject.name == "fg2"
    assert subject.warm_up() > 0
    read = subject._model
    for ours, theirs in ((made.network, read.network), (made.backbone, read.backbone)):
        assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in ours.state_dict().items())
    subject.close()
    with pytest.raises(ModelError, match=r"matcher\.fg2\.weights is empty"):
        registry.create(config(weights=""), lambda *_: None)


def test_a_frozen_backbone_serves_both_passes(small_settings, tmp_path, mounting, make_view):
    torch.manual_seed(0)
    torch.save(dinov2.create("vits14").state_dict(), tmp_path / "dino.pth")
    plain = {"mode": "published", "backbone": "vits14", "channels": 384, "ground_size": (56, 112), "aerial_size": 56}
    for name, align in (("second", "roll"), ("first", "north")):
        made = small_settings(**plain, align=align, shifted=True)
        checkpoint.write(tmp_path / f"{name}.safetensors", made, Fg2Network(made).state_dict())
    paths = {"weights": tmp_path / "second.safetensors", "orientation_weights": tmp_path / "first.safetensors"}
    subject = registry.create(
        config(backbone_weights=str(tmp_path / "dino.pth"), **{key: str(path) for key, path in paths.items()}),
        lambda *_: None,
    )
    assert subject._first.backbone is subject._model.backbone
    rgb = np.random.default_rng(0).integers(0, 255, (80, 160, 3), np.uint8)
    view = make_view(CAMERAS["panorama"], mounting(yaw=0.3), rgb)
    window = SearchWindow(Pose2.at(ORIGIN, 0.4), 10, math.pi)
    found = subject.match([view], subject.encode_aerial(patch_at(ORIGIN)), window)
    assert found.weights[0] > 0
    assert np.isfinite(found.uv[found.weights > 0]).all()
    assert found.inlier_m == 2.5
    with pytest.raises(ModelError, match="DINOv2 vits14"):
        registry.create(
            config(weights=str(paths["weights"]), backbone_weights=str(paths["weights"])), lambda *_: None
        )


def test_files_of_other_models(small_settings, tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="cvloc weights convert fg2"):
        model.open_model(tmp_path / "other.pt", "", CPU)
    with pytest.raises(ModelError, match="another model"):
        checkpoint.convert(tmp_path / "other.pt", tmp_path / "x.safetensors", "kitti")
    with pytest.raises(ModelError, match="vigor_known, vigor_first"):
        checkpoint.convert(tmp_path / "other.pt", tmp_path / "x.safetensors", "vigor")
    large = small_settings(backbone="vits14", channels=384)
    checkpoint.write(tmp_path / "large.safetensors", large, {"a": torch.ones(1)})
    with pytest.raises(ModelError, match="backbone_weights is empty"):
        model.open_model(tmp_path / "large.safetensors", "", CPU)
    made = model.create(small_settings(), "", CPU)
    checkpoint.write(tmp_path / "grid.safetensors", small_settings(cells=14), {
        **made.network.state_dict(), **{f"backbone.{k}": v for k, v in made.backbone.state_dict().items()}})
    with pytest.raises(ModelError, match=r"queries is \(12, 12, 32\), \(14, 14, 32\) is required"):
        model.open_model(tmp_path / "grid.safetensors", "", CPU)
