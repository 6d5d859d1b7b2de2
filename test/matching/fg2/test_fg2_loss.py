# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The training loss: recorded contrast of the original, perfect matches, and that it goes down."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cvloc_ros.matching.fg2.loss import Truth, cell_contrast, fg2_loss, turn
from cvloc_ros.matching.fg2.settings import VARIANTS, Fg2Settings
from cvloc_ros.matching.layers.sampling import Matches


@pytest.mark.parametrize("case", ["vigor", "kitti"])
def test_contrast_and_its_gradient_are_those_of_the_original(case, formula, parity):
    recorded = parity("pose_fg2")
    settings = VARIANTS["vigor_known" if case == "vigor" else "kitti"]
    scores = 2 * formula.normal(f"infonce/{case}/S", (2, 1681, 1681 if case == "vigor" else 861))
    if case == "kitti":
        keep = torch.from_numpy(recorded["infonce/kitti/keep"])
        scores = scores.masked_fill(~keep[:, None], -torch.inf)
    scores.requires_grad_()
    drawn = [torch.from_numpy(recorded[f"infonce/{case}/sampled_{name}"].astype(np.int64)) for name in ("sat", "grd")]
    matches = Matches(drawn[0], drawn[1], torch.ones(2, 1024))
    pose = torch.from_numpy(recorded["infonce/Rgt"]), torch.from_numpy(recorded["infonce/tgt"])[:, 0]
    loss = cell_contrast(scores, matches, *pose, settings, wrap_columns=case == "kitti")
    torch.testing.assert_close(loss, torch.from_numpy(recorded[f"infonce/{case}/loss"]), atol=1e-5, rtol=0)
    loss.mean().backward()
    index = torch.from_numpy(recorded[f"infonce/{case}/grad_idx"]).long()
    expected = torch.from_numpy(recorded[f"infonce/{case}/grad_val"])
    torch.testing.assert_close(scores.grad.flatten()[index], expected, atol=1e-7, rtol=0)
    assert int((scores.grad != 0).sum()) == int(recorded[f"infonce/{case}/grad_nonzero"])


@pytest.mark.parametrize("heading", [0.0, 0.7, math.pi, -2.0])
def test_perfect_matches_have_next_to_no_loss(heading):
    settings = Fg2Settings(extent_m=40.0, cells=20)
    truth = Truth(torch.tensor([[2.0, -4.0]]), torch.tensor([heading]))
    rotation, translation = truth.aerial_to_ground(shifted=False)
    points = settings.aerial_points()
    mapped = points @ rotation[0].T + translation[0]
    distance = torch.cdist(mapped, settings.ground_points())
    scores = (20.0 - 8.0 * distance**2)[None]
    probability = torch.exp(-4.0 * distance**2)[None]
    found = fg2_loss(scores, probability, truth, settings, count=300)
    assert float(found.pose) < 0.12
    assert float(found.contrast) < 0.6  # neighbours at the edge between two cells
    wrong = Truth(truth.position + 6.0, truth.heading)
    assert float(fg2_loss(scores, probability, wrong, settings, count=300).total) > 8.0


def test_shifted_labels_state_minus_the_position():
    truth = Truth(torch.tensor([[3.0, 1.0]]), torch.tensor([0.5]))
    assert truth.aerial_to_ground(shifted=True)[1].tolist() == [[-3.0, -1.0]]
    rotation, translation = truth.aerial_to_ground(shifted=False)
    torch.testing.assert_close(truth.position @ rotation[0].T + translation, torch.zeros(1, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(rotation, turn(truth.heading))


def test_an_item_without_a_pose_does_not_spoil_the_batch():
    settings = Fg2Settings(extent_m=40.0, cells=8)
    probability = torch.rand(2, 64, 64)
    probability[1] = 0.0
    probability.requires_grad_()
    scores = torch.randn(2, 64, 64)
    scores[1] = -torch.inf
    truth = Truth(torch.zeros(2, 2), torch.zeros(2))
    found = fg2_loss(scores, probability, truth, settings, count=50)
    assert found.ok.tolist() == [True, False]
    found.total.backward()
    assert torch.isfinite(probability.grad).all()
