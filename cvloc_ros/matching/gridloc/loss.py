# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training loss of GridLoc, and the calibration of a trained model."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cvloc_ros.matching.gridloc.grid import Labels
from cvloc_ros.matching.gridloc.network import Head
from cvloc_ros.matching.gridloc.settings import GridLocSettings

_HOTTEST = 20.0
_LEAST_SIGMA = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Losses (B,), 0 for poses outside of the grid."""

    total: Tensor
    entropy: Tensor
    offset: Tensor


def loss(head: Head, labels: Labels, settings: GridLocSettings, weight: float = 5.0) -> Loss:
    """Cross-entropy of the true class, and smooth L1 of the offsets at the true class.

    The weight of the offsets is not stated by the source; 5 is chosen so that an offset wrong by half a cell costs as
    much as a class of half the probability it should have.
    """
    entropy = functional.cross_entropy(head.logits.flatten(1), _class(head, labels), reduction="none")
    item = torch.arange(len(labels.cell), device=labels.cell.device)
    found = head.offset[item, labels.cell]
    offset = functional.smooth_l1_loss(found, labels.offset.to(found), reduction="none", beta=0.25).sum(1)
    if settings.yaw_bins:
        turn = head.turn[item, labels.cell, labels.bin]
        offset = offset + functional.smooth_l1_loss(turn, labels.turn.to(turn), reduction="none", beta=0.25)
    if not settings.regression:
        offset = torch.zeros_like(entropy)
    entropy, offset = entropy * labels.inside, offset * labels.inside
    return Loss(entropy + weight * offset, entropy, offset)


def calibrate(head: Head, labels: Labels, settings: GridLocSettings) -> GridLocSettings:
    """Find the temperature with the least cross-entropy on samples that were not trained on, and spread of the offsets.

    The sigmas are the standard deviations of the offset errors at the true class.
    """
    use = labels.inside
    logits, true = head.logits.flatten(1)[use].double(), _class(head, labels)[use]
    if not len(true):
        return settings
    low, high = math.log(1.0 / _HOTTEST), math.log(_HOTTEST)
    for _ in range(60):  # the cross-entropy has one minimum along the inverse temperature
        a, b = low + (high - low) / 3, high - (high - low) / 3
        if _entropy(logits, true, a) < _entropy(logits, true, b):
            high = b
        else:
            low = a
    item = torch.arange(len(use), device=use.device)
    off = (head.offset[item, labels.cell] - labels.offset.to(head.offset))[use]
    turn = (head.turn[item, labels.cell, labels.bin] - labels.turn.to(head.turn))[use]
    sigma = max(float(off.square().mean().sqrt()), _LEAST_SIGMA)
    sigma_bins = max(float(turn.square().mean().sqrt()), _LEAST_SIGMA) if settings.yaw_bins else settings.sigma_bins
    temperature = math.exp((low + high) / 2)
    return dataclasses.replace(settings, temperature=temperature, sigma_cells=sigma, sigma_bins=sigma_bins)


def _class(head: Head, labels: Labels) -> Tensor:
    return labels.cell * head.logits.shape[2] + labels.bin


def _entropy(logits: Tensor, true: Tensor, log_temperature: float) -> float:
    return float(functional.cross_entropy(logits / math.exp(log_temperature), true))
