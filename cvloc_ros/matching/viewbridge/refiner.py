# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SimRefiner: corrects the similarity matrix from its own structure, near by and as a whole; and an adaptive dustbin.

`S' = S + confidence * correction` is stated by the source, what is inside of the branches is not. It is chosen such
that a matrix of 1681 x 1681 costs little: work with several numbers for each pair goes piece by piece, and is done
again in the backward pass instead of being kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

_UNIT = 0.1  # scores are cosines over the temperature: this takes them to about -1..1
_ABSENT = -8.0
_FEATURES = 5
_AT_ONCE = {"cpu": 1 << 15, "cuda": 1 << 22}
"""Pairs in a piece: a CPU's cache holds few, a GPU wants many."""


@dataclass(frozen=True, slots=True)
class RefinerSettings:
    """Which parts there are. With no part the refiner is the identity.

    `near` is the local branch, `whole` the global one. `propagate` lets rows (and columns) that look alike share
    their scores. `iterations` repeats all with the same weights.
    """

    near: bool = True
    whole: bool = True
    propagate: bool = False
    iterations: int = 1
    hidden: int = 8
    landmarks: int = 8


class SimRefiner(nn.Module):
    """Maps scores (B, Ns, Ng) to better ones; the identity until it is trained."""

    def __init__(self, aerial: tuple[int, int], ground: tuple[int, int], settings: RefinerSettings) -> None:
        super().__init__()
        self.aerial, self.ground, self.settings = aerial, ground, settings
        self.near = NearBranch(settings.hidden) if settings.near else None
        self.whole = WholeBranch() if settings.whole else None
        self.affinity = AffinityBranch(aerial, ground, settings.landmarks) if settings.propagate else None
        self.parts = settings.near + settings.whole + settings.propagate
        if self.parts:
            self.confidence = Confidence(1 + self.parts, settings.hidden)

    def forward(self, scores: Tensor, valid: Tensor | None = None) -> Tensor:
        """Refine; columns that are not `valid` (B, Ng) take no part and stay -inf."""
        if not self.parts:
            return scores
        mask = torch.ones_like(scores[:, :1], dtype=torch.bool) if valid is None else valid[:, None]
        mask = mask.expand(len(scores), 1, -1)
        scores = torch.where(mask, scores, 0.0)
        for _ in range(self.settings.iterations):
            scores = self._step(scores, mask)
        return scores.masked_fill(~mask, -torch.inf)

    def _step(self, scores: Tensor, mask: Tensor) -> Tensor:
        x = torch.where(mask, scores * _UNIT, 0.0)
        deltas = []
        if self.near is not None:
            deltas.append(self._near(self.near, x))
        if self.whole is not None:
            deltas.append(self.whole(x, mask))
        if self.affinity is not None:
            deltas.append(self.affinity(x))
        parts = [x, *deltas]
        change = in_pieces(self.confidence, [part.flatten(0, 1) for part in parts], x.shape[2])
        return scores + change.view_as(scores)

    def _near(self, branch: NearBranch, x: Tensor) -> Tensor:
        """Run over the ground plane of each aerial cell, and over the aerial plane of each ground cell."""
        batch, rows, cols = x.shape
        over_ground = in_pieces(branch, [x.reshape(-1, *self.ground)], cols).view(batch, rows, cols)
        turned = x.transpose(1, 2).reshape(-1, *self.aerial)
        over_aerial = in_pieces(branch, [turned], rows).view(batch, cols, rows).transpose(1, 2)
        return (over_ground + over_aerial) / 2


