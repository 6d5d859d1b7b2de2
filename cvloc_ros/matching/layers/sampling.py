# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drawing matches from a probability matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Drawn pairs: `aerial` and `ground` (B, N) indices, `weight` (B, N) their probability (carries the gradient)."""

    aerial: Tensor
    ground: Tensor
    weight: Tensor


def sample_matches(probability: Tensor, count: int, generator: torch.Generator | None = None) -> Matches:
    """Draw `count` different pairs of (B, Ns, Ng) with chances proportional to their probability.

    All pairs are drawn where there are fewer than `count`; pairs of probability 0 come last, with weight 0.
    """
    flat = probability.flatten(1)
    return matches_at(probability, draw_distinct(flat.detach(), min(count, flat.shape[1]), generator))


def matches_at(probability: Tensor, index: Tensor) -> Matches:
    """Make matches of flat indices (B, N) into the probability (B, Ns, Ng)."""
    cols = probability.shape[2]
    return Matches(index // cols, index % cols, probability.flatten(1).gather(1, index))


def draw_distinct(
    weight: Tensor, count: int, generator: torch.Generator | None = None, start: Tensor | None = None
) -> Tensor:
    """Draw indices (B, count) without replacement, chances proportional to weight (B, M): an exponential race.

    Unlike `torch.multinomial` it takes any M and weights of which fewer than `count` are positive. Draws that were
    made already, in `start` (B, K) with repetitions, come first.
    """
    arrival = torch.empty_like(weight).exponential_(generator=generator)
    pace = weight / arrival.clamp_min(torch.finfo(weight.dtype).tiny)
    if start is not None:
        first = torch.finfo(weight.dtype).max * torch.linspace(1.0, 0.5, start.shape[1], device=weight.device)
        pace = pace.scatter_reduce(1, start, first.to(weight).expand(start.shape), "amax")
    return torch.topk(pace, count, dim=1).indices


def draw_many(weight: Tensor, sets: int, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw (B, sets, count): several independent sets, each without replacement, as `draw_distinct` but cheaper.

    Drawing with replacement and dropping what was drawn before has the same distribution. Where twice the count holds
    too few different indices (a few pairs carry nearly all weight), the race fills the set.
    """
    batch = weight.shape[0]
    total = torch.cumsum(weight, 1, dtype=torch.float64)
    uniform = torch.rand(batch, sets * 2 * count, dtype=torch.float64, device=weight.device, generator=generator)
    drawn = torch.searchsorted(total, uniform * total[:, -1:], right=True).clamp_max(weight.shape[1] - 1)
    drawn = drawn.view(batch, sets, 2 * count)
    fresh = first_occurrence(drawn)
    order = torch.sort((~fresh).to(torch.uint8), dim=2, stable=True).indices[..., :count]
    result = drawn.gather(2, order)
    short = fresh.sum(2) < count
    for item, which in short.nonzero().tolist():
        result[item, which] = draw_distinct(weight[item][None], count, generator, drawn[item, which][None])[0]
    return result


def first_occurrence(index: Tensor, keep: Tensor | None = None) -> Tensor:
    """Mark in index (..., N) each first of equal values among those to keep (..., N)."""
    ordered = index if keep is None else torch.where(keep, index, -1)
    values, order = torch.sort(ordered, dim=-1, stable=True)
    first = torch.ones_like(values, dtype=torch.bool)
    first[..., 1:] = values[..., 1:] != values[..., :-1]
    marked = torch.zeros_like(first).scatter(-1, order, first)
    return marked if keep is None else marked & keep


def draw_known(known: Tensor, most: int = 0) -> Tensor:
    """Numbers (B, M) of tokens, those that are known (B, N) first; of more than `most` some are drawn (0: all are).

    What sees the sky, or what is too far, then need not go into a matching matrix.
    """
    count = max(int(known.sum(1).max()), 1)
    if 0 < most < count:
        place = torch.rand(known.shape, device=known.device).masked_fill(~known, 2.0)
        return torch.topk(place, most, dim=1, largest=False).indices
    return torch.argsort(known.byte(), dim=1, descending=True, stable=True)[:, :count]
