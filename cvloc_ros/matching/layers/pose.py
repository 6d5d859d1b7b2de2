# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Planar poses of matched points, in batches: weighted Procrustes, with or without scale, and RANSAC."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.layers.sampling import Matches, draw_distinct, draw_many, matches_at

_TINY = 1e-16


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """`target ~ scale * source @ rotation.T + translation`: (..., 2, 2), (..., 2), (...), and `ok` (...).

    Where `ok` is False the points define no pose, and the identity stands in its place.
    """

    rotation: Tensor
    translation: Tensor
    scale: Tensor
    ok: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Move points (..., N, 2)."""
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]

    def where(self, choose: Tensor, other: Alignment) -> Alignment:
        """Take this alignment where `choose` (...) is True, the other elsewhere."""
        return Alignment(
            torch.where(choose[..., None, None], self.rotation, other.rotation),
            torch.where(choose[..., None], self.translation, other.translation),
            torch.where(choose, self.scale, other.scale),
            torch.where(choose, self.ok, other.ok),
        )


@dataclass(frozen=True, slots=True)
class RansacSettings:
    """Published counts: `sets` x `trials` hypotheses of 3 matches, each set drawn anew from the probabilities."""

    sets: int = 20
    trials: int = 100
    matches: int = 8192
    soft_m: float = 5.0
    inlier_m: float = 2.5
    refinements: int = 4
    with_scale: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RansacResult:
    """Best pose of each item, its matches (B, N), which of them agree (B, N), and the soft count of those (B,)."""

    alignment: Alignment
    matches: Matches
    inliers: Tensor
    score: Tensor


def procrustes(
    source: Tensor, target: Tensor, weight: Tensor | None = None, *, with_scale: bool = False, collinear: bool = True
) -> Alignment:
    """Find the rotation, translation (and scale) that takes source points to target points, least squares.

    Closed form in the plane, differentiable, the proper rotation that an SVD finds. Degenerate items (fewer than two
    distinct points with weight, no direction in common) are marked one by one.

    Args:
        source: (..., N, 2).
        target: (..., N, 2).
        weight: (..., N), not negative; None: all 1.
        with_scale: estimate a scale too, else it is 1.
        collinear: False refuses points on one line, too, as the published solvers do.
    """
    weight = torch.ones_like(source[..., 0]) if weight is None else weight
    share = weight / (weight.abs().sum(-1, keepdim=True) + _TINY)
    centre_s, centre_t = ((share[..., None] * points).sum(-2) for points in (source, target))
    a, b = source - centre_s[..., None, :], target - centre_t[..., None, :]
    moments = (share[..., None] * a).transpose(-1, -2) @ b
    cosine = moments[..., 0, 0] + moments[..., 1, 1]
    sine = moments[..., 0, 1] - moments[..., 1, 0]
    spread = (share[..., None] * a * a).sum((-1, -2))
    extent = (share[..., None] * b * b).sum((-1, -2))
    eps = torch.finfo(source.dtype).eps
    floor = (4.0 * eps * torch.sqrt(spread.detach() * extent.detach())).clamp_min(_TINY)
    ok = torch.isfinite(cosine) & torch.isfinite(sine) & (cosine**2 + sine**2 > floor**2)
    if not collinear:
        smaller = (moments[..., 0, 0] * moments[..., 1, 1] - moments[..., 0, 1] * moments[..., 1, 0]).abs()
        ok = ok & (smaller > 2.0 * eps * (moments**2).sum((-1, -2)))
    cosine, sine = torch.where(ok, cosine, 1.0), torch.where(ok, sine, 0.0)
    length = torch.hypot(cosine, sine)
    c, s = cosine / length, sine / length
    rotation = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
    scale = length / torch.where(ok, spread, 1.0) if with_scale else torch.ones_like(length)
    scale = torch.where(ok, scale, 1.0)
    moved = scale[..., None] * (rotation @ centre_s[..., None])[..., 0]
    translation = torch.where(ok[..., None], centre_t - moved, 0.0)
    return Alignment(rotation, translation, scale, ok)


def ransac(
    probability: Tensor,
    aerial_xy: Tensor,
    ground_xy: Tensor,
    settings: RansacSettings,
    *,
    to_aerial: bool,
    generator: torch.Generator | None = None,
) -> RansacResult:
    """Draw hypotheses from the probabilities (B, Ns, Ng) and keep the one most matches agree with.

    Args:
        probability: of every pair.
        aerial_xy: (Ns, 2) or (B, Ns, 2), metres.
        ground_xy: (Ng, 2) or (B, Ng, 2), metres.
        settings: counts and distances.
        to_aerial: True solves ground to aerial, False aerial to ground.
        generator: source of the draws.
    """
    index = draw_many(probability.flatten(1), settings.sets, settings.matches, generator)
    weight = probability.flatten(1)[:, None].expand(-1, settings.sets, -1).gather(2, index)
    triples = draw_triples(weight, settings.trials, generator)
    return ransac_with(probability, index, triples, aerial_xy, ground_xy, settings, to_aerial=to_aerial)


def ransac_with(
    probability: Tensor,
    index: Tensor,
    triples: Tensor,
    aerial_xy: Tensor,
    ground_xy: Tensor,
    settings: RansacSettings,
    *,
    to_aerial: bool,
) -> RansacResult:
    """As `ransac`, with given draws: flat pairs (B, sets, N), positions in them (B, sets, trials, 3)."""
    best = _try(probability, index, triples, 0, aerial_xy, ground_xy, settings, to_aerial=to_aerial)
    for which in range(1, index.shape[1]):
        other = _try(probability, index, triples, which, aerial_xy, ground_xy, settings, to_aerial=to_aerial)
        best = best.better(other)
    alignment, pairs = best.alignment, matches_at(probability, best.index)
    source, target = _ends(pairs, aerial_xy, ground_xy, to_aerial=to_aerial)
    alignment, inliers = refine(alignment, source, target, settings)
    count = torch.where(alignment.ok, soft_count(_one(alignment), source, target, settings.inlier_m)[:, 0], 0.0)
    return RansacResult(alignment, pairs, inliers, count)


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """Best hypothesis so far of each item, its score (B,) and the flat pairs (B, N) that it was drawn from."""

    score: Tensor
    alignment: Alignment
    index: Tensor

    def better(self, other: _Best) -> _Best:
        choose = other.score > self.score
        return _Best(
            torch.where(choose, other.score, self.score),
            other.alignment.where(choose, self.alignment),
            torch.where(choose[:, None], other.index, self.index),
        )


def _try(
    probability: Tensor,
    index: Tensor,
    triples: Tensor,
    which: int,
    aerial_xy: Tensor,
    ground_xy: Tensor,
    settings: RansacSettings,
    *,
    to_aerial: bool,
) -> _Best:
    pairs = matches_at(probability, index[:, which])
    source, target = _ends(pairs, aerial_xy, ground_xy, to_aerial=to_aerial)
    hypotheses = solve_triples(source, target, triples[:, which], settings)
    score, place = soft_count(hypotheses, source, target, settings.soft_m).max(1)
    return _Best(score, _pick(hypotheses, place), index[:, which])


def draw_triples(weight: Tensor, trials: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw three different positions (..., trials, 3) of matches (..., N), chances proportional to their weight.

    Eight are drawn with replacement and the first three different ones kept; where there are none (few matches carry
    nearly all weight) the slower race goes on from them.
    """
    total = torch.cumsum(weight, -1, dtype=torch.float64)
    shape = (*weight.shape[:-1], trials * 8)
    uniform = torch.rand(shape, dtype=torch.float64, device=weight.device, generator=generator)
    drawn = torch.searchsorted(total, uniform * total[..., -1:], right=True).clamp_max(weight.shape[-1] - 1)
    drawn = drawn.reshape(*weight.shape[:-1], trials, 8)
    earlier = torch.ones(8, 8, dtype=torch.bool, device=weight.device).tril(-1)
    again = ((drawn[..., :, None] == drawn[..., None, :]) & earlier).any(-1)
    order = torch.sort(again.to(torch.uint8), dim=-1, stable=True).indices[..., :3]
    triples: Tensor = drawn.gather(-1, order)
    short = ((~again).sum(-1) < 3).nonzero()
    for rows in (short[i : i + 256] for i in range(0, len(short), 256)):
        where = tuple(rows.T)
        given = weight[where[:-1]].expand(len(rows), -1)
        triples[where] = draw_distinct(given, 3, generator, drawn[where])
    return triples


