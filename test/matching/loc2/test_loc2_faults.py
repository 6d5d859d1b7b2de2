# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input ends in an error that names the fault, or in no matches, which the localizer reports as a status."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, Loc2, Matching, merge, parse
from cvloc_ros.errors import ConfigError, ImageError, ModelError
from cvloc_ros.estimation.calibration import resolve
from cvloc_ros.imaging.models import Pinhole
from cvloc_ros.matching import registry, weights
from cvloc_ros.matching.loc2 import checkpoint
from cvloc_ros.matching.loc2.matcher import Loc2Matcher
from cvloc_ros.pipeline import Localizer
from cvloc_ros.types import AerialCode, AerialPatch, GroundView, Pose2, PosePrior, SearchWindow, Status

CPU = torch.device("cpu")
SETTINGS = resolve(Config(), None)
HERE = Pose2(5e5, 5e6, 0.3)
WINDOW = SearchWindow(HERE, 10.0, math.pi)
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
Settings = Callable[..., Matching]


def make_view(**more: object) -> GroundView:
    T = np.eye(4)
    T[:3, :3], T[2, 3] = OPTICAL, 1.5
    rgb = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    depth = np.full((240, 320), 9.0, np.float32)
    given = {"rgb": rgb, "depth": depth, "T_base_camera": T, **more}
    return GroundView("c", camera=Pinhole(320, 240, 200.0, 200.0, 159.5, 119.5), stamp_ns=1, **given)  # type: ignore[arg-type]


class Imagery:
    def __init__(self, patch: AerialPatch) -> None:
        self._patch = patch

    def patch(self, _centre: np.ndarray, _radius_m: float) -> AerialPatch:
        return self._patch


# --- views


def test_noise_through_an_untrained_network_gives_matches_and_an_honest_status(
    settings: Settings, patch: AerialPatch
) -> None:
    matcher = Loc2Matcher(settings(matches=500, ransac_sets=1), CPU)
    config = merge(SETTINGS, {"matcher": settings(matches=500, ransac_sets=1).model_dump()})
    prior = PosePrior(HERE, np.diag([9.0, 9.0, 0.01]), 1, yaw_known=True, source="test")
    result = Localizer(config, Imagery(patch), matcher).localize([make_view()], prior)
    assert result.status is not Status.OK
    assert result.matches is not None
    assert result.timings_s["match"] > 0


VIEWS = {
    "nothing measured": {"depth": np.zeros((240, 320), np.float32)},
    "depth that is no number": {"depth": np.full((240, 320), np.nan, np.float32)},
    "all too far": {"depth": np.full((240, 320), 36.0, np.float32)},
    "all masked": {"valid": np.zeros((240, 320), bool)},
}


@pytest.mark.parametrize("what", VIEWS)
def test_a_view_without_evidence_gives_no_matches(what: str, settings: Settings, patch: AerialPatch) -> None:
    matcher = Loc2Matcher(settings(), CPU)
    matches = matcher.match([make_view(**VIEWS[what])], matcher.encode_aerial(patch), WINDOW)
    assert matches.ground.shape == matches.aerial.shape == matches.uv.shape == (0, 2)
    prior = PosePrior(HERE, np.diag([9.0, 9.0, 0.01]), 1, yaw_known=True, source="test")
    result = Localizer(SETTINGS, Imagery(patch), matcher).localize([make_view(**VIEWS[what])], prior)
    assert result.status is Status.LOW_SCORE


def test_only_the_newest_views_are_matched(settings: Settings, patch: AerialPatch) -> None:
    views = [replace(make_view(), stamp_ns=100 - age) for age in (2, 0, 1)]
    matcher = Loc2Matcher(settings(max_views=2, scale="fixed", ransac_sets=0), CPU)
    matches = matcher.match(views, matcher.encode_aerial(patch), WINDOW)
    assert set(matches.view) == {1, 2}


def test_a_camera_that_sees_no_ground_gives_no_matches(settings: Settings, patch: AerialPatch) -> None:
    T = np.eye(4)
    T[2, 3] = 1.5  # looks straight up
    matcher = Loc2Matcher(settings(depth_source="flat_ground"), CPU)
    assert len(matcher.match([make_view(T_base_camera=T)], matcher.encode_aerial(patch), WINDOW).weights) == 0
    assert len(matcher.match([], matcher.encode_aerial(patch), WINDOW).weights) == 0


def test_imagery_elsewhere_gives_no_matches(settings: Settings, patch: AerialPatch) -> None:
    matcher = Loc2Matcher(settings(), CPU)
    bare = replace(patch, valid=np.zeros_like(patch.valid))
    assert len(matcher.match([make_view()], matcher.encode_aerial(bare), WINDOW).weights) == 0
    away = SearchWindow(Pose2(6e5, 5e6, 0.0), 10.0, math.pi)
    assert len(matcher.match([make_view()], matcher.encode_aerial(patch), away).weights) == 0


@pytest.mark.parametrize(
    "rgb", [np.full((240, 320, 3), np.nan), np.zeros((240, 321, 3), np.uint8), np.zeros((240, 320), np.uint8)]
)
def test_an_image_that_does_not_fit_is_an_error(rgb: np.ndarray, settings: Settings, patch: AerialPatch) -> None:
    matcher = Loc2Matcher(settings(), CPU)
    with pytest.raises(ImageError, match=r"image of camera c is .* uint8"):
        matcher.match([make_view(rgb=rgb)], matcher.encode_aerial(patch), WINDOW)


