# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses and losses of the original program."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from cvloc_ros.matching.layers.losses import virtual_correspondence_error
from cvloc_ros.matching.layers.pose import Alignment, RansacSettings, procrustes, ransac_with
from cvloc_ros.matching.layers.sampling import Matches
from cvloc_ros.matching.loc2.loss import match_contrast

Parity = Callable[[str], Any]
CASES = ("exact", "noisy", "noisy_small_w", "half_zero_w", "scaled", "mirror", "one_collinear", "minimal3")


def points(parity: Parity, case: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    inputs = parity("pose_fg2")
    return tuple(torch.from_numpy(inputs[f"procrustes/{case}/{name}"]) for name in "ABw")  # type: ignore[return-value]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["rigid", "similarity"])
@pytest.mark.parametrize("mode", ["weights", "plain"])
def test_procrustes(case: str, kind: str, mode: str, parity: Parity) -> None:
    """`weights_mask` differs in how the weights enter the cross-covariance only by a factor; it is the same pose."""
    wanted = parity("pose_loc2")
    source, target, weight = points(parity, case)
    found = procrustes(
        source, target, weight if mode == "weights" else None, with_scale=kind == "similarity", collinear=False
    )
    key = f"procrustes/{case}/{kind}/{mode}"
    ok = wanted[f"{key}/ok"]
    np.testing.assert_array_equal(found.ok, ok)
    loose = 2e-4 if case == "mirror" else 0.0
    np.testing.assert_allclose(found.rotation[ok], wanted[f"{key}/R"][ok], atol=max(5e-6, loose))
    np.testing.assert_allclose(found.translation[ok], wanted[f"{key}/t"][ok, 0], atol=max(1e-4, loose))
    if kind == "similarity":
        np.testing.assert_allclose(found.scale[ok], wanted[f"{key}/s"][ok, 0, 0], atol=max(5e-6, loose))


@pytest.mark.parametrize("case", CASES)
def test_the_published_use_of_weights_gives_the_same_pose(case: str, parity: Parity) -> None:
    wanted = parity("pose_loc2")
    source, target, weight = points(parity, case)
    found = procrustes(source, target, weight, with_scale=True, collinear=False)
    ok = wanted[f"procrustes/{case}/similarity/weights_mask/ok"]
    loose = 2e-4 if case == "mirror" else 0.0
    for name, value in (("R", found.rotation), ("t", found.translation[:, None]), ("s", found.scale[:, None, None])):
        recorded = wanted[f"procrustes/{case}/similarity/weights_mask/{name}"]
        np.testing.assert_allclose(value[ok], recorded[ok], atol=max(loose, 1e-4 if name == "t" else 5e-6))


@pytest.mark.parametrize("kind", ["rigid", "similarity"])
def test_virtual_correspondences_and_their_gradient(kind: str, parity: Parity) -> None:
    wanted = parity("pose_loc2")
    source, target, weight = points(parity, "noisy")
    weight.requires_grad_()
    found = procrustes(source, target, weight, with_scale=kind == "similarity")
    truth = [torch.from_numpy(wanted[f"vce/{name}"]) for name in ("Rgt", "tgt", "grid")]
    error = virtual_correspondence_error(found.rotation, found.translation, truth[0], truth[1][:, 0], truth[2][0])
    np.testing.assert_allclose(error.detach(), wanted[f"vce/{kind}/loss"], atol=1e-5)
    error.mean().backward()
    np.testing.assert_allclose(weight.grad, wanted[f"vce/{kind}/grad_w"], atol=1e-6)


@pytest.mark.parametrize("case", ["unit", "other"])
def test_contrast_and_its_gradient(case: str, formula: ModuleType, parity: Parity) -> None:
    wanted = parity("pose_loc2")
    get = {name: torch.from_numpy(wanted[f"infonce2/{name}"]) for name in ("sat", "grd", "mask", "Rgt", "tgt")}
    drawn = [torch.from_numpy(wanted[f"infonce2/sampled_{side}"].astype(np.int64)) for side in ("sat", "grd")]
    scores = (2 * formula.normal("infonce2/S", (2, 441, 300))).masked_fill(~get["mask"][:, None], -torch.inf)
    scores.requires_grad_()
    scale = torch.from_numpy(wanted[f"infonce2/{case}/scale"])[:, 0, 0]
    truth = Alignment(get["Rgt"], get["tgt"][:, 0], scale, torch.ones(2, dtype=torch.bool))
    matches = Matches(drawn[0], drawn[1], torch.ones(2, 256))
    value = match_contrast(scores, matches, get["sat"], get["grd"], truth, 71 / 41)
    np.testing.assert_allclose(value.detach(), wanted[f"infonce2/{case}/loss"], atol=1e-5)
    value.mean().backward()
    gradient = torch.nan_to_num(scores.grad).flatten()
    index = torch.from_numpy(wanted[f"infonce2/{case}/grad_idx"]).long()
    np.testing.assert_allclose(gradient[index], wanted[f"infonce2/{case}/grad_val"], atol=1e-7)
    assert int((gradient != 0).sum()) == int(wanted[f"infonce2/{case}/grad_nonzero"])


def test_ransac_with_prescribed_draws(formula: ModuleType, parity: Parity) -> None:
    inputs, wanted = parity("pose_fg2"), parity("pose_loc2")
    match = torch.from_numpy(inputs["ransac/match"].astype(np.int64)).transpose(0, 1)
    triples = torch.from_numpy(inputs["ransac/triples"].astype(np.int64)).permute(2, 0, 1, 3)
    aerial, ground = (torch.from_numpy(inputs[f"ransac/{name}"]) for name in ("sat", "grd"))
    probability = formula.uniform("ransac/P", (2, 441, 400))
    settings = RansacSettings(3, 20, 256, 5.0, 2.5, 4, with_scale=True)
    found = ransac_with(probability, match, triples, aerial, ground, settings, to_aerial=True)
    np.testing.assert_allclose(found.alignment.rotation, wanted["ransac/R"], atol=1e-5)
    np.testing.assert_allclose(found.alignment.translation, wanted["ransac/t"][:, 0], atol=1e-4)
    np.testing.assert_allclose(found.alignment.scale, wanted["ransac/s"][:, 0, 0], atol=1e-5)
    np.testing.assert_allclose(found.score, wanted["ransac/best_inliers"], atol=1e-3)
    for item in range(2):
        rows = wanted[f"ransac/inliers_b{item}"]
        inlier = found.inliers[item]
        weight = found.matches.weight[item][inlier]
        assert len(weight) == len(rows)
        np.testing.assert_allclose(np.sort(weight)[::-1], rows[:, 4], rtol=1e-6)


def test_labels_of_the_original_loader_are_ground_to_aerial(parity: Parity) -> None:
    """R of the KITTI loader is Rot(-heading), and the heading is that of the picture."""
    wanted = parity("geometry_loc2")
    heading = np.radians(wanted["kitti/test/psi_from_blobs_deg"])
    R = wanted["kitti/test/R"]
    found = -np.arctan2(R[:, 1, 0], R[:, 0, 0])
    assert np.abs(np.remainder(found - heading + np.pi, 2 * np.pi) - np.pi).max() < np.radians(0.15)
    away = wanted["kitti/test/camera_blob_rc"] - 251.5 - wanted["kitti/test/gt_loc"]
    assert np.abs(away).max() < 0.25
