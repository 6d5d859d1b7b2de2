# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable attention against recorded numbers, against its definition, and all candidates at once against each."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cvloc_ros.matching.layers.attention import DeformableAttention, TokenGrid, corners, gather

PREFIX = "grd_attention_cross1.grd_attention_cross."


def make(formula, channels=64):
    module = DeformableAttention(channels).eval()
    shapes = {PREFIX + key: value.shape for key, value in module.state_dict().items()}
    tensors = formula.weights(shapes)
    module.load_state_dict({key.removeprefix(PREFIX): value for key, value in tensors.items()})
    return module


@pytest.mark.parametrize("case", ["small", "small_nonfinite", "big", "self_grid"])
def test_numbers_of_the_original(case, formula, parity):
    recorded = parity("msda")
    batch, count, channels, rows, cols = recorded[f"{case}/shape"].tolist()
    module = make(formula, channels)
    query = formula.normal(f"msda/{case}/query", (batch, count, channels))
    value = formula.normal(f"msda/{case}/value", (batch, rows * cols, channels))
    reference = torch.from_numpy(recorded[f"{case}/reference_points"])
    mixed = []
    module.output_proj.register_forward_pre_hook(lambda _, args: mixed.append(args[0]))
    out = module(query, value, TokenGrid(rows, cols), reference)
    recorded.agree(f"{case}/before_output_proj", mixed[0], 1e-4, 1e-5)
    recorded.agree(f"{case}/out", out, 1e-4, 1e-5)
    if case.startswith("small"):
        torch.testing.assert_close(out, torch.from_numpy(recorded[f"{case}/out_full"]), atol=1e-4, rtol=0)


def by_definition(module, query, value, grid, reference):
    """The published formula with grid_sample."""
    batch, count, channels = query.shape
    heads, points = module.heads, module.points
    offset = module.sampling_offsets(query).view(batch, count, heads, points, 2)
    share = module.attention_weights(query).view(batch, count, heads, points).softmax(-1)
    location = reference[:, :, None, None] + offset / torch.tensor([grid.cols, grid.rows])
    maps = module.value_proj(value).view(batch, grid.rows, grid.cols, heads, -1).permute(0, 3, 4, 1, 2).flatten(0, 1)
    where = (2 * location - 1).permute(0, 2, 1, 3, 4).flatten(0, 1)
    sampled = functional.grid_sample(maps, where, align_corners=False).view(batch, heads, -1, count, points)
    mixed = (sampled * share.permute(0, 2, 1, 3)[:, :, None]).sum(-1)
    return module.output_proj(mixed.permute(0, 3, 1, 2).reshape(batch, count, channels)) + query


def test_agrees_with_its_definition(formula):
    module, grid = make(formula), TokenGrid(5, 8)
    query, value = formula.normal("q", (2, 7, 64)), formula.normal("v", (2, 40, 64))
    reference = formula.uniform("r", (2, 7, 2)) * 1.4 - 0.2
    torch.testing.assert_close(
        module(query, value, grid, reference), by_definition(module, query, value, grid, reference), atol=2e-6, rtol=0
    )


def test_golden_numbers(formula):
    module = make(formula)
    out = module(
        formula.normal("q", (1, 3, 64)), formula.normal("v", (1, 40, 64)), TokenGrid(5, 8),
        torch.tensor([[[0.5, 0.5], [0.0, 1.0], [torch.nan, 0.5]]]),
    )
    expected = torch.tensor(GOLDEN)
    torch.testing.assert_close(out[0, :, :4], expected, atol=1e-5, rtol=0)


GOLDEN = [
    [-0.44946, 0.26463, 1.27252, -3.97521],
    [1.61991, 1.11134, -0.57081, -2.61273],
    [0.97918, -1.2072, -2.72748, -1.34454],
]


