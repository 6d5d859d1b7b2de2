# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from cvloc_ros.matching.layers.aerial import Crop, grid_axis
from cvloc_ros.matching.layers.backbone import ConvBackbone
from cvloc_ros.matching.layers.pose import Alignment
from cvloc_ros.matching.loc2.loss import LossSettings, loss
from cvloc_ros.matching.loc2.network import Loc2Network

CELLS, EXTENT_M = 13, 26.0
SETTINGS = LossSettings(matches=256, near_m=EXTENT_M / CELLS)


class Samples:
    """Four pairs of pictures with true poses; tokens lie 2 to 9 m around the camera."""

    def __init__(self, seed: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.ground_images = torch.rand(4, 3, 48, 96, generator=draw)
        self.aerial_images = torch.rand(4, 3, 104, 104, generator=draw)
        angle = torch.rand(4, 72, generator=draw) * 2 * np.pi
        reach = 2 + 7 * torch.rand(4, 72, generator=draw)
        self.ground = torch.stack([reach * torch.cos(angle), reach * torch.sin(angle)], -1)
        yaw = (torch.rand(4, generator=draw) - 0.5) * 2 * np.pi
        turn = torch.stack([torch.stack([yaw.cos(), -yaw.sin()], -1), torch.stack([yaw.sin(), yaw.cos()], -1)], -2)
        place = (torch.rand(4, 2, generator=draw) - 0.5) * 6
        self.truth = Alignment(turn, place, torch.ones(4), torch.ones(4, dtype=torch.bool))
        axis = grid_axis(EXTENT_M, CELLS, ends=False)
        self.aerial = torch.from_numpy(Crop(0.0, 0.0, 0.0).to_map(torch.cartesian_prod(axis, axis).numpy())).float()


def small() -> Loc2Network:
    torch.manual_seed(0)
    return Loc2Network(ConvBackbone(32), widths=(32, 32), heads=4, layers=1, cells=CELLS)


def step(network: Loc2Network, samples: Samples, generator: torch.Generator) -> torch.Tensor:
    scores, probability = network(samples.ground_images, samples.aerial_images)
    return loss(scores, probability, samples.aerial, samples.ground, samples.truth, SETTINGS, generator).total.mean()


def test_gradients_reach_every_parameter() -> None:
    network, samples = small(), Samples()
    step(network, samples, torch.Generator().manual_seed(0)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_a_small_model_learns_four_samples_by_heart() -> None:
    network, samples = small(), Samples()
    draw = torch.Generator().manual_seed(1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(120):
        optimiser.zero_grad()
        step(network, samples, draw).backward()
        optimiser.step()
    with torch.no_grad():
        scores, probability = network(samples.ground_images, samples.aerial_images)
        found = loss(scores, probability, samples.aerial, samples.ground, samples.truth, SETTINGS, draw)
    error = torch.linalg.vector_norm(found.alignment.translation - samples.truth.translation, dim=1)
    assert float(error.max()) < 0.3
    assert float(found.points_m.max()) < 0.3


def test_tokens_that_may_not_match_get_no_probability_and_no_gradient() -> None:
    network, samples = small(), Samples()
    valid = torch.rand(4, 72, generator=torch.Generator().manual_seed(2)) > 0.5
    valid[3] = False  # a sample without any
    scores, probability = network(samples.ground_images, samples.aerial_images, valid)
    assert (probability.sum(1)[~valid] == 0).all()
    value = loss(scores, probability, samples.aerial, samples.ground, samples.truth, SETTINGS)
    assert torch.isfinite(value.total).all()
    assert value.total[3] == 0
    value.total.mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters() if parameter.grad is not None)


GOLDEN = {
    "scores": [
        1.9010746, -0.95932757, 1.3986459, 1.4383686, 2.7492548, 5.6399665, 2.9077119, 3.1246016, 0.24517355,
    ],
    "probability": [
        0.0011303356, 1.8428094e-06, 0.00014606145, 2.6158301e-05, 0.00017906781, 0.041191086, 0.0011433278,
        0.00087769885, 1.9644978e-06,
    ],
}
"""Rows 0, 7, 24 and columns 0, 5, 11 with formula weights and inputs, computed in double precision."""


def test_golden_numbers(formula: ModuleType) -> None:
    """The same on every machine; the full size is compared with the original program elsewhere."""
    network = Loc2Network(channels=24, widths=(16, 16), heads=4, layers=2, cells=5).eval().double()
    state = {key: formula.weight(f"small.{key}", tuple(value.shape)) for key, value in network.state_dict().items()}
    network.load_state_dict(state)
    with torch.no_grad():
        ground = network.describe_ground(formula.normal("small/grd", (1, 24, 3, 4)).double())
        aerial = network.describe_aerial(formula.normal("small/sat", (1, 24, 7, 7)).double())
        valid = torch.ones(1, 12, dtype=torch.bool)
        valid[0, 3] = False
        scores, probability = network.compare(aerial, ground, valid)
    rows, cols = torch.tensor([0, 7, 24]), torch.tensor([0, 5, 11])
    pick = lambda matrix: matrix[0][rows[:, None], cols].flatten().tolist()
    assert pick(scores) == pytest.approx(GOLDEN["scores"], abs=1e-5)
    assert pick(probability) == pytest.approx(GOLDEN["probability"], rel=1e-5)


def test_only_the_ground_side_knows_positions() -> None:
    network = small()
    assert network.ground.positions
    assert not network.aerial.positions