def test_scores_that_are_no_numbers_give_no_matches(settings: Settings, patch: AerialPatch) -> None:
    matcher = Loc2Matcher(settings(), CPU)
    with torch.no_grad():
        matcher._network.matching.dustbin_score.fill_(math.nan)
    assert len(matcher.match([make_view()], matcher.encode_aerial(patch), WINDOW).weights) == 0


def test_aerial_code_of_another_matcher_is_an_error(settings: Settings, patch: AerialPatch) -> None:
    with pytest.raises(ModelError, match="another matcher"):
        Loc2Matcher(settings(), CPU).match([make_view()], AerialCode(patch, "other"), WINDOW)


# --- what is kept


def test_images_are_described_once(settings: Settings, patch: AerialPatch) -> None:
    matcher = Loc2Matcher(settings(), CPU)
    calls: list[int] = []
    matcher._backbone.register_forward_hook(lambda _m, args, _o: calls.append(args[0].shape[2]))
    code, view = matcher.encode_aerial(patch), make_view()
    for step in range(3):  # a keyframe comes again with the way travelled since
        matcher.match([replace(view, T_ref_base=Pose2(-0.5 * step, 0.0, 0.0))], code, WINDOW)
    assert calls == [64, 168]
    matcher.match([replace(view, stamp_ns=2)], code, replace(WINDOW, centre=Pose2(5e5 + 9.0, 5e6, 0.3)))
    assert calls == [64, 168, 64, 168]


def test_warm_up_and_close(settings: Settings) -> None:
    matcher = registry.create(settings(), project_ground=lambda _views, _grid: None)  # type: ignore[arg-type, return-value]
    assert matcher.name == "loc2"
    assert matcher.warm_up() > 0
    matcher.close()


# --- weights


def published(formula: ModuleType) -> dict[str, torch.Tensor]:
    return {key: formula.weight(key, shape) for key, shape in checkpoint.published_shapes().items()}


def test_a_published_checkpoint_is_converted_and_read(formula: ModuleType, tmp_path: Path) -> None:
    tensors = published(formula)
    torch.save(tensors, tmp_path / "model.pt")
    told = checkpoint.convert(tmp_path / "model.pt", tmp_path / "loc2.safetensors")
    assert "163 tensors" in told
    direct, own = (checkpoint.read(tmp_path / name) for name in ("model.pt", "loc2.safetensors"))
    assert direct.published and own.published
    assert set(direct.tensors) == set(own.tensors)
    assert all(torch.equal(direct.tensors[key], own.tensors[key]) for key in own.tensors)
    assert torch.equal(own.tensors["aerial.blocks.3.bn2.bias"], tensors["sat_projector.final_block.bn2.bias"])
    with pytest.raises(ModelError, match="set it to auto"):
        Loc2Matcher(Matching(loc2=Loc2(weights=str(tmp_path / "model.pt"), backbone="conv", geometry="mended")), CPU)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_wrong_checkpoints_name_what_is_wrong(formula: ModuleType, tmp_path: Path) -> None:
    tensors, file = published(formula), tmp_path / "model.pt"
    cases = {
        "other": ({"layer.weight": torch.zeros(3)}, "is not a published Loc² checkpoint"),
        "missing": ({key: value for key, value in tensors.items() if key != "dustbin_score"}, "missing: dustbin_score"),
        "unknown": ({**tensors, "grd_ffn1.weight": torch.zeros(2)}, "unknown: grd_ffn1.weight"),
        "shape": ({**tensors, "dustbin_score": torch.zeros(2)}, r"dustbin_score is \(2,\), \(\) is required"),
        "nan": ({**tensors, "dustbin_score": torch.tensor(math.nan)}, "not finite"),
    }
    for state, text in cases.values():
        torch.save(state, file)
        with pytest.raises(ModelError, match=text):
            checkpoint.read(file)
    torch.save(tensors, file)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", pickle.dumps({"a": Path("x")}), b"not a file of weights"):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.pt"):
            checkpoint.read(file)
    with pytest.raises(ModelError, match="absent"):
        checkpoint.read(tmp_path / "absent.pt")


def test_weights_of_another_matcher_or_backbone_are_refused(small_weights: Path, tmp_path: Path) -> None:
    tensors = weights.read_tensors(small_weights)
    weights.write_tensors(tmp_path / "fg2.safetensors", tensors, {"model": "fg2"})
    with pytest.raises(ModelError, match="weights of fg2"):
        checkpoint.read(tmp_path / "fg2.safetensors")
    one = {key: value for key, value in tensors.items() if ".blocks.1." not in key and ".blocks.2." not in key}
    weights.write_tensors(tmp_path / "one.safetensors", one, {"model": "loc2"})
    with pytest.raises(ModelError, match="blocks of the ground projector"):
        Loc2Matcher(Matching(loc2=Loc2(weights=str(tmp_path / "one.safetensors"), backbone="conv")), CPU)


def test_without_weights_the_error_says_how_to_get_them() -> None:
    with pytest.raises(ModelError, match="cvloc weights"):
        Loc2Matcher(Matching(), CPU)
    with pytest.raises(ConfigError, match="ground_size"):
        parse({"matcher": {"loc2": {"ground_size": [100]}}})
