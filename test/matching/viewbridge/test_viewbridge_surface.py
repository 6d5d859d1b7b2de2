# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens
from cvloc_ros.matching.layers.attention import DeformableAttention, TokenGrid
from cvloc_ros.matching.layers.pose import Alignment
from cvloc_ros.matching.viewbridge.model import Model
from cvloc_ros.matching.viewbridge.surface import SurfaceModel, bins_of_aerial_depth, bins_of_heights, height_loss

HEIGHTS = torch.tensor([-1.0, 1.0, 3.0, 5.0, 7.0])


def logits_of(weight: torch.Tensor) -> torch.Tensor:
    return weight.clamp_min(1e-30).log()


def found(weight: torch.Tensor, model: SurfaceModel, visible: torch.Tensor | None = None):
    visible = torch.ones_like(weight, dtype=torch.bool) if visible is None else visible
    return model.surface(logits_of(weight)[None], visible[None], HEIGHTS)


def test_a_one_hot_distribution_picks_that_height() -> None:
    model = SurfaceModel(5)
    weight = torch.eye(5)
    surface = found(weight, model)
    assert surface.index[0].tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(surface.height[0], HEIGHTS)
    torch.testing.assert_close(model.cut(weight), weight)


@pytest.mark.parametrize("height", [0, 1, 3])
def test_the_attention_then_takes_the_feature_at_that_height(height: int) -> None:
    torch.manual_seed(1)
    attention = DeformableAttention(16, heads=2, dropout=0.0)
    attention.reweigh = SurfaceModel(4).cut
    query, tokens = torch.randn(1, 3, 16), torch.randn(1, 30, 16)
    reference = torch.rand(1, 3, 4, 2)
    grid = TokenGrid(5, 6)
    only = torch.zeros(1, 3, 4, dtype=torch.bool)
    only[..., height] = True
    chosen = attention.select(query, tokens, [grid], [reference], torch.nn.Linear(16, 1), only)
    torch.testing.assert_close(chosen.out, attention(query, tokens, grid, reference[:, :, height]))


def tokens_of(model: Model, images: int = 1) -> list[GroundTokens]:
    plane = model.network.settings.plane
    draw = torch.Generator().manual_seed(4)
    cells = plane.ground_rows() * plane.cells
    return [
        GroundTokens(
            torch.randn(2, plane.channels, 6, 12, generator=draw),
            torch.rand(1, cells, plane.heights, 2, generator=draw),
            torch.rand(1, cells, plane.heights, generator=draw) > 0.2,
        )
        for _ in range(images)
    ]


@pytest.mark.parametrize("images", [1, 2])
def test_threshold_one_is_the_pooling_of_fg2(model: Callable[..., Model], images: int) -> None:
    ours = model(threshold=1.0).network
    theirs = Fg2Network(ours.settings.plane)
    theirs.load_state_dict(ours.plane.state_dict())
    given_tokens = tokens_of(model(), images)
    with torch.no_grad():
        a, b = ours.encode_ground(given_tokens), theirs.encode_ground(given_tokens)
        torch.testing.assert_close(a.descriptors, b.descriptors, rtol=0, atol=0)
        torch.testing.assert_close(a.surface.share, b.share, rtol=0, atol=1e-6)
        cut = model(threshold=0.5).network.encode_ground(given_tokens)
    assert (cut.descriptors - a.descriptors).abs().max() > 1e-3


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5), st.floats(0.05, 0.99))
def test_the_surface_is_where_the_sum_from_below_reaches_the_threshold(values: list[float], threshold: float) -> None:
    weight = torch.tensor(values, dtype=torch.float64)[None] + 1e-3
    weight = weight / weight.sum()
    total = weight.cumsum(-1)[0]
    if (total - threshold).abs().min() < 1e-6:
        return
    model = SurfaceModel(5, threshold)
    expected = int((total >= threshold).nonzero()[0])
    assert int(found(weight.float(), model).index) == expected
    kept = model.cut(weight)[0]
    assert (kept[: expected + 1] > 0).all()
    assert (kept[expected + 1 :] == 0).all()
    assert float(kept.sum()) == pytest.approx(1.0)


def test_what_lies_above_the_surface_has_no_influence(model: Callable[..., Model]) -> None:
    """A tree crown hides what an aerial camera cannot see; here: what is above hides nothing and is not fused."""
    torch.manual_seed(2)
    attention = DeformableAttention(16, heads=2, dropout=0.0)
    scorer = torch.nn.Linear(16, 1)
    query, tokens = torch.randn(1, 40, 16), torch.randn(1, 30, 16)
    reference = torch.rand(1, 40, 4, 2)
    attention.reweigh = SurfaceModel(4, threshold=0.6).cut
    chosen = attention.select(query, tokens, [TokenGrid(5, 6)], [reference], scorer)
    dropped = chosen.share == 0
    assert 20 < int(dropped.sum()) < 140
    moved = torch.where(dropped[..., None], torch.rand_like(reference), reference)
    attention.reweigh = lambda _share: chosen.share  # the same weights, other places above the surface
    again = attention.select(query, tokens, [TokenGrid(5, 6)], [moved], scorer)
    torch.testing.assert_close(again.out, chosen.out)


def test_several_images_have_one_surface() -> None:
    model = SurfaceModel(2, threshold=0.5)
    share = torch.tensor([[0.1, 0.2, 0.5, 0.2]])  # image 1: low 0.1, high 0.2; image 2: low 0.5, high 0.2
    torch.testing.assert_close(model.cut(share), torch.tensor([[1 / 6, 0.0, 5 / 6, 0.0]]))
    surface = model.surface(share.log()[None], torch.ones(1, 1, 4, dtype=torch.bool), torch.tensor([0.0, 3.0]))
    assert int(surface.index) == 0
    torch.testing.assert_close(surface.log_weight.exp()[0, 0], torch.tensor([0.6, 0.4]))