class NearBranch(nn.Module):
    """Neighbours of a pair should agree: two 3x3 convolutions over planes (n, h, w), the second one depth-wise."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.last = _zero(nn.Conv2d(hidden, 1, 1))

    def forward(self, planes: Tensor) -> Tensor:
        """Map (n, h, w) to (n, h, w)."""
        x = functional.relu(self.second(functional.relu(self.first(planes[:, None]))))
        out: Tensor = self.last(x)[:, 0]
        return out.float()


class WholeBranch(nn.Module):
    """A row (column) as a whole tells how far its scores can be trusted: one term for each row and each column."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.rows = _small(_FEATURES, hidden)
        self.cols = _small(_FEATURES, hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map scaled scores (B, Ns, Ng), mask (B, 1, Ng), to (B, Ns, Ng)."""
        rows = self.rows(_kept(row_statistics, x, mask))
        cols = self.cols(_kept(column_statistics, x))
        out: Tensor = rows + cols.transpose(1, 2)
        return out.float()


class AffinityBranch(nn.Module):
    """Rows with similar scores get nearer to one another, and columns likewise.

    Affinity propagation is reported for this method without details; here each row attends to means of the rows over
    blocks of the plane (at most `landmarks`² of them), chosen because all pairs of rows would cost a cube of 1681.
    """

    def __init__(self, aerial: tuple[int, int], ground: tuple[int, int], landmarks: int) -> None:
        super().__init__()
        self.aerial, self.ground, self.landmarks = aerial, ground, landmarks
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(10.0)))
        self.amount = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Map scaled scores (B, Ns, Ng) to the change (B, Ns, Ng)."""
        rows = self._propagate(x, self.aerial)
        cols = self._propagate(x.transpose(1, 2), self.ground).transpose(1, 2)
        return self.amount * ((rows + cols) / 2 - x) / _UNIT

    def _propagate(self, x: Tensor, plane: tuple[int, int]) -> Tensor:
        batch, _, length = x.shape
        size = (min(self.landmarks, plane[0]), min(self.landmarks, plane[1]))
        pooled = functional.adaptive_avg_pool2d(x.transpose(1, 2).reshape(batch, length, *plane), size)
        marks = pooled.flatten(2).transpose(1, 2)
        alike = _direction(x) @ _direction(marks).transpose(1, 2)
        return torch.softmax(alike * self.log_sharpness.exp(), 2) @ marks


class Confidence(nn.Module):
    """How much of the corrections is taken over, pair by pair; one half before training."""

    def __init__(self, parts: int, hidden: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(parts, hidden, 1)
        self.last = _zero(nn.Conv2d(hidden, 1, 1))

    def forward(self, *parts: Tensor) -> Tensor:
        """Map scaled scores and corrections, each (n, Ng), to what is added to the scores (n, Ng)."""
        seen = self.first(torch.stack(parts)[None])
        trust = torch.sigmoid(self.last(functional.relu(seen))[0, 0])
        total = parts[1]
        for part in parts[2:]:
            total = total + part
        return trust * total


class AdaptiveDustbin(nn.Module):
    """Score of "no partner" for each row and each column: a learned number, and what the statistics add to it.

    The source names an adaptive dustbin without its form; statistics are chosen because they tell a flat row from a
    peaked one. It is the constant of FG² until it is trained.
    """

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.rows = _small(_FEATURES, hidden)
        self.cols = _small(_FEATURES, hidden)

    def forward(self, scores: Tensor, valid: Tensor | None, base: Tensor) -> tuple[Tensor, Tensor]:
        """Return the bins (B, Ns) and (B, Ng) of scores (B, Ns, Ng); `base` () is added to both."""
        mask = torch.ones_like(scores[:, :1], dtype=torch.bool) if valid is None else valid[:, None]
        mask = mask.expand(len(scores), 1, -1)
        x = torch.where(mask, scores * _UNIT, 0.0)
        rows, cols = _kept(row_statistics, x, mask), _kept(column_statistics, x)
        return base + self.rows(rows)[..., 0].float(), base + self.cols(cols)[..., 0].float()


def dual_softmax(scores: Tensor, row_bin: Tensor, column_bin: Tensor) -> Tensor:
    """Multiply the softmax over rows and over columns of scores (B, Ns, Ng), each with its bin (B, Ns), (B, Ng).

    Columns of -inf give 0.
    """
    absent = torch.isneginf(scores)
    finite = scores.masked_fill(absent, _ABSENT / _UNIT)
    over_ground = torch.logaddexp(torch.logsumexp(scores.masked_fill(absent, -1e30), 2), row_bin)
    over_aerial = torch.logaddexp(torch.logsumexp(finite, 1), column_bin)
    return torch.exp(2.0 * finite - over_ground[:, :, None] - over_aerial[:, None, :]).masked_fill(absent, 0.0)


def row_statistics(x: Tensor, mask: Tensor) -> Tensor:
    """Largest, mean, log-sum-exp, entropy over its maximum, and lead of the best: (B, R, 5) of scaled scores (B, R, C).

    `mask` (B, 1, C) marks the columns that count; rows without any get zeros.
    """
    count = mask.sum(2, keepdim=True)
    present = torch.where(mask, x, _ABSENT)
    best = torch.topk(present, min(2, x.shape[2]), 2).values
    total = torch.logsumexp(present / _UNIT, 2, keepdim=True)
    share = torch.exp(present / _UNIT - total)
    entropy = total - (share * present).sum(2, keepdim=True) / _UNIT
    features = [
        best[..., :1],
        (x * mask).sum(2, keepdim=True) / count.clamp_min(1),
        total * _UNIT,
        entropy / math.log(max(x.shape[2], 2)),
        (best[..., :1] - best[..., -1:]).clamp_max(2.0),
    ]
    return torch.cat(features, 2) * (count > 0)


def column_statistics(x: Tensor) -> Tensor:
    """Return the same of the columns, (B, C, 5)."""
    everything = torch.ones_like(x[:, :, :1], dtype=torch.bool).transpose(1, 2)
    return row_statistics(x.transpose(1, 2), everything)


def in_pieces(function: Callable[..., Tensor], parts: list[Tensor], size: int) -> Tensor:
    """Call a function on pieces of tensors (n, ...) of `size` numbers a row; gradients compute each piece again."""
    step = max(1, _AT_ONCE.get(parts[0].device.type, 1 << 20) // size)
    pieces = zip(*(torch.split(part, step) for part in parts), strict=True)
    return torch.cat([_kept(function, *piece) for piece in pieces])


def _kept(function: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """Call a function and keep none of what it makes for the gradient."""
    if not torch.is_grad_enabled():
        return function(*parts)
    out: Tensor = checkpoint(function, *parts, use_reentrant=False, preserve_rng_state=False)
    return out


def _small(inputs: int, hidden: int) -> nn.Sequential:
    """Two layers, the last of which starts at zero."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), _zero(nn.Linear(hidden, 1)))


def _zero(layer: nn.Module) -> nn.Module:
    """Let a layer start with the output 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _direction(x: Tensor) -> Tensor:
    """Rows (B, R, C) without their mean, of unit length."""
    return functional.normalize(x - x.mean(2, keepdim=True), dim=2, eps=1e-6)
