# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
import torch

from cvloc_ros.matching.correlation import correlate, fast_length, pool, rotate, spectra


def direct(ground: torch.Tensor, weight: torch.Tensor, aerial: torch.Tensor, mask: torch.Tensor):
    """The same by its definition: a cosine for every offset."""
    n = weight.shape[-1]
    rows, cols = mask.shape[0] - n + 1, mask.shape[1] - n + 1
    score, cells = torch.zeros(rows, cols), torch.zeros(rows, cols)
    for r in range(rows):
        for c in range(cols):
            a, m = aerial[:, r : r + n, c : c + n], mask[r : r + n, c : c + n]
            cross = (ground * a * weight * m).sum()
            score[r, c] = cross / torch.sqrt(
                ((ground**2).sum(0) * weight * m).sum() * ((a**2).sum(0) * weight * m).sum() + 1.0
            )
            cells[r, c] = (weight * m).sum()
    return score, cells


def smooth(*shape: int) -> torch.Tensor:
    rough = torch.rand(*shape, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.avg_pool2d(rough[None], 5, 1, 2)[0] if len(shape) == 3 else rough


def test_equals_the_definition_where_masks_are_smooth() -> None:
    aerial, ground = smooth(2, 40, 44) - 0.5, smooth(2, 24, 24) - 0.5
    mask, weight = torch.ones(40, 44), torch.ones(24, 24)
    mask[:, 36:] = 0.0
    weight[:6] = 0.5
    score, cells = correlate(ground[None], weight[None], spectra(aerial, mask))
    want_score, want_cells = direct(ground, weight, aerial, mask)
    assert score.shape == (1, 17, 21)
    torch.testing.assert_close(score[0], want_score, atol=0.04, rtol=0.0)
    torch.testing.assert_close(cells[0], want_cells, atol=6.0, rtol=0.0)


def test_the_true_offset_scores_one_and_is_the_best() -> None:
    aerial = torch.randn(2, 90, 80, generator=torch.Generator().manual_seed(1))
    score, cells = correlate(aerial[None, :, 31:71, 17:57], torch.ones(1, 40, 40), spectra(aerial, torch.ones(90, 80)))
    assert divmod(int(score[0].argmax()), score.shape[2]) == (31, 17)
    assert score.max() == pytest.approx(1.0, abs=0.03)
    assert cells[0, 31, 17] == pytest.approx(1600, rel=0.01)


def test_what_has_no_imagery_is_no_evidence() -> None:
    aerial = torch.randn(2, 60, 60, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(60, 60)
    mask[:, :30] = 1.0
    _, cells = correlate(torch.ones(1, 2, 20, 20), torch.ones(1, 20, 20), spectra(aerial, mask))
    assert cells[0, 0, 40] == pytest.approx(0.0, abs=1.0)
    assert cells[0, 0, 0] == pytest.approx(400.0, abs=4.0)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_rotation_turns_raster_and_vectors_counter_clockwise(quarters: int) -> None:
    raster = torch.zeros(2, 8, 8)
    raster[0, 3, 7] = 1.0  # right of the centre, pointing right
    turned, weight = rotate(raster, torch.ones(8, 8), torch.tensor([quarters * math.pi / 2]))
    row, column, vector = {0: (3, 7, (1, 0)), 1: (0, 3, (0, 1)), 2: (4, 0, (-1, 0)), 3: (7, 4, (0, -1))}[quarters]
    torch.testing.assert_close(
        turned[0, :, row, column], torch.tensor(vector, dtype=torch.float32), atol=1e-5, rtol=0.0
    )
    torch.testing.assert_close(weight[0], torch.ones(8, 8), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("length", [1, 7, 97, 256, 1000])
def test_fast_length_is_even_and_smooth(length: int) -> None:
    size = fast_length(length)
    assert size >= length
    assert size % 2 == 0
    for prime in (2, 3, 5):
        while size % prime == 0:
            size //= prime
    assert size == 1


def test_pooling_keeps_leading_dimensions_and_odd_edges() -> None:
    assert pool(torch.ones(3, 2, 5, 7)).shape == (3, 2, 3, 4)
    assert float(pool(torch.ones(5, 7)).min()) == 1.0
