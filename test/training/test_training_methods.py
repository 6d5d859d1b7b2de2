# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Each method is trained on what its matcher gives to its network, and its matcher takes what was trained."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cvloc_ros.cli.main import main
from cvloc_ros.config import Config, merge
from cvloc_ros.datasets.sample import Sample
from cvloc_ros.errors import ModelError
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.matching import registry, weights
from cvloc_ros.matching.layers.backbone import ConvBackbone, PyramidBackbone
from cvloc_ros.training.config import Training
from cvloc_ros.training.curves import CURVE, entries
from cvloc_ros.training.loop import train
from cvloc_ros.training.methods.method import create
from cvloc_ros.types import Pose2, SearchWindow

CPU = torch.device("cpu")
METHODS = ("fg2", "viewbridge", "gridloc", "loc2")
Make = Callable[..., Training]
SampleOf = Callable[..., Sample]


def window_near(pose: Pose2) -> SearchWindow:
    return SearchWindow(Pose2(pose.x_m + 3.3, pose.y_m - 4.1, pose.yaw_rad + 0.1), 12.0, 0.3)


VARIED: tuple[tuple[str, dict[str, Any], str], ...] = (
    *((method, {}, "front") for method in METHODS),
    ("fg2", {"align": "north"}, "roof"),
    ("fg2", {"mode": "published", "align": "roll"}, "roof"),
    ("fg2", {"mode": "published", "align": "heading", "front_only": True, "shifted": True}, "front"),
    ("fg2", {"backbone": "pyramid"}, "front"),
    ("gridloc", {"panorama": True, "align": "roll"}, "roof"),
    ("gridloc", {"align": "north"}, "front"),
    ("gridloc", {"backbone": "fine", "channels": 64, "fuse": "vote"}, "front"),
    ("loc2", {"geometry": {"ground_size": [32, 48], "aerial_px": 96, "aerial_cells": 12, "extent_m": 48.0,
                           "heading": "right"}}, "front"),
    ("loc2", {"geometry": {"ground_size": [32, 64], "aerial_px": 96, "aerial_cells": 12, "extent_m": 48.0,
                           "heading": "north"}}, "roof"),
)  # fmt: skip


def varied(small: Make, method: str, changes: dict[str, Any]) -> Training:
    config = small(method)
    return config.model_copy(update={"settings": {**config.settings, **changes}})


@pytest.mark.parametrize(("method", "changes", "camera"), VARIED)
def test_inputs_are_those_of_the_matcher(
    method: str, changes: dict[str, Any], camera: str, small: Make, sample_of: SampleOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = create(varied(small, method, changes))
    trainee = made.trainee(CPU).eval()
    sample = sample_of(3, (camera,))
    window = window_near(sample.pose)
    seen: list[torch.Tensor] = []
    kind = PyramidBackbone if changes.get("backbone") in ("pyramid", "fine") else ConvBackbone
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x: (seen.extend(x), forward(self, x))[1])
    matcher = made.matcher(trainee, Config().matcher, CPU, BirdsEye())
    matcher.match(sample.views, matcher.encode_aerial(sample.patch), window)
    by_matcher = list(seen)
    seen.clear()
    example = made.inputs.example(sample, window)
    assert example is not None
    with torch.no_grad():
        trainee(made.inputs.collate([example]))
    assert len(by_matcher) == len(seen) == 2
    for image in by_matcher:
        assert any(image.shape == other.shape and torch.equal(image, other) for other in seen)


@pytest.mark.parametrize("method", METHODS)
def test_the_truth_lays_the_ground_onto_the_aerial_picture(method: str, small: Make, sample_of: SampleOf) -> None:
    inputs = create(small(method)).inputs
    sample = sample_of(4)
    around = np.stack(np.meshgrid(np.linspace(-9, 9, 7), np.linspace(-9, 9, 7)), -1).reshape(-1, 2)
    lever = np.array([1.0, 0.1]) if method == "gridloc" else np.zeros(2)  # its truth is that of the camera
    for turn in (0.0, 0.5, -2.0):
        example = inputs.example(sample, window_near(sample.pose @ Pose2(1.0, 0.0, turn)))
        assert example is not None
        down, right = in_crop(example, around)
        size = example["aerial"].shape[-1]
        rows, cols = (np.rint((part / 48.0 + 0.5) * size - 0.5).astype(int) for part in (down, right))
        here = example["aerial"].numpy()[:, rows, cols].T * 255
        col, row = np.rint(sample.patch.px_from_map(sample.pose.apply(around + lever))).astype(int).T
        there = sample.patch.rgb[row, col].astype(float)
        assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.9