def solve_triples(source: Tensor, target: Tensor, triples: Tensor, settings: RansacSettings) -> Alignment:
    """Pose of every triple (B, trials, 3) of the matches (B, N, 2), unweighted; collinear ones are not ok."""
    batch, trials, _ = triples.shape
    flat = triples.flatten(1)[..., None].expand(-1, -1, 2)
    ends = (points.gather(1, flat).view(batch, trials, 3, 2) for points in (source, target))
    return procrustes(*ends, with_scale=settings.with_scale, collinear=False)


def soft_count(hypotheses: Alignment, source: Tensor, target: Tensor, threshold_m: float) -> Tensor:
    """Sum of sigmoid(5 (1 - d / threshold)) over the matches (B, N, 2), for each hypothesis (B, H); -inf if not ok."""
    moved_x, moved_y = _moved(hypotheses, source)
    distance: Tensor = torch.sqrt((moved_x - target[:, None, :, 0]) ** 2 + (moved_y - target[:, None, :, 1]) ** 2)
    score: Tensor = torch.sigmoid(5.0 - (5.0 / threshold_m) * distance).sum(-1)
    return torch.where(hypotheses.ok, score, -torch.inf)


def refine(start: Alignment, source: Tensor, target: Tensor, settings: RansacSettings) -> tuple[Alignment, Tensor]:
    """Refit to the matches within `inlier_m` while their number grows, item by item.

    Also return which are within it of the final pose (B, N).
    """
    count = torch.full_like(start.scale, 3.0)
    alignment = start
    near = _near(start, source, target, settings.inlier_m)
    for _ in range(settings.refinements):
        number = near.sum(-1).to(count)
        better = (number > count) & alignment.ok
        if not bool(better.any()):
            break
        fitted = procrustes(source, target, near.to(source), with_scale=settings.with_scale)
        better = better & fitted.ok
        alignment = fitted.where(better, alignment)
        count = torch.where(better, number, count)
        near = _near(alignment, source, target, settings.inlier_m)
    return alignment, near