def test_all_candidates_at_once_are_each_alone_and_then_the_softmax(formula):
    module, scorer = make(formula), nn.Linear(64, 1)
    grids = [TokenGrid(5, 8), TokenGrid(4, 6, start=40)]
    query, value = formula.normal("q", (2, 7, 64)), formula.normal("v", (2, 64, 64))
    references = [formula.uniform("r", (2, 7, 3, 2)), formula.uniform("s", (2, 7, 2, 2)) * 1.2]
    alone = torch.stack(
        [by_definition(module, query, value[:, :40], grids[0], references[0][:, :, k]) for k in range(3)]
        + [by_definition(module, query, value[:, 40:], grids[1], references[1][:, :, k]) for k in range(2)], 2
    )
    logits = scorer(alone)[..., 0]
    chosen = module.select(query, value, grids, references, scorer)
    torch.testing.assert_close(chosen.logits, logits, atol=3e-6, rtol=0)
    torch.testing.assert_close(chosen.out, (logits.softmax(2)[..., None] * alone).sum(2), atol=3e-6, rtol=0)
    visible = torch.ones(1, 7, 5, dtype=torch.bool)
    visible[0, 2, 1:] = False
    visible[0, 3] = False
    seen = module.select(query, value, grids, references, scorer, visible)
    torch.testing.assert_close(seen.out[:, 2], alone[:, 2, 0], atol=3e-6, rtol=0)
    torch.testing.assert_close(seen.out[:, 3], query[:, 3])
    assert float(seen.share[:, 3].detach().abs().sum()) == 0.0


def test_constant_values_give_the_projected_constant():
    module = DeformableAttention(64).eval()
    query, tokens = torch.randn(1, 4, 64), torch.randn(64).expand(1, 30 * 30, 64)
    out = module(query, tokens, TokenGrid(30, 30), torch.full((1, 4, 2), 0.5))
    expected = module.output_proj(module.value_proj(tokens[:, :4])) + query
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=0)


def test_what_is_not_finite_or_far_out_has_no_tokens():
    location = torch.tensor([[torch.nan, 0.5], [torch.inf, 0.5], [0.5, -torch.inf], [1e30, 0.5], [0.5, 2.0]])
    index, weight = corners(location, TokenGrid(4, 6))
    assert float(weight.abs().sum()) == 0.0
    assert int(index.min()) >= 0
    assert int(index.max()) < 24


def test_a_panorama_is_sampled_across_its_seam():
    column = torch.arange(6.0).expand(4, 6).reshape(1, 1, 24, 1)
    index, weight = corners(torch.tensor([[[[0.0, 0.5]], [[1.0, 0.5]], [[-1 / 12, 0.5]]]]), TokenGrid(4, 6, wraps=True))
    seen = gather(column, index, weight)[0, :, 0]
    torch.testing.assert_close(seen, torch.tensor([2.5, 2.5, 5.0]))


def test_gradients_are_those_of_the_definition(formula):
    module, grid = make(formula).double(), TokenGrid(5, 8)
    value = formula.normal("v", (1, 40, 64)).double().requires_grad_()
    query = formula.normal("q", (1, 7, 64)).double().requires_grad_()
    reference = formula.uniform("r", (1, 7, 2)).double()
    probe = formula.normal("p", (1, 7, 64)).double()
    learned = [value, query, *module.parameters()]
    ours = torch.autograd.grad((module(query, value, grid, reference) * probe).sum(), learned)
    direct = torch.autograd.grad((by_definition(module, query, value, grid, reference) * probe).sum(), learned)
    for a, b in zip(ours, direct, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_dropout_falls_on_the_projected_samples_alone():
    module = DeformableAttention(64, dropout=1.0).train()
    query = torch.randn(1, 4, 64)
    out = module(query, torch.randn(1, 9, 64), TokenGrid(3, 3), torch.rand(1, 4, 2))
    torch.testing.assert_close(out, query)


@pytest.mark.parametrize("heads", [2, 4, 8])
def test_heads_look_evenly_around_before_training(heads):
    made = DeformableAttention(32, heads)
    offsets = made.sampling_offsets.bias.detach().view(heads, 4, 2)
    assert offsets[:, 0].sum(0).abs().max() == 0.0
    assert torch.equal(offsets[:, 3], 4 * offsets[:, 0])