def test_without_normalising_the_kept_weights_stay() -> None:
    model = SurfaceModel(3, threshold=0.5, renormalise=False)
    torch.testing.assert_close(model.cut(torch.tensor([[0.3, 0.4, 0.3]])), torch.tensor([[0.3, 0.4, 0.0]]))


def test_columns_that_no_image_shows_are_empty_and_harmless() -> None:
    model = SurfaceModel(5)
    logits = torch.randn(1, 2, 5, requires_grad=True)
    visible = torch.zeros(1, 2, 5, dtype=torch.bool)
    visible[0, 0, 2] = True
    surface = model.surface(logits, visible, HEIGHTS)
    assert surface.share[0, 1].tolist() == [0.0] * 5
    assert int(surface.index[0, 0]) == 2
    loss = height_loss(surface, torch.full((1, 2), 1.7), torch.ones(1, 2, dtype=torch.bool))
    (loss.sum() + surface.height.sum()).backward()
    assert torch.isfinite(logits.grad).all()


def test_the_surface_has_a_gradient_across_its_edge() -> None:
    """Weight that is cut off hard still pulls: heights above get gradients through the gate."""
    logits = torch.tensor([[[2.0, 1.5, 0.4, -1.0, -3.0]]], requires_grad=True)
    surface = SurfaceModel(5, 0.8).surface(logits, torch.ones(1, 1, 5, dtype=torch.bool), HEIGHTS)
    assert int(surface.index) < 4
    surface.height.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad.abs() > 1e-6).all()
    with torch.no_grad():
        better = logits - 0.5 * logits.grad
    lower = SurfaceModel(5, 0.8).surface(better, torch.ones(1, 1, 5, dtype=torch.bool), HEIGHTS)
    assert float(lower.height.detach()) < float(surface.height.detach())


# --- supervision of heights


def test_height_loss_is_one_without_knowledge_and_least_at_the_label() -> None:
    model, truth, known = SurfaceModel(5), torch.full((1, 1), 1.6), torch.ones(1, 1, dtype=torch.bool)
    even = height_loss(found(torch.full((1, 5), 0.2), model), truth, known)
    assert float(even) == pytest.approx(1.0, abs=1e-5)
    label = torch.exp(-((torch.arange(5) - 1.6) ** 2) / (2 * 0.75**2))
    best = float(height_loss(found((label / label.sum())[None], model), truth, known))
    for number in range(20):
        other = torch.rand(1, 5, generator=torch.Generator().manual_seed(number))
        assert float(height_loss(found(other / other.sum(), model), truth, known)) > best
    assert float(height_loss(found(torch.eye(5)[:1], model), truth, ~known)) == 0.0


def test_height_loss_teaches_the_heights() -> None:
    logits = torch.zeros(1, 6, 5, requires_grad=True)
    truth = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 2.0]])
    model, optimiser = SurfaceModel(5), torch.optim.Adam([logits], 0.2)
    for _ in range(60):
        optimiser.zero_grad()
        surface = model.surface(logits, torch.ones(1, 6, 5, dtype=torch.bool), HEIGHTS)
        height_loss(surface, truth, torch.ones(1, 6, dtype=torch.bool)).sum().backward()
        optimiser.step()
    assert surface.log_weight.argmax(-1).tolist() == truth.long().tolist()


def test_true_heights_become_bins() -> None:
    bins = bins_of_heights(torch.tensor([-5.0, -1.0, 2.0, 7.0, 99.0]), -1.0, 7.0, 5)
    torch.testing.assert_close(bins, torch.tensor([0.0, 0.0, 1.5, 4.0, 4.0]))


def test_depth_of_the_aerial_image_becomes_bins_of_the_columns_at_the_true_pose() -> None:
    """Nearness that rises along a line of the map: each column finds the value of its own place."""
    size, extent_m = 64, 32.0
    axis = (torch.arange(size) + 0.5) / size * extent_m - extent_m / 2
    plane = 0.3 * axis[:, None] + 0.7 * axis[None, :]
    yaw, place = torch.tensor([0.6, -2.0]), torch.tensor([[1.0, -2.0], [3.0, 4.0]])
    turn = torch.stack([torch.stack([yaw.cos(), -yaw.sin()], -1), torch.stack([yaw.sin(), yaw.cos()], -1)], -2)
    truth = Alignment(turn, place, torch.ones(2), torch.ones(2, dtype=torch.bool))
    ground = torch.cartesian_prod(torch.linspace(-12, 12, 7), torch.linspace(-12, 12, 7))
    bins, keep = bins_of_aerial_depth(plane.expand(2, -1, -1), truth, ground, extent_m, 11)
    there = truth.apply(ground.expand(2, -1, -1))
    expected = 10 * (there @ torch.tensor([0.3, 0.7]) - plane.min()) / (plane.max() - plane.min())
    torch.testing.assert_close(keep, (there.abs() <= 16.0).all(-1))
    inner = (there.abs() <= 15.5).all(-1)
    torch.testing.assert_close(bins[inner], expected[inner], atol=1e-4, rtol=0)
    flat, none = bins_of_aerial_depth(torch.zeros(2, 8, 8), truth, ground, extent_m, 11)
    assert torch.isfinite(flat).all()
    assert not none.any()
