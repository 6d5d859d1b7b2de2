# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Starting one method from another's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cvloc_ros.training.checkpoint import TrainingError
from cvloc_ros.training.config import Training
from cvloc_ros.training.methods.method import create
from cvloc_ros.training.transfer import take_over

CPU = torch.device("cpu")


@pytest.fixture
def fg2_weights(small, tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    method = create(small("fg2"))
    trainee = method.trainee(CPU)
    path = tmp_path / "fg2.safetensors"
    method.save(trainee, path)
    return path, trainee.state_dict()


def test_viewbridge_takes_over_lifting_projectors_and_backbone(small, fg2_weights):
    path, given = fg2_weights
    torch.manual_seed(7)
    trainee = create(small("viewbridge")).trainee(CPU)
    count = take_over(trainee, path)
    now = trainee.state_dict()
    assert count == len(given)
    for ours, theirs in (
        ("network.plane.rounds.0.scorer.weight", "network.rounds.0.scorer.weight"),
        ("network.plane.ground_projector.blocks.0.conv1.weight", "network.ground_projector.blocks.0.conv1.weight"),
        ("backbone.last.weight", "backbone.last.weight"),
    ):
        assert torch.equal(now[ours], given[theirs])
    assert any(key.startswith("network.refiner") for key in now), "ViewBridge has parts of its own, too"


def test_loc2_takes_over_projectors_of_its_shape(small, tmp_path):
    method = create(with_settings(small("fg2"), channels=64, widths=[64, 32]))
    given = method.trainee(CPU)
    method.save(given, tmp_path / "fg2.safetensors")
    trainee = create(with_settings(small("loc2"), widths=[64, 32])).trainee(CPU)
    assert take_over(trainee, tmp_path / "fg2.safetensors") == len(trainee.state_dict())
    taken = trainee.network.aerial.blocks[0].conv1.weight
    assert torch.equal(taken, given.network.aerial_projector.blocks[0].conv1.weight)


def with_settings(config: Training, **settings: Any) -> Training:
    return config.model_copy(update={"settings": {**config.settings, **settings}})


def test_both_extractors_of_gridloc_take_over_the_backbone(small, tmp_path):
    method = create(with_settings(small("fg2"), backbone="pyramid", channels=64))
    given = method.trainee(CPU)
    method.save(given, tmp_path / "fg2.safetensors")
    trainee = create(with_settings(small("gridloc"), backbone="pyramid", channels=64)).trainee(CPU)
    assert take_over(trainee, tmp_path / "fg2.safetensors") == 2 * len(given.backbone.state_dict())
    for side in (trainee.ground, trainee.aerial):
        assert torch.equal(side.last.weight, given.backbone.last.weight)
    assert trainee.ground(torch.zeros(1, 3, 64, 96)).shape == (1, 64, 4, 6)


def test_weights_of_which_nothing_fits_are_refused(small, tmp_path):
    method = create(small("gridloc"))
    method.save(method.trainee(CPU), tmp_path / "gridloc.safetensors")
    with pytest.raises(TrainingError, match=r"none of its \d+ tensors fits"):
        take_over(create(small("fg2")).trainee(CPU), tmp_path / "gridloc.safetensors")


def test_a_gridloc_that_votes_takes_over_both_projectors_of_loc2(small, tmp_path):
    method = create(with_settings(small("loc2"), backbone="pyramid", widths=[64, 64]))
    given = method.trainee(CPU)
    method.save(given, tmp_path / "loc2.safetensors")
    voting = {"backbone": "fine", "channels": 64, "width": 64, "plain": False, "heads": 8, "fuse": "vote"}
    trainee = create(with_settings(small("gridloc"), **voting)).trainee(CPU)
    take_over(trainee, tmp_path / "loc2.safetensors")
    for ours, theirs in ((trainee.network.query, given.network.ground), (trainee.network.key, given.network.aerial)):
        taken, held = ours.state_dict(), theirs.state_dict()
        assert all(torch.equal(taken[name], value) for name, value in held.items())
    assert torch.equal(trainee.ground.last.weight, given.backbone.last.weight)
