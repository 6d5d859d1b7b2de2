# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Losses on poses and on matches."""

from __future__ import annotations

import torch
from torch import Tensor

from cvloc_ros.matching.layers.sampling import first_occurrence


def virtual_points(half_m: float = 2.5, side: int = 10) -> Tensor:
    """Points (side², 2) on a square of half side `half_m`, ends included."""
    axis = torch.linspace(-half_m, half_m, side)
    return torch.cartesian_prod(axis, axis)


def virtual_correspondence_error(
    rotation: Tensor, translation: Tensor, true_rotation: Tensor, true_translation: Tensor, points: Tensor
) -> Tensor:
    """Mean distance (B,), metres, between points (M, 2) moved by the pose and by the true one.

    Rotations are (B, 2, 2) and turn column vectors, translations (B, 2).
    """
    moved = points @ rotation.transpose(1, 2) + translation[:, None]
    truth = points @ true_rotation.transpose(1, 2) + true_translation[:, None]
    error: Tensor = torch.linalg.vector_norm(moved - truth, dim=2).mean(1)
    return error


def info_nce(
    scores: Tensor, rows: Tensor, partners: Tensor, keep: Tensor, negatives: Tensor | None = None
) -> Tensor:
    """Contrast the true partner of some rows with all columns: the mean of -log softmax over each row, (B,).

    Args:
        scores: (B, R, C), -inf where nothing can match.
        rows: (B, N) the rows; of equal ones the first that is kept counts.
        partners: (B, N) the true column of each.
        keep: (B, N), False for rows whose partner is out of range.
        negatives: (B, N, C), columns that each row is contrasted with beside its partner; None: all.

    Returns:
        (B,), 0 where nothing is kept.
    """
    used = first_occurrence(rows, keep)
    partner = torch.where(used, partners, 0)
    picked = scores.gather(1, rows[..., None].expand(-1, -1, scores.shape[2]))
    used = used & torch.isfinite(picked.gather(2, partner[..., None])[..., 0])
    picked = torch.where(used[..., None], picked, 0.0)
    if negatives is not None:
        picked = picked.masked_fill(~negatives.scatter(2, partner[..., None], value=True), -torch.inf)
    loss = torch.logsumexp(picked, 2) - picked.gather(2, partner[..., None])[..., 0]
    return torch.where(used, loss, 0.0).sum(1) / used.sum(1).clamp_min(1)