def _near(alignment: Alignment, source: Tensor, target: Tensor, limit_m: float) -> Tensor:
    distance: Tensor = torch.linalg.vector_norm(alignment.apply(source) - target, dim=-1)
    return (distance <= limit_m) & alignment.ok[..., None]


def _moved(hypotheses: Alignment, source: Tensor) -> tuple[Tensor, Tensor]:
    """Both coordinates (B, H, N) of the source points (B, N, 2) under every hypothesis (B, H)."""
    matrix = hypotheses.scale[..., None, None] * hypotheses.rotation
    x, y = source[:, None, :, 0], source[:, None, :, 1]
    return (
        torch.addcmul(matrix[..., 0, 0, None] * x + hypotheses.translation[..., 0, None], matrix[..., 0, 1, None], y),
        torch.addcmul(matrix[..., 1, 0, None] * x + hypotheses.translation[..., 1, None], matrix[..., 1, 1, None], y),
    )


def _ends(pairs: Matches, aerial_xy: Tensor, ground_xy: Tensor, *, to_aerial: bool) -> tuple[Tensor, Tensor]:
    aerial, ground = take(aerial_xy, pairs.aerial), take(ground_xy, pairs.ground)
    return (ground, aerial) if to_aerial else (aerial, ground)


def take(points: Tensor, index: Tensor) -> Tensor:
    """Points (B, N, 2) at index (B, N) of points (M, 2) or (B, M, 2)."""
    if points.ndim == 2:
        return points[index]
    return points.gather(1, index[..., None].expand(-1, -1, 2))


def _pick(hypotheses: Alignment, place: Tensor) -> Alignment:
    item = torch.arange(len(place), device=place.device)
    return Alignment(
        hypotheses.rotation[item, place],
        hypotheses.translation[item, place],
        hypotheses.scale[item, place],
        hypotheses.ok[item, place],
    )


def _one(alignment: Alignment) -> Alignment:
    return Alignment(
        alignment.rotation[:, None], alignment.translation[:, None], alignment.scale[:, None], alignment.ok[:, None]
    )
