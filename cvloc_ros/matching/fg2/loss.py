# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training loss of FG²: pose of the drawn matches, and contrast between cells."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.losses import info_nce, virtual_correspondence_error, virtual_points
from cvloc_ros.matching.layers.pose import procrustes
from cvloc_ros.matching.layers.sampling import Matches, sample_matches


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """True pose of the plane's origin in the crop: `position` (B, 2) internal metres, `heading` (B,) clockwise."""

    position: Tensor
    heading: Tensor

    def aerial_to_ground(self, *, shifted: bool) -> tuple[Tensor, Tensor]:
        """Rotation (B, 2, 2) and translation (B, 2); `shifted` models learn minus the position as translation."""
        rotation = turn(self.heading)
        if shifted:
            return rotation, -self.position
        return rotation, -(rotation @ self.position[..., None])[..., 0]


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """`total` of the batch; `pose` (B,) in metres and `contrast` (B,) of its items; `ok` (B,) items with a pose."""

    total: Tensor
    pose: Tensor
    contrast: Tensor
    ok: Tensor


def turn(angle: Tensor) -> Tensor:
    """Rotation matrices (B, 2, 2) of angles (B,)."""
    c, s = torch.cos(angle), torch.sin(angle)
    return torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)


def fg2_loss(
    scores: Tensor,
    probability: Tensor,
    truth: Truth,
    settings: Fg2Settings,
    *,
    beta: float = 1.0,
    count: int = 1024,
    generator: torch.Generator | None = None,
) -> Losses:
    """Draw matches and judge the pose they give and the scores at them.

    Published models solve aerial to ground, with the translation that the released program takes for true; mended
    ones ground to aerial. An item without a pose counts with its contrast alone.
    """
    matches = sample_matches(probability, count, generator)
    aerial = settings.aerial_points().to(probability)[matches.aerial]
    ground = settings.ground_points().to(probability)[matches.ground]
    rotation, translation = truth.aerial_to_ground(shifted=settings.published)
    points = virtual_points().to(probability)
    if settings.published:
        found = procrustes(aerial, ground, matches.weight)
        pose = virtual_correspondence_error(found.rotation, found.translation, rotation, translation, points)
    else:
        found = procrustes(ground, aerial, matches.weight)
        pose = virtual_correspondence_error(
            found.rotation, found.translation, rotation.transpose(1, 2), truth.position, points
        )
    pose = torch.where(found.ok, pose, 0.0)
    contrast = cell_contrast(scores, matches, rotation, translation, settings)
    total = pose.sum() / found.ok.sum().clamp_min(1) + beta * contrast.mean()
    return Losses(total, pose, contrast, found.ok)


def cell_contrast(
    scores: Tensor,
    matches: Matches,
    rotation: Tensor,
    translation: Tensor,
    settings: Fg2Settings,
    *,
    wrap_columns: bool = False,
) -> Tensor:
    """InfoNCE (B,) of the drawn matches in both directions; the true pose takes aerial to ground points.

    `wrap_columns` keeps a partner beyond the last column as the first of the next row, as the released KITTI program
    does from aerial to ground.
    """
    centres = settings.centres().to(scores)
    cells = torch.cartesian_prod(centres, centres)
    rows = settings.ground_rows()
    aerial = cells[matches.aerial] @ rotation.transpose(1, 2) + translation[:, None]
    ground = (cells[: rows * settings.cells][matches.ground] - translation[:, None]) @ rotation
    partner, keep = _cell(aerial, settings, rows, wrap_columns=wrap_columns)
    to_ground = info_nce(scores, matches.aerial, partner, keep)
    partner, keep = _cell(ground, settings, settings.cells, wrap_columns=False)
    valid = torch.isfinite(scores.transpose(1, 2)).any(2).gather(1, matches.ground)
    to_aerial = info_nce(scores.transpose(1, 2), matches.ground, partner, keep & valid)
    return 0.5 * (to_ground + to_aerial)


def _cell(points: Tensor, settings: Fg2Settings, rows: int, *, wrap_columns: bool) -> tuple[Tensor, Tensor]:
    """Cell (B, N) that each point (B, N, 2) falls into, and whether there is one."""
    place = torch.round(points / settings.cell_m + (settings.cells - 1) / 2).long()
    index = place[..., 0] * settings.cells + place[..., 1]
    if wrap_columns:
        keep = (index >= 0) & (index < rows * settings.cells)
    else:
        keep = (place >= 0).all(-1) & (place[..., 0] < rows) & (place[..., 1] < settings.cells)
    return torch.where(keep, index, 0), keep
