# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Deformable attention (Zhu et al. 2021, one level) in plain PyTorch, and its exact form for many heights at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_RING = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


@dataclass(frozen=True, slots=True)
class TokenGrid:
    """Where the tokens of one image lie in a list of tokens: `rows` x `cols` of them, by rows, from `start` on.

    With `wraps` the last column is the neighbour of the first, as in a panorama.
    """

    rows: int
    cols: int
    start: int = 0
    wraps: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """What each query took from its candidates: `out` (B, N, C), `logits` and `share` (B, N, K)."""

    out: Tensor
    logits: Tensor
    share: Tensor


class DeformableAttention(nn.Module):
    """Each query samples a few tokens of every head around a reference point; the output contains the query itself."""

    def __init__(self, channels: int, heads: int = 8, points: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads, self.points = heads, points
        self.sampling_offsets = nn.Linear(channels, heads * points * 2)
        self.attention_weights = nn.Linear(channels, heads * points)
        self.value_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.reweigh: Callable[[Tensor], Tensor] | None = None
        """What `select` does to the shares (B, N, K) of the candidates before it mixes them; None: nothing."""

        self.reset()

    def reset(self) -> None:
        """Start with a ring of offsets, equal attention and Xavier projections."""
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        # Few heads look evenly in all directions, too.
        spread = max(len(_RING) // self.heads, 1)
        ring = torch.tensor([_RING[head * spread % len(_RING)] for head in range(self.heads)], dtype=torch.float32)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_((ring[:, None] * steps[None, :, None]).flatten())
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, value: Tensor, grid: TokenGrid, reference: Tensor) -> Tensor:
        """Attend.

        Args:
            query: (B, N, C).
            value: (B, T, C) tokens.
            grid: which of them are meant.
            reference: (B or 1, N, 2), x then y in 0..1 of the grid; what is not finite contributes nothing.

        Returns:
            (B, N, C): the projected samples plus the query.
        """
        index, weight = self._samples(query, [grid], [reference[:, :, None]])
        mixed = gather(self._values(value), index.flatten(3), weight.flatten(3))
        out: Tensor = self.dropout(self.output_proj(mixed)) + query
        return out

    def select(
        self,
        query: Tensor,
        value: Tensor,
        grids: Sequence[TokenGrid],
        references: Sequence[Tensor],
        scorer: nn.Linear,
        visible: Tensor | None = None,
    ) -> Selected:
        """Attend at K candidate references of each query, and join them by the softmax of a linear score of each.

        The same numbers as K calls of `forward`, `scorer` on each and a weighted sum, with one value projection, one
        output projection and no intermediate of size K x C: the score of a candidate is linear in its samples, and
        all that the candidates share leaves the softmax unchanged. While training, dropout falls on the sum alone.

        Args:
            query: (B, N, C).
            value: (B, T, C) tokens of all images.
            grids: the images.
            references: for each image (B or 1, N, K of the image, 2); candidates are counted through all images.
            scorer: C to 1.
            visible: (B or 1, N, K), False for candidates that must not be chosen; a query without any gets itself.
        """
        index, weight = self._samples(query, grids, references)
        values = self._values(value)
        per_head = (scorer.weight @ self.output_proj.weight).view(self.heads, -1)
        value_score = torch.einsum("bhtc,hc->bht", values, per_head)
        batch, count, _, candidates = index.shape[:4]
        taken = value_score.gather(2, index.permute(0, 2, 1, 3, 4).flatten(2)).view(batch, self.heads, count, -1)
        taken = taken.view(batch, self.heads, count, candidates, -1) * weight.permute(0, 2, 1, 3, 4)
        logits = taken.sum((1, 4)) + scorer(query + self.output_proj.bias)
        ranked = logits if visible is None else logits.masked_fill(~visible, -torch.inf)
        none = torch.isneginf(ranked).all(-1, keepdim=True)
        share = torch.softmax(torch.where(none, 0.0, ranked), -1) * ~none
        share = share if self.reweigh is None else self.reweigh(share)
        mixed = gather(values, index.flatten(3), (weight * share[:, :, None, :, None]).flatten(3))
        out = self.dropout(self.output_proj(mixed)) + query
        return Selected(torch.where(none, query, out), logits, share)

    def _values(self, value: Tensor) -> Tensor:
        """Project tokens (B, T, C) once; (B, heads, T, C / heads)."""
        batch, tokens, _ = value.shape
        projected: Tensor = self.value_proj(value)
        return projected.view(batch, tokens, self.heads, -1).transpose(1, 2)

    def _samples(
        self, query: Tensor, grids: Sequence[TokenGrid], references: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Tokens and their weights (B, N, heads, K, 4 points) for all candidates."""
        batch, count, _ = query.shape
        offset = self.sampling_offsets(query).view(batch, count, self.heads, 1, self.points, 2)
        attention = self.attention_weights(query).view(batch, count, self.heads, 1, self.points).softmax(-1)
        indices, weights = [], []
        for grid, reference in zip(grids, references, strict=True):
            location = reference[:, :, None, :, None] + offset / offset.new_tensor([grid.cols, grid.rows])
            index, weight = corners(location, grid)
            indices.append(index.flatten(-2))
            weights.append((weight * attention[..., None]).flatten(-2))
        return torch.cat(indices, 3), torch.cat(weights, 3)


def corners(location: Tensor, grid: TokenGrid) -> tuple[Tensor, Tensor]:
    """Give the four tokens around each location, and their bilinear weights.

    Args:
        location: (..., 2), x then y, 0 and 1 at the outer edges of the grid. What is not finite has no tokens.
        grid: the tokens.

    Returns:
        Index (..., 4) into the list of tokens and weight (..., 4), 0 outside the grid.
    """
    size = location.new_tensor([grid.cols, grid.rows])
    usable = torch.isfinite(location).all(-1, keepdim=True)
    position = torch.where(usable, location, -1.0) * size - 0.5
    if grid.wraps:
        position = torch.stack([torch.remainder(position[..., 0], grid.cols), position[..., 1]], -1)
    position = position.clamp(min=-2.0).minimum(size + 1.0)  # further out is as far out, and fits an integer
    low = position.detach().floor()
    part = position - low
    step = torch.arange(2, device=location.device)
    x, y = low[..., :1].long() + step, low[..., 1:].long() + step
    if grid.wraps:
        x = torch.remainder(x, grid.cols)
    weight_x = torch.stack([1.0 - part[..., 0], part[..., 0]], -1) * ((x >= 0) & (x < grid.cols) & usable)
    weight_y = torch.stack([1.0 - part[..., 1], part[..., 1]], -1) * ((y >= 0) & (y < grid.rows))
    row = y.clamp(0, grid.rows - 1) * grid.cols + grid.start
    index = row[..., :, None] + x.clamp(0, grid.cols - 1)[..., None, :]
    return index.flatten(-2), (weight_y[..., :, None] * weight_x[..., None, :]).flatten(-2)


def gather(values: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Sum weighted tokens of each head: values (B, h, T, c), index and weight (B, N, h, S) give (B, N, h c).

    One fused look-up and sum: nothing of size N x S x c is made.
    """
    batch, heads, tokens, channels = values.shape
    count = index.shape[1]
    first = torch.arange(batch * heads, device=index.device).view(batch, 1, heads, 1) * tokens
    table = values.reshape(batch * heads * tokens, channels)
    bags = (index + first).flatten(0, 2)
    summed = functional.embedding_bag(
        bags, table, mode="sum", per_sample_weights=weight.to(table.dtype).flatten(0, 2)
    )
    return summed.view(batch, count, heads * channels)