@pytest.mark.parametrize(("camera", "align"), [("roof", "roll"), ("front", "heading")])
def test_the_truth_of_published_models_is_that_of_the_camera(
    camera: str, align: str, small: Make, sample_of: SampleOf
) -> None:
    inputs = create(varied(small, "fg2", {"mode": "published", "align": align})).inputs
    sample = sample_of(4, (camera,))
    window = window_near(sample.pose)  # its yaw is 0.1 too far to the left
    example = inputs.example(sample, window)
    assert example is not None
    lever = sample.pose.apply(np.array([1.0, 0.1])) - np.round(window.centre.xy / 4.0) * 4.0
    assert np.hypot(*example["position"].double().numpy()) == pytest.approx(float(np.hypot(*lever)), abs=1e-3)
    # In a crop (or a panorama) that is turned by the prior, what is too far to the left appears to the right.
    assert float(example["heading"]) == pytest.approx(0.1, abs=0.06)


def in_crop(example: Any, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points (N, 2) of the vehicle (x ahead, y left) lie in the crop by the stated truth: metres down, right."""
    position = example["position"].double().numpy()
    if "yaw" in example:  # map axes around the centre; the crop is turned
        moved = Pose2(*position, float(example["yaw"])).apply(ground)
        corner = example["points"].double().numpy().reshape(12, 12, 2)
        right, down = (corner[0, 1] - corner[0, 0]), (corner[1, 0] - corner[0, 0])
        return moved @ (down / np.linalg.norm(down)), moved @ (right / np.linalg.norm(right))
    heading = float(example["heading"])
    c, s = math.cos(heading), math.sin(heading)
    return position[0] - c * ground[:, 0] - s * ground[:, 1], position[1] + s * ground[:, 0] - c * ground[:, 1]


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_checkpoint_is_taken_by_the_matcher(
    method: str, small: Make, sample_of: SampleOf, tmp_path: Path
) -> None:
    config = small(method, steps=3, evaluate_every=3)
    outcome = train(config, tmp_path, cpu=True)
    assert outcome.metrics["samples"] == 2
    file = tmp_path / "best" / "model.safetensors"
    localizer = merge(Config(), {"matcher": {"name": method, method: {"weights": str(file)}}})
    matcher = registry.create(localizer.matcher, BirdsEye())
    sample = sample_of(2)
    found = matcher.match(sample.views, matcher.encode_aerial(sample.patch), window_near(sample.pose))
    assert found is not None
    half = tmp_path / "half.safetensors"
    assert main(["weights", "pack", str(file), str(half)]) == 0
    assert half.stat().st_size < 0.6 * file.stat().st_size and weights.read_facts(half) == weights.read_facts(file)
    assert main(["weights", "verify", str(half)]) == 0
    packed = registry.create(merge(localizer, {"matcher": {method: {"weights": str(half)}}}).matcher, BirdsEye())
    again = packed.match(sample.views, packed.encode_aerial(sample.patch), window_near(sample.pose))
    assert type(again) is type(found)
    # A training may start from them, and those of another method are refused by name.
    train(small(method, steps=1, over={"weights": str(file)}), tmp_path / "more", cpu=True)
    other = "gridloc" if method != "gridloc" else "fg2"
    with pytest.raises(ModelError, match=str(file)):
        train(small(other, steps=1, over={"weights": str(file)}), tmp_path / "wrong", cpu=True)


@pytest.mark.parametrize("method", METHODS)
def test_losses_fall_on_samples_that_are_seen_again_and_again(method: str, small: Make, sample_of: SampleOf) -> None:
    torch.manual_seed(0)
    made = create(small(method))
    trainee = made.trainee(CPU)
    samples = [sample_of(number) for number in range(2)]
    examples = [made.inputs.example(sample, window_near(sample.pose)) for sample in samples]
    batch = made.inputs.collate([example for example in examples if example is not None])
    optimiser = torch.optim.AdamW([*trainee.groups()[0], *trainee.groups()[1]], 3e-3)
    totals = []
    for _ in range(25):
        parts = trainee(batch)
        optimiser.zero_grad()
        parts["total"].backward()
        optimiser.step()
        totals.append(float(parts["total"].detach()))
    assert np.mean(totals[-3:]) < 0.8 * np.mean(totals[:3])


@pytest.mark.parametrize("method", ["fg2", "viewbridge", "loc2"])
def test_samples_with_different_numbers_of_views_share_a_batch(method: str, small: Make, sample_of: SampleOf) -> None:
    made = create(small(method))
    trainee = made.trainee(CPU).eval()
    samples = [sample_of(1, ("front",)), sample_of(2, ("front", "roof"))]
    examples = [made.inputs.example(sample, window_near(sample.pose)) for sample in samples]
    batch = made.inputs.collate([example for example in examples if example is not None])
    with torch.no_grad():
        torch.manual_seed(0)
        together = trainee(batch)
        alone = trainee(made.inputs.collate(examples[:1]))
    assert together["contrast"].shape == (2,)
    assert torch.isfinite(torch.cat([leaf.flatten() for leaf in together.values()])).all()
    # Views that see nothing change nothing: the drawn matches differ, so the scores are compared by the loss.
    assert float(together["contrast"][0]) == pytest.approx(float(alone["contrast"][0]), rel=0.15)


def test_gridloc_is_calibrated_by_what_is_held_out(small: Make, tmp_path: Path) -> None:
    train(small("gridloc", steps=2, evaluate_every=2, evaluate=8), tmp_path, cpu=True)
    stated = json.loads(weights.read_facts(tmp_path / "best" / "model.safetensors")["settings"])
    # An untrained head knows less than its logits say: spread offsets, and a temperature that is not the first guess.
    assert stated["temperature"] != 1.0 and 0.1 < stated["sigma_cells"] < 1.0 and stated["sigma_cells"] != 0.3


def test_heights_come_from_depth(small: Make, sample_of: SampleOf) -> None:
    inputs: Any = create(small("viewbridge")).inputs
    sample = sample_of(5)
    example = inputs.example(sample, window_near(sample.pose))
    assert bool(example["known"].any()) and float(example["bins"][example["known"]].abs().max()) < 0.05
    blind = dataclasses.replace(sample, views=(dataclasses.replace(sample.views[0], depth=None),))
    assert not bool(inputs.example(blind, window_near(sample.pose))["known"].any())


def test_tokens_that_are_not_where_the_flat_road_puts_them_are_no_examples(small: Make, sample_of: SampleOf) -> None:
    inputs: Any = create(small("loc2")).inputs
    sample = sample_of(5)
    window = window_near(sample.pose)
    view = sample.views[0]
    on_the_road = inputs.example(sample, window)["views"][0]
    assert bool(on_the_road["valid"].any()) and bool(on_the_road["sure"].all())
    before_a_wall = dataclasses.replace(view, depth=np.minimum(view.depth, 4.0))
    part = inputs.example(dataclasses.replace(sample, views=(before_a_wall,)), window)["views"][0]
    assert not bool(part["sure"][part["valid"]].all()) and bool(part["sure"].any())
    blind = dataclasses.replace(sample, views=(dataclasses.replace(view, depth=None),))
    assert bool(inputs.example(blind, window)["views"][0]["sure"].all()), "without depth nothing is known against it"


def test_settings_that_do_not_exist_are_named(small: Make) -> None:
    with pytest.raises(ModelError, match="cels unknown"):
        create(small("fg2", {"settings": {"cels": 3}}))
    with pytest.raises(ModelError, match="variant 'vigour' of gridloc is unknown"):
        create(small("gridloc", {"variant": "vigour", "settings": {}}))
    with pytest.raises(ModelError, match="beta unknown"):
        create(small("fg2", {"loss": {"beta": 1.0}})).trainee(CPU)


def test_weights_of_loc2_state_what_they_are_bound_to(small: Make, tmp_path: Path) -> None:
    made = create(small("loc2"))
    made.save(made.trainee(CPU), tmp_path / "m.safetensors")
    assert weights.read_facts(tmp_path / "m.safetensors")["geometry"] == "mended"
    keys = {"weights": str(tmp_path / "m.safetensors"), "extent_m": 60.0}
    with pytest.raises(ModelError, match=r"extent_m = 60.0, but .* was trained with 48.0"):
        registry.create(merge(Config(), {"matcher": {"name": "loc2", "loc2": keys}}).matcher, BirdsEye())


@pytest.mark.parametrize("method", ["fg2", "gridloc", "loc2"])
def test_mixed_precision_loses_next_to_nothing(method: str, small: Make, tmp_path: Path) -> None:
    plain, mixed = (
        entries(tmp_path / precision / CURVE)[0]
        for precision in ("no", "bf16")
        if train(small(method, steps=1, precision=precision), tmp_path / precision, cpu=True).step == 1
    )
    contrast = "entropy" if method == "gridloc" else "contrast"
    assert mixed[contrast] == pytest.approx(plain[contrast], rel=0.1) and math.isfinite(mixed["gradient"])
