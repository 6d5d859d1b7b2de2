# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import pytest
import torch

from cvloc_ros.matching.layers import matching_matrix
from cvloc_ros.matching.viewbridge import refiner
from cvloc_ros.matching.viewbridge.refiner import AdaptiveDustbin, RefinerSettings, SimRefiner, dual_softmax

AERIAL, GROUND = (6, 6), (4, 6)
PARTS = [
    RefinerSettings(near=near, whole=whole, propagate=propagate, iterations=iterations, landmarks=3)
    for near, whole, propagate, iterations in itertools.product((True, False), (True, False), (True, False), (1, 3))
]
ALL = RefinerSettings(propagate=True, landmarks=3)


def name(settings: RefinerSettings) -> str:
    parts = [part for part in ("near", "whole", "propagate") if getattr(settings, part)]
    return f"{'+'.join(parts) or 'none'} x{settings.iterations}"


def scores(seed: int = 0, batch: int = 2) -> torch.Tensor:
    return 4 * torch.randn(batch, 36, 24, generator=torch.Generator().manual_seed(seed))


def trained(settings: RefinerSettings) -> SimRefiner:
    """Weights as after training: none is zero."""
    torch.manual_seed(3)
    made = SimRefiner(AERIAL, GROUND, settings)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize("settings", PARTS, ids=name)
def test_before_training_it_is_the_identity(settings: RefinerSettings) -> None:
    valid = torch.rand(2, 24, generator=torch.Generator().manual_seed(1)) > 0.3
    given = scores().masked_fill(~valid[:, None], -torch.inf)
    out = SimRefiner(AERIAL, GROUND, settings)(given, valid)
    torch.testing.assert_close(out, given, rtol=0, atol=0)


@pytest.mark.parametrize("settings", PARTS, ids=name)
def test_it_learns_in_all_its_parts(settings: RefinerSettings) -> None:
    torch.manual_seed(0)
    made = SimRefiner(AERIAL, GROUND, settings)
    if not list(made.parameters()):
        assert name(settings).startswith("none")
        return
    valid = torch.ones(2, 24, dtype=torch.bool)
    valid[0, 5] = valid[1, :] = False
    target, optimiser = scores(5), torch.optim.Adam(made.parameters(), 1e-2)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        out = made(scores(), valid)
        loss = (out - target)[valid[:, None].expand_as(out)].square().mean()
        loss.backward()
        losses.append(float(loss.detach()))
        optimiser.step()
    for key, parameter in made.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0, key
    assert losses[-1] < losses[0]


def test_columns_without_evidence_stay_out() -> None:
    made = trained(ALL)
    valid = torch.ones(1, 24, dtype=torch.bool)
    valid[0, [3, 17]] = False
    with torch.no_grad():
        first = made(scores(batch=1).masked_fill(~valid[:, None], -torch.inf), valid)
        other = made(torch.where(valid[:, None], scores(batch=1), 77.0), valid)
        nothing = made(scores(batch=1), torch.zeros_like(valid))
    torch.testing.assert_close(first, other)
    assert torch.isneginf(first[:, :, [3, 17]]).all()
    assert torch.isfinite(first[0][:, valid[0]]).all()
    assert torch.isneginf(nothing).all()


def test_the_local_branch_reaches_two_cells_in_either_plane() -> None:
    made = trained(RefinerSettings(whole=False))
    given = scores(batch=1)
    changed = given.clone()
    changed[0, 2 * 6 + 3, 1 * 6 + 1] += 1.0  # aerial cell (2, 3), ground cell (1, 1)
    with torch.no_grad():
        moved = (made(changed) - made(given)).abs()[0].view(6, 6, 4, 6) > 1e-7
    for a, b, c, d in moved.nonzero().tolist():
        same_aerial, same_ground = (a, b) == (2, 3), (c, d) == (1, 1)
        near = max(abs(c - 1), abs(d - 1)) <= 2 if same_aerial else max(abs(a - 2), abs(b - 3)) <= 2 and same_ground
        assert near, (a, b, c, d)
    assert moved[2, 3, 3, 3]
    assert moved[4, 1, 1, 1]
    assert 30 < int(moved.sum()) <= 16 + 25 - 1


