# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scores, dual softmax with a bin, drawing of matches, and the loss on matches."""

from __future__ import annotations

import torch

from cvloc_ros.matching.layers.losses import info_nce
from cvloc_ros.matching.layers.matching_matrix import MatchingMatrix, dual_softmax
from cvloc_ros.matching.layers.sampling import draw_distinct, draw_many, first_occurrence, sample_matches


def test_dual_softmax_is_the_product_of_both_with_a_bin(formula):
    scores, bin_ = formula.normal("scores", (2, 5, 7)), torch.tensor(1.2)
    bordered = torch.nn.functional.pad(scores, (0, 1, 0, 1), value=1.2)
    expected = (bordered.softmax(1) * bordered.softmax(2))[:, :-1, :-1]
    torch.testing.assert_close(dual_softmax(scores, bin_), expected)


def test_golden_numbers(formula):
    probability = dual_softmax(torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]), torch.tensor(1.0))
    # by hand: e^2 e^2 / ((e^2 + 1 + e)(e^2 + 1 + e)) and so on
    expected = torch.tensor([[[0.4425455, 0.0139874], [0.0139874, 0.1783532]]])
    torch.testing.assert_close(probability, expected, atol=1e-6, rtol=0)


def test_masked_columns_are_never_matched_and_harm_no_gradient():
    module = MatchingMatrix()
    ground = torch.randn(1, 8, 6).requires_grad_()
    valid = torch.tensor([[True, False, True, True, False, True]])
    scores, probability = module(torch.randn(1, 8, 4), ground, valid)
    assert torch.isneginf(scores[0, :, 1]).all()
    assert float(probability[0, :, ~valid[0]].detach().sum()) == 0.0
    probability.sum().backward()
    assert torch.isfinite(ground.grad).all()
    assert torch.isfinite(module.dustbin_score.grad)
    assert float(module.dustbin_score.grad) != 0.0


def test_nothing_valid_at_all_gives_probability_zero():
    module = MatchingMatrix()
    _, probability = module(torch.randn(1, 8, 4), torch.randn(1, 8, 6), torch.zeros(1, 6, dtype=torch.bool))
    assert float(probability.detach().abs().sum()) == 0.0
    matches = sample_matches(probability, 5)
    assert float(matches.weight.detach().sum()) == 0.0


def test_matches_are_different_pairs_and_carry_the_gradient():
    probability = torch.rand(2, 9, 11, requires_grad=True)
    matches = sample_matches(probability, 40, torch.Generator().manual_seed(0))
    flat = matches.aerial * 11 + matches.ground
    assert all(len(set(row.tolist())) == 40 for row in flat)
    torch.testing.assert_close(matches.weight, probability.flatten(1).gather(1, flat))
    matches.weight.sum().backward()
    assert float(probability.grad.sum()) == 80.0
    assert sample_matches(probability, 1000).weight.shape == (2, 99)


def test_draws_follow_their_weights_in_both_ways():
    weight = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    generator = torch.Generator().manual_seed(0)
    race = torch.cat([draw_distinct(weight, 2, generator)[:, 0] for _ in range(4000)])
    sets = draw_many(weight, 4000, 2, generator)
    assert (sets[..., 0] != sets[..., 1]).all()
    second = torch.tensor([sum(w * v / (10 - w) for j, w in enumerate(range(1, 5)) if j != i) / 10 for i, v in
                           enumerate([1.0, 2.0, 3.0, 4.0])])
    for drawn, expected in ((race, weight[0] / 10), (sets[0, :, 0], weight[0] / 10), (sets[0, :, 1], second)):
        torch.testing.assert_close(torch.bincount(drawn, minlength=4) / 4000, expected, atol=0.03, rtol=0)


def test_a_set_with_few_heavy_pairs_is_still_full():
    weight = torch.full((1, 50), 1e-7)
    weight[0, 7] = 1.0
    drawn = draw_many(weight, 3, 10, torch.Generator().manual_seed(0))
    assert all(len(set(row.tolist())) == 10 and 7 in row.tolist() for row in drawn[0])


def test_first_occurrence():
    index = torch.tensor([[3, 1, 3, 1, 2]])
    assert first_occurrence(index).tolist() == [[True, True, False, False, True]]
    keep = torch.tensor([[False, True, True, True, False]])
    assert first_occurrence(index, keep).tolist() == [[False, True, True, False, False]]


def test_info_nce_by_hand():
    scores = torch.tensor([[[1.0, 2.0, 0.0], [0.0, 1.0, -torch.inf]]], requires_grad=True)
    rows, partners = torch.tensor([[0, 1, 0, 1]]), torch.tensor([[1, 2, 0, 0]])
    keep = torch.tensor([[True, False, True, True]])
    loss = info_nce(scores, rows, partners, keep)
    first = torch.log(torch.exp(torch.tensor([1.0, 2.0, 0.0])).sum()) - 2.0
    second = torch.log(torch.exp(torch.tensor([0.0, 1.0])).sum())
    torch.testing.assert_close(loss, ((first + second) / 2)[None])
    loss.sum().backward()
    assert torch.isfinite(scores.grad).all()
    assert info_nce(scores, rows, partners, torch.zeros_like(keep)).tolist() == [0.0]
    only = torch.zeros(1, 4, 3, dtype=torch.bool)
    assert info_nce(scores, rows, partners, keep, only).tolist() == [0.0]
