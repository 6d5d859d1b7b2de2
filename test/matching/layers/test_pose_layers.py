# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Procrustes, RANSAC and the pose loss: recorded numbers, round trips, degenerate items one by one."""

from __future__ import annotations

import math

import pytest
import torch

from cvloc_ros.matching.layers.losses import virtual_correspondence_error, virtual_points
from cvloc_ros.matching.layers.pose import (
    RansacSettings,
    draw_triples,
    procrustes,
    ransac,
    ransac_with,
    soft_count,
    solve_triples,
)
from cvloc_ros.matching.layers.sampling import matches_at

CASES = ["exact", "noisy", "noisy_small_w", "half_zero_w", "scaled", "mirror", "minimal3"]


def turn(angle):
    c, s = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)


def near(found, recorded, atol):
    torch.testing.assert_close(found, torch.from_numpy(recorded).to(found), atol=atol, rtol=0)


@pytest.mark.parametrize("weighted", ["weights_mask", "weights", "plain"])
@pytest.mark.parametrize("case", CASES)
def test_rigid_numbers_of_the_original(case, weighted, parity):
    recorded = parity("pose_fg2")
    a, b, w = (torch.from_numpy(recorded[f"procrustes/{case}/{name}"]) for name in "ABw")
    found = procrustes(a, b, None if weighted == "plain" else w)
    rotation = 2e-4 if case == "mirror" else 5e-6
    near(found.rotation, recorded[f"procrustes/{case}/rigid/{weighted}/R"], rotation)
    near(found.translation, recorded[f"procrustes/{case}/rigid/{weighted}/t"][:, 0], max(1e-4, 50 * rotation))
    assert found.ok.all()
    exact = procrustes(a.double(), b.double(), None if weighted == "plain" else w.double())
    near(exact.rotation, recorded[f"procrustes/{case}/rigid/{weighted}/R_ref64"], 1e-9)
    near(exact.translation, recorded[f"procrustes/{case}/rigid/{weighted}/t_ref64"][:, 0], 1e-7)


@pytest.mark.parametrize("case", CASES)
def test_similarity_numbers_of_the_original(case, parity):
    recorded = parity("pose_loc2")
    inputs = parity("pose_fg2")
    a, b, w = (torch.from_numpy(inputs[f"procrustes/{case}/{name}"]) for name in "ABw")
    found = procrustes(a, b, w, with_scale=True)
    rotation = 2e-4 if case == "mirror" else 5e-6
    near(found.rotation, recorded[f"procrustes/{case}/similarity/weights_mask/R"], rotation)
    near(found.scale, recorded[f"procrustes/{case}/similarity/weights_mask/s"].reshape(-1), rotation)
    exact = procrustes(a.double(), b.double(), w.double(), with_scale=True)
    for name, ours in (("R", exact.rotation), ("t", exact.translation[:, None]), ("s", exact.scale[:, None, None])):
        near(ours, recorded[f"procrustes/{case}/similarity/weights_mask/{name}_ref64"], 1e-7)


def test_items_in_line_are_refused_one_by_one_only_where_asked(parity):
    recorded = parity("pose_fg2")
    a, b, w = (torch.from_numpy(recorded[f"procrustes/one_collinear/{name}"]) for name in "ABw")
    assert procrustes(a, b, w, collinear=False).ok.tolist() == [True, False, True]
    assert procrustes(a, b, w).ok.all()


def test_any_pose_comes_back():
    torch.manual_seed(1)
    angle = torch.linspace(-math.pi, math.pi, 50, dtype=torch.float64)
    shift = torch.randn(50, 2, dtype=torch.float64) * 30
    scale = torch.rand(50, dtype=torch.float64) + 0.5
    source = torch.randn(50, 20, 2, dtype=torch.float64) * 20
    target = scale[:, None, None] * source @ turn(angle).transpose(1, 2) + shift[:, None]
    found = procrustes(source, target, torch.rand(50, 20, dtype=torch.float64), with_scale=True)
    torch.testing.assert_close(found.rotation, turn(angle))
    torch.testing.assert_close(found.translation, shift)
    torch.testing.assert_close(found.scale, scale)
    torch.testing.assert_close(found.apply(source), target)


def test_degenerate_items_stand_apart_and_carry_no_gradient():
    torch.manual_seed(1)
    source = torch.randn(4, 10, 2)
    target = source + 3.0
    source[1] = 5.0  # one point
    weight = torch.ones(4, 10)
    weight[2] = 0.0
    target[3, 0, 0] = torch.nan
    weight.requires_grad_()
    found = procrustes(source, target, weight)
    assert found.ok.tolist() == [True, False, False, False]
    torch.testing.assert_close(found.rotation[1:], torch.eye(2).expand(3, 2, 2))
    found.translation.nan_to_num().sum().backward()
    assert torch.isfinite(weight.grad[:3]).all()


def test_pose_loss_and_its_gradient_are_those_of_the_original(parity):
    recorded = parity("pose_fg2")
    a, b, w = (torch.from_numpy(recorded[f"procrustes/noisy/{name}"]) for name in "ABw")
    w.requires_grad_()
    truth = torch.from_numpy(recorded["vce/Rgt"]), torch.from_numpy(recorded["vce/tgt"])[:, 0]
    near(virtual_points(), recorded["vce/grid"][0], 1e-6)
    found = procrustes(a, b, w)
    loss = virtual_correspondence_error(found.rotation, found.translation, *truth, virtual_points())
    near(loss, recorded["vce/rigid/loss"], 1e-5)
    loss.mean().backward()
    near(w.grad, recorded["vce/rigid/grad_w"], 1e-6)
    direct = torch.from_numpy(recorded["vce/direct/R"]), torch.from_numpy(recorded["vce/direct/t"])[:, 0]
    near(virtual_correspondence_error(*direct, *truth, virtual_points()), recorded["vce/direct/loss"], 1e-5)


