# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The factor between lifted points and metres, found with the pose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.layers.pose import RansacSettings, procrustes, ransac
from cvloc_ros.matching.layers.sampling import sample_matches

_ROUNDS = 6
_LIMIT = {True: 4.0, False: 1e6}
"""Metric depth is wrong by less than this; a larger factor means that the matches are."""


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """Ground points (N, 2) of tokens in base: `camera + scale * displacement`."""

    displacement: Tensor
    camera: Tensor

    def at(self, scale: float) -> Tensor:
        """Points for a scale, divided by it (N, 2); for an infinite one the cameras are in one place."""
        return self.displacement + self.camera / scale


def recover_scale(
    probability: Tensor,
    aerial: Tensor,
    lifted: Lifted,
    settings: RansacSettings,
    generator: torch.Generator,
    *,
    metric: bool,
) -> float | None:
    """Find the factor on the displacements that fits best; None where the matches leave it open.

    The displacements of all views share one factor. With `settings.sets` = 0 all matches count, as in the published
    evaluation without RANSAC; else those that agree with the best of many hypotheses.

    Args:
        probability: (Ns, Ng).
        aerial: (Ns, 2) metres from a place nearby.
        lifted: points of the Ng tokens.
        settings: counts and distances.
        generator: source of the draws.
        metric: the factor is near 1.
    """
    if not bool((probability > 0).any()):
        return None
    start = 1.0 if metric else math.inf
    if settings.sets:
        found = ransac(
            probability[None], aerial.float(), lifted.at(start)[None].float(), settings, to_aerial=True,
            generator=generator,
        )  # fmt: skip
        matches, weight = found.matches, (found.inliers * found.matches.weight)[0].double()
        ok, scale = bool(found.alignment.ok[0]), float(found.alignment.scale[0])
    else:
        matches = sample_matches(probability[None], settings.matches, generator)
        weight, ok, scale = matches.weight[0].double(), True, start
    source = Lifted(lifted.displacement[matches.ground[0]].double(), lifted.camera[matches.ground[0]].double())
    target = aerial[matches.aerial[0]].double()
    for _ in range(_ROUNDS):  # the cameras' places in units of depth depend on the scale itself
        fitted = procrustes(source.at(scale), target, weight, with_scale=True)
        ok, scale = ok and bool(fitted.ok), float(fitted.scale)
        if not ok or not 1 / _LIMIT[metric] < scale < _LIMIT[metric]:
            return None
    return scale
