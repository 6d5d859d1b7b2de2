# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loss of the true pose against others: least at the truth, in the axes of each method's batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cvloc_ros.datasets.sample import Sample
from cvloc_ros.training.config import Training
from cvloc_ros.training.methods.loc2 import _internal
from cvloc_ros.training.methods.method import create
from cvloc_ros.training.methods.pose_votes import PoseVotes
from cvloc_ros.types import Pose2, SearchWindow

CPU = torch.device("cpu")
Make = Callable[..., Training]


def near(pose: Pose2) -> SearchWindow:
    return SearchWindow(Pose2(pose.x_m + 2.3, pose.y_m - 3.1, pose.yaw_rad + 0.1), 12.0, 0.3)


@pytest.mark.parametrize("heading", ["up", "right", "any"])
def test_perfect_scores_of_loc2_agree_with_the_truth_of_its_batches(
    heading: str, small: Make, sample_of: Callable[..., Sample]
) -> None:
    config = small("loc2")
    geometry = {**config.settings["geometry"], "heading": heading}
    made: Any = create(config.model_copy(update={"settings": {**config.settings, "geometry": geometry}}))
    examples = [made.inputs.example(sample_of(number), near(sample_of(number).pose)) for number in (3, 4)]
    batch = made.inputs.collate(examples)
    lifted, valid = batch["views"][0]["lifted"], batch["views"][0]["valid"]
    c, s = torch.cos(batch["yaw"]), torch.sin(batch["yaw"])
    R = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    there = lifted @ R.transpose(1, 2) + batch["position"][:, None]  # in axes of the map
    scores = -0.5 * (torch.cdist(batch["points"], there) / 2.0) ** 2
    scores = scores.masked_fill(~valid[:, None], -torch.inf)
    probability = torch.nan_to_num(torch.softmax(scores, 1))
    votes = PoseVotes()
    position, turn = _internal(batch)
    at_truth = votes(scores, probability, -lifted, (position, turn), made.loc2.extent_m)
    for off, angle in ((torch.tensor([6.0, 0.0]), 0.0), (torch.tensor([0.0, -6.0]), 0.0), (torch.zeros(2), 0.25)):
        wrong = votes(scores, probability, -lifted, (position + off, turn + angle), made.loc2.extent_m)
        assert bool((wrong > at_truth + 0.5).all()), (off, angle)


@pytest.mark.parametrize("method", ["fg2", "loc2"])
def test_the_loss_has_a_slope_for_all_that_is_trained(
    method: str, small: Make, sample_of: Callable[..., Sample]
) -> None:
    config = small(method)
    made: Any = create(config.model_copy(update={"loss": {**config.loss, "poses": 1.0}}))
    plain: Any = create(config)
    torch.manual_seed(0)
    trainee = made.trainee(CPU)
    batch = made.inputs.collate([made.inputs.example(sample_of(n), near(sample_of(n).pose)) for n in (3, 4)])
    parts = trainee(batch)
    assert parts["poses"].shape == (2,) and "poses" not in plain.trainee(CPU)(batch)
    parts["poses"].mean().backward()
    trained = {id(parameter) for group in trainee.groups() for parameter in group}
    assert {id(parameter) for parameter in trainee.poses.parameters()} <= trained
    convs = [p.grad for name, p in trainee.named_parameters() if p.grad is not None and "conv" in name]
    assert convs and max(float(slope.abs().max()) for slope in convs) > 0.0
    assert all(p.grad is not None and float(p.grad.abs()) > 0 for p in trainee.poses.parameters())


def test_an_item_without_any_point_costs_what_chance_costs() -> None:
    scores = torch.full((1, 144, 9), -torch.inf)
    truth = (torch.zeros(1, 2), torch.zeros(1))
    found = PoseVotes()(scores, torch.zeros_like(scores), torch.zeros(1, 9, 2), truth, 48.0)
    assert float(found.detach()) == pytest.approx(float(torch.log(torch.tensor(20 * 20 * 11 + 1.0))), rel=1e-4)


def test_weights_hold_nothing_of_the_loss(small: Make, tmp_path) -> None:
    config = small("fg2")
    made: Any = create(config.model_copy(update={"loss": {**config.loss, "poses": 1.0}}))
    made.save(made.trainee(CPU), tmp_path / "fg2.safetensors")
    plain: Any = create(config)
    plain.load(plain.trainee(CPU), tmp_path / "fg2.safetensors")
