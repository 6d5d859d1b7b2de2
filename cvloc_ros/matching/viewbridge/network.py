# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network of ViewBridge from backbone tokens to match probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens, LiftingRound
from cvloc_ros.matching.viewbridge.refiner import AdaptiveDustbin, SimRefiner, dual_softmax
from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings
from cvloc_ros.matching.viewbridge.surface import Surface, SurfaceModel


@dataclass(frozen=True, slots=True, eq=False)
class GroundCode:
    """Descriptors (B, D, N) of the plane, cells with evidence (B or 1, N), and the surface of the last round."""

    descriptors: Tensor
    valid: Tensor
    surface: Surface


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """`raw` similarities, `refined` ones and `probability` of each pair, all (B, cells², N)."""

    raw: Tensor
    refined: Tensor
    probability: Tensor


class ViewBridgeNetwork(nn.Module):
    """Learned part of ViewBridge; a frozen backbone stays outside.

    The lifting and the projectors are those of FG² with a Surface Model in every round. The source counts six blocks
    in its "planar context modules" without their form; the projector's three residual and three attention blocks are
    taken for them. How the aerial branch takes its learned map is not stated either: it is added to the tokens and
    starts at zero, so that training starts from the aerial side of FG².
    """

    def __init__(self, settings: ViewBridgeSettings) -> None:
        super().__init__()
        self.settings = settings
        plane = settings.plane
        self.plane = Fg2Network(plane)
        self.model = SurfaceModel(plane.heights, settings.threshold, settings.softness, settings.renormalise)
        for step in self.plane.rounds:
            if isinstance(step, LiftingRound):
                step.cross_attention.reweigh = self.model.cut
        if settings.aerial_queries:
            self.aerial_queries = nn.Parameter(torch.zeros(plane.channels, plane.cells, plane.cells))
        self.refiner = SimRefiner((plane.cells, plane.cells), (plane.ground_rows(), plane.cells), settings.refiner)
        if settings.adaptive_dustbin:
            self.dustbin = AdaptiveDustbin()
        self._heights: Tensor
        heights = torch.linspace(plane.height_min_m, plane.height_max_m, plane.heights)
        self.register_buffer("_heights", heights, persistent=False)

    def encode_aerial(self, tokens: Tensor) -> Tensor:
        """Descriptors (B, D, cells²) of aerial tokens (B, C, h, w)."""
        size = (self.settings.plane.cells,) * 2
        resized = functional.interpolate(tokens, size, mode="bilinear", align_corners=False)
        if self.settings.aerial_queries:
            resized = resized + self.aerial_queries
        descriptors: Tensor = self.plane.aerial_projector(resized)
        return descriptors.flatten(2)

    def encode_ground(self, images: Sequence[GroundTokens]) -> GroundCode:
        """Lift one or several images into the plane, up to the surface."""
        rows, cols = self.settings.plane.ground_rows(), self.settings.plane.cells
        features, chosen = self.plane.lift(images)
        plane = features.transpose(1, 2).reshape(len(features), -1, rows, cols)
        descriptors: Tensor = self.plane.ground_projector(plane)
        visible = torch.cat([image.visible for image in images], 2)
        surface = self.model.surface(chosen.logits, visible, self._heights)
        return GroundCode(descriptors.flatten(2), visible.any(2), surface)

    def match(self, aerial: Tensor, ground: GroundCode) -> Scores:
        """Compare, refine and normalise, in single precision; columns without evidence are -inf and 0."""
        with torch.autocast(aerial.device.type, enabled=False):
            cosine = aerial.float().transpose(1, 2) @ ground.descriptors.float()
            raw = (cosine / self.settings.plane.temperature).masked_fill(~ground.valid[:, None], -torch.inf)
            valid = ground.valid.expand(len(raw), -1)
            refined = self.refiner(raw, valid)
            base = self.plane.matching.dustbin_score.float()
            if self.settings.adaptive_dustbin:
                bins = self.dustbin(refined, valid, base)
            else:
                bins = base.expand(refined.shape[:2]), base.expand(len(refined), refined.shape[2])
            return Scores(raw, refined, dual_softmax(refined, *bins))
