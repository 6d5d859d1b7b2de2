# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Votes of points for poses: the geometry, and what a point without evidence says."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.matching.fg2.loss import turn
from cvloc_ros.matching.layers.votes import told, vote, vote_at

SIDE, EXTENT_M = 16, 64.0


@given(st.floats(-12, 12), st.floats(-12, 12), st.floats(-3.1, 3.1), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_points_vote_for_the_frame_that_puts_them_where_they_were_seen(
    down: float, right: float, heading: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    where = torch.from_numpy(rng.uniform(-16, 16, (1, 60, 2))).float()
    truth = torch.tensor([[down, right]])
    lies = truth[:, None] + where @ turn(torch.tensor([heading]))  # ground = R (aerial - position), as FG² has it
    axis = (torch.arange(SIDE) - (SIDE - 1) / 2) * (EXTENT_M / SIDE)
    near = torch.exp(-0.5 * ((lies[..., None] - axis) / 4.0) ** 2)
    scores = torch.log(near[:, :, 0, :, None] * near[:, :, 1, None, :] + 1e-9).flatten(2)
    inside = (lies.abs() < EXTENT_M / 2).all(2).float()
    said = told(scores, torch.tensor(0.1))
    right_one = vote_at(said, inside, where, torch.tensor([heading]), truth, EXTENT_M)
    for off in ((6.0, 0.0, 0.0), (0.0, -6.0, 0.0), (0.0, 0.0, 0.6)):
        moved = truth + torch.tensor(off[:2])
        assert float(vote_at(said, inside, where, torch.tensor([heading + off[2]]), moved, EXTENT_M)) < float(right_one)
    many = vote(said, inside, where, torch.tensor([[heading, heading + 1.0]]), truth[0, :1], EXTENT_M)
    one = vote_at(said, inside, where, torch.tensor([heading]), truth[:, :1].expand(-1, 2), EXTENT_M)
    torch.testing.assert_close(many[0, 0, 0, 0], one[0], atol=1e-3, rtol=1e-4)


def test_a_point_that_knows_nothing_votes_for_nothing() -> None:
    scores = torch.full((1, 3, SIDE**2), 0.7)
    scores[:, 1] = -torch.inf
    assert float(told(scores, torch.tensor(0.3)).abs().max()) < 1e-6


def test_a_point_that_errs_says_no_more_than_the_doubt() -> None:
    scores = torch.zeros(1, 1, SIDE**2)
    scores[0, 0, 5] = 50.0
    said = told(scores, torch.tensor(0.2)).flatten()
    assert math.isclose(float(said.min()), math.log(0.2), rel_tol=1e-5)
    assert math.isclose(float(said.max()), math.log(0.8 * SIDE**2 + 0.2), rel_tol=1e-5)


def test_outside_of_the_square_nothing_is_told() -> None:
    said = told(torch.randn(1, 4, SIDE**2), torch.tensor(0.2))
    far = torch.full((1, 4, 2), 200.0)
    assert float(vote(said, torch.ones(1, 4), far, torch.zeros(1), torch.zeros(1), EXTENT_M).abs().max()) == 0.0