def test_rows_that_look_alike_get_alike() -> None:
    torch.manual_seed(0)
    made = SimRefiner(AERIAL, GROUND, RefinerSettings(near=False, whole=False, propagate=True, landmarks=3))
    assert made.affinity is not None
    strip = (torch.arange(36) % 6 // 2)[:, None], (torch.arange(24) % 6 // 2)[None]  # three strips in either plane
    clean = 5 * torch.randn(3, 3)[strip][None]
    noisy = clean + torch.randn(1, 36, 24)
    with torch.no_grad():
        made.affinity.amount.fill_(1.0)
        made.affinity.log_sharpness.fill_(4.0)
        out = made(noisy)
    assert (out - clean).square().mean() < 0.8 * (noisy - clean).square().mean()


@pytest.mark.parametrize("pairs", [1, 100, 10**9])
def test_the_size_of_the_pieces_changes_nothing(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made, given = trained(ALL), scores().requires_grad_()
    expected = made(given)
    expected.square().sum().backward()
    gradient = given.grad.clone()
    given.grad = None
    monkeypatch.setattr(refiner, "_AT_ONCE", {"cpu": pairs})
    out = made(given)
    out.square().sum().backward()
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(given.grad, gradient, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("settings", "bytes_a_pair"), [(RefinerSettings(), 40), (RefinerSettings(propagate=True), 80)])
def test_training_keeps_few_bytes_for_each_pair(settings: RefinerSettings, bytes_a_pair: int) -> None:
    """1681 x 1681 at batch 8 are 22.6 million pairs: 0.9 GB kept, 1.8 GB with propagation, well within 24 GB."""
    made = SimRefiner((21, 21), (21, 21), settings)
    given = torch.randn(1, 441, 441, requires_grad=True)
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    alive = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: alive.append(t) or pack(t), lambda t: t):
        made(given * 1.0)
    assert sum(kept.values()) / 441**2 < bytes_a_pair


# --- bins


def test_constant_bins_give_the_dual_softmax_of_fg2() -> None:
    given = scores()
    given[0, :, 7] = -torch.inf
    ours = dual_softmax(given, torch.ones(2, 36), torch.ones(2, 24))
    torch.testing.assert_close(ours, matching_matrix.dual_softmax(given, torch.tensor(1.0)))
    assert (ours[0, :, 7] == 0).all()


def test_the_adaptive_dustbin_starts_as_a_constant_and_learns() -> None:
    torch.manual_seed(0)
    bins, base = AdaptiveDustbin(), torch.tensor(1.0, requires_grad=True)
    valid = torch.ones(2, 24, dtype=torch.bool)
    valid[1] = False
    given = scores().masked_fill(~valid[:, None], -torch.inf)
    rows, cols = bins(given, valid, base)
    assert rows.shape == (2, 36)
    assert cols.shape == (2, 24)
    assert (rows == 1.0).all()
    assert (cols == 1.0).all()
    (rows.sum() + cols.sum()).backward()
    assert base.grad is not None
    assert bins.rows[2].weight.grad.abs().max() > 0
    assert all(torch.isfinite(parameter.grad).all() for parameter in bins.parameters())


def test_gradients_stay_finite_where_nothing_can_match() -> None:
    given = scores().masked_fill(torch.ones(2, 1, 24, dtype=torch.bool), -torch.inf).requires_grad_()
    out = dual_softmax(given, torch.ones(2, 36), torch.ones(2, 24))
    assert (out == 0).all()
    out.sum().backward()
    assert torch.isfinite(given.grad).all()


def test_statistics_tell_what_they_say() -> None:
    x = torch.tensor([[[0.3, -0.2, 0.9, 0.5]]])
    mask = torch.tensor([[[True, True, True, False]]])
    best, mean, total, entropy, lead = refiner.row_statistics(x, mask)[0, 0].tolist()
    p = torch.softmax(10 * x[0, 0, :3], 0)
    assert best == pytest.approx(0.9)
    assert mean == pytest.approx(1.0 / 3)
    assert total == pytest.approx(0.1 * float(torch.logsumexp(10 * x[0, 0, :3], 0)))
    assert entropy == pytest.approx(float(-(p * p.log()).sum()) / torch.tensor(4.0).log().item(), rel=1e-3)
    assert lead == pytest.approx(0.6)