def test_pose_loss_of_a_pure_shift_is_its_length():
    eye = torch.eye(2)[None]
    loss = virtual_correspondence_error(eye, torch.tensor([[3.0, 4.0]]), eye, torch.zeros(1, 2), virtual_points())
    assert float(loss) == pytest.approx(5.0)


@pytest.mark.parametrize("which", ["fg2", "loc2"])
def test_ransac_with_the_recorded_draws_gives_the_recorded_poses(which, formula, parity):
    recorded, draws = parity(f"pose_{which}"), parity("pose_fg2")
    settings = RansacSettings(sets=3, trials=20, matches=256, with_scale=which == "loc2")
    probability = formula.uniform("ransac/P", (2, 441, 400))
    index = torch.from_numpy(draws["ransac/match"]).long().transpose(0, 1)
    triples = torch.from_numpy(draws["ransac/triples"]).long().permute(2, 0, 1, 3)
    points = torch.from_numpy(draws["ransac/sat"]), torch.from_numpy(draws["ransac/grd"])
    to_aerial = which == "loc2"
    for outer in range(3):
        pairs = matches_at(probability, index[:, outer])
        aerial = points[0][pairs.aerial]
        ground = points[1].gather(1, pairs.ground[..., None].expand(-1, -1, 2))
        ends = (ground, aerial) if to_aerial else (aerial, ground)
        poses = solve_triples(*ends, triples[:, outer], settings)
        ok = torch.from_numpy(recorded["ransac/hyp_ok"][outer]).T
        assert (poses.ok[ok]).all()
        score = soft_count(poses, *ends, 5.0)
        near(score[ok], recorded["ransac/hyp_score"][outer].T[ok.numpy()], 1e-3)
        for name, ours, atol in (("R", poses.rotation, 1e-4), ("t", poses.translation, 1e-3), ("s", poses.scale, 1e-5)):
            if f"ransac/hyp_{name}" in recorded.arrays.files:
                near(ours[ok], recorded[f"ransac/hyp_{name}"][outer].swapaxes(0, 1)[ok.numpy()], atol)
    assert not solve_triples(*_first_ends(probability, index, points, to_aerial), triples[:, 0], settings).ok[0, 4]
    found = ransac_with(probability, index, triples, *points, settings, to_aerial=to_aerial)
    near(found.alignment.rotation, recorded["ransac/R"], 1e-5)
    near(found.alignment.translation, recorded["ransac/t"][:, 0], 1e-4)
    if which == "loc2":
        near(found.alignment.scale, recorded["ransac/s"].reshape(-1), 1e-5)
    near(found.score, recorded["ransac/best_inliers"].reshape(-1), 1e-3)
    for item in range(2):
        rows = recorded[f"ransac/inliers_b{item}"]
        ours = torch.cat([
            points[0][found.matches.aerial[item]], points[1][item][found.matches.ground[item]],
            found.matches.weight[item][:, None],
        ], 1)[found.inliers[item]]  # fmt: skip
        near(ours[ours[:, 4].argsort(descending=True)], rows, 1e-5)


def _first_ends(probability, index, points, to_aerial):
    pairs = matches_at(probability, index[:, 0])
    aerial = points[0][pairs.aerial]
    ground = points[1].gather(1, pairs.ground[..., None].expand(-1, -1, 2))
    return (ground, aerial) if to_aerial else (aerial, ground)


def test_ransac_finds_the_pose_that_most_matches_share():
    generator = torch.Generator().manual_seed(3)
    angle, shift = torch.tensor([2.5, -1.0]), torch.tensor([[10.0, -4.0], [3.0, 8.0]])
    ground = torch.rand(60, 2, generator=generator) * 60 - 30
    aerial = ground @ turn(angle).transpose(1, 2) + shift[:, None]
    probability = torch.rand(2, 60, 60, generator=generator) * 0.002 + torch.eye(60) * 0.05
    settings = RansacSettings(sets=4, trials=50, matches=200)
    found = ransac(probability, aerial, ground, settings, to_aerial=True, generator=generator)
    torch.testing.assert_close(found.alignment.translation, shift, atol=0.3, rtol=0)
    assert (found.inliers.sum(1) >= 45).all()


def test_ransac_without_a_usable_hypothesis_says_so():
    ground = torch.zeros(5, 2)
    found = ransac(
        torch.full((1, 5, 5), 0.1), ground, ground, RansacSettings(sets=2, trials=5, matches=10), to_aerial=True
    )
    assert not found.alignment.ok.any()
    assert float(found.score) == 0.0


def test_triples_are_different_and_follow_their_weights():
    weight = torch.tensor([0.0, 1.0, 2.0, 4.0, 1.0])
    drawn = draw_triples(weight, 8000, torch.Generator().manual_seed(0))
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    share = torch.bincount(drawn[:, 0], minlength=5) / 8000
    torch.testing.assert_close(share, weight / 8, atol=0.02, rtol=0)
