# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from cvloc_ros.matching.fg2.network import GroundTokens
from cvloc_ros.matching.layers.pose import Alignment
from cvloc_ros.matching.viewbridge.loss import HeightTruth, Loss, LossSettings, loss
from cvloc_ros.matching.viewbridge.model import Model
from cvloc_ros.matching.viewbridge.network import Scores
from cvloc_ros.matching.viewbridge.surface import Surface

COUNT = 3
SETTINGS = LossSettings(height=0.3, matches=256)
Make = Callable[..., Model]


class Samples:
    """Pairs of pictures with true poses and heights; the left of a ground image shows surfaces, the right none."""

    def __init__(self, model: Model) -> None:
        draw = torch.Generator().manual_seed(7)
        plane = model.network.settings.plane
        cells = plane.cells**2
        self.ground = torch.rand(COUNT, 3, *plane.ground_size, generator=draw)
        self.aerial = torch.rand(COUNT, 3, plane.aerial_size, plane.aerial_size, generator=draw)
        bins = torch.randint(0, plane.heights, (1, cells), generator=draw)
        self.ground[..., : plane.ground_size[1] // 2] += 1.0
        self.reference = torch.rand(1, cells, plane.heights, 2, generator=draw)
        self.reference[..., 0] = 0.05 + 0.4 * self.reference[..., 0] + 0.5 * (bins[..., None] != torch.arange(4))
        self.visible = torch.rand(1, cells, plane.heights, generator=draw) > 0.1
        yaw = (torch.rand(COUNT, generator=draw) - 0.5) * 0.6
        turn = torch.stack([torch.stack([yaw.cos(), -yaw.sin()], -1), torch.stack([yaw.sin(), yaw.cos()], -1)], -2)
        place = (torch.rand(COUNT, 2, generator=draw) - 0.5) * 12
        self.truth = Alignment(turn, place, torch.ones(COUNT), torch.ones(COUNT, dtype=torch.bool))
        known = self.visible.gather(2, bins[..., None])[..., 0].expand(COUNT, -1)
        self.heights = HeightTruth(bins.expand(COUNT, -1).float(), known)
        self.points = plane.aerial_points(), plane.ground_points()


def run(model: Model, samples: Samples, generator: torch.Generator | None = None) -> tuple[Scores, Loss, Surface]:
    tokens = GroundTokens(model.backbone(samples.ground), samples.reference, samples.visible)
    code = model.network.encode_ground([tokens])
    scores = model.network.match(model.network.encode_aerial(model.backbone(samples.aerial)), code)
    found = loss(scores, code.surface, samples.points, samples.truth, samples.heights, SETTINGS, generator)
    return scores, found, code.surface


def test_gradients_reach_every_parameter(model: Make) -> None:
    """Last layers start at zero: what is before them learns from the second step, the confidence from the third."""
    made = model(propagate=True)
    samples = Samples(made)
    optimiser = torch.optim.SGD(made.parameters(), 1e-2)
    for _ in range(3):
        optimiser.zero_grad()
        run(made, samples, torch.Generator().manual_seed(0))[1].total.mean().backward()
        optimiser.step()
    named = [*made.network.named_parameters(), *made.backbone.named_parameters()]
    assert len(named) > 80
    for key, parameter in named:
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("form", ["as published", "fg2 pooling, no refiner"])
def test_a_small_model_learns_its_samples_by_heart(form: str, model: Make) -> None:
    plain = {"threshold": 1.0, "near": False, "whole": False, "adaptive_dustbin": False}
    made = model(**({} if form == "as published" else plain))
    samples, draw = Samples(made), torch.Generator().manual_seed(1)
    optimiser = torch.optim.Adam(made.parameters(), 3e-3)
    for _ in range(50):
        optimiser.zero_grad()
        run(made, samples, draw)[1].total.mean().backward()
        optimiser.step()
    with torch.no_grad():
        _, found, surface = run(made, samples, draw)
    error = torch.linalg.vector_norm(found.alignment.translation - samples.truth.translation, dim=1)
    assert float(error.max()) < 1.0, "less than a third of a cell"
    right = surface.log_weight.argmax(-1) == samples.heights.bins
    assert float(right[samples.heights.known].float().mean()) > 0.9


def test_a_sample_without_evidence_costs_nothing_and_breaks_nothing(model: Make) -> None:
    made = model()
    samples = Samples(made)
    samples.visible = samples.visible.expand(COUNT, -1, -1).clone()
    samples.visible[1] = False
    samples.reference = samples.reference.expand(COUNT, -1, -1, -1)
    scores, found, _ = run(made, samples)
    assert (scores.probability[1] == 0).all()
    assert float(found.total[1].detach()) == 0.0
    found.total.mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


BOUNDS = {torch.bfloat16: (0.25, 0.05), torch.float16: (0.03, 0.006)}
"""Largest difference of a score; differences of the probabilities over their sum."""


@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_half_precision_agrees(dtype: torch.dtype, model: Make) -> None:
    """Scores are cosines over 0.1, -10 to 10; comparing, refining and the softmax stay in single precision."""
    score_bound, share_bound = BOUNDS[dtype]
    made = model(propagate=True)
    made.network.eval()
    samples = Samples(made)
    with torch.no_grad():
        for parameter in made.network.refiner.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
        full, *_ = run(made, samples)
        with torch.autocast("cpu", dtype=dtype):
            half, *_ = run(made, samples)
    assert half.probability.dtype == torch.float32
    assert float((half.raw - full.raw).abs().nan_to_num().max()) < score_bound
    difference = (half.probability - full.probability).abs().sum((1, 2)) / full.probability.sum((1, 2))
    assert float(difference.max()) < share_bound
