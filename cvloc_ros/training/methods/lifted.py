# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Inputs of methods that lift views into a plane, FG² and ViewBridge, made as their matchers make them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.datasets.sample import Sample
from cvloc_ros.matching.fg2.loss import Truth
from cvloc_ros.matching.fg2.network import GroundTokens
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.fg2.views import Prepared, choose, forward_in_base, prepare
from cvloc_ros.matching.layers.aerial import Crop, cell_validity, crop_near, cut, to_device
from cvloc_ros.matching.layers.backbone import Backbone
from cvloc_ros.matching.layers.views import looking, roll, roll_to_north
from cvloc_ros.training.methods.method import Batch, stack
from cvloc_ros.types import GroundView, Pose2, SearchWindow

_CPU = torch.device("cpu")
_NOWHERE = -2.0


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """What a matcher lays out for a frame: the views it takes, how they see the plane, the crop, the plane in base."""

    chosen: tuple[GroundView, ...]
    parts: tuple[Prepared, ...]
    crop: Crop
    plane: Pose2


def lay_out(views: Sequence[GroundView], settings: Fg2Settings, most: int, window: SearchWindow) -> Laid | None:
    """Do what `Fg2Matcher` does before its network; None without a view."""
    yaw_rad = window.centre.yaw_rad
    chosen = [views[index] for index in choose(views, settings, most)]
    if not chosen:
        return None
    rolls = [roll_to_north(view, yaw_rad) if settings.align == "roll" else 0 for view in chosen]
    parts = tuple(prepare(view, settings, _CPU, by) for view, by in zip(chosen, rolls, strict=True))
    forward = forward_in_base(chosen[0], settings, rolls[0])
    north = settings.align == "north" or (settings.align == "roll" and parts[0].wraps)
    crop = crop_near(window.centre.xy, None if north else yaw_rad + forward)
    plane = Pose2(0.0, 0.0, 0.0)
    if settings.published:
        first = roll(chosen[0], rolls[0]) if rolls[0] else chosen[0]
        plane = first.T_ref_base @ Pose2.at(first.T_base_camera[:2, 3], looking(first.T_base_camera))
    return Laid(tuple(chosen), parts, crop, plane)


def example_of(laid: Laid, sample: Sample, settings: Fg2Settings) -> Batch | None:
    """Cut the crop, and find the truth in its frame; None where no view sees the plane or no imagery is there."""
    if not any(bool(part.visible.any()) for part in laid.parts):
        return None
    image, valid = cut(to_device(sample.patch, _CPU), laid.crop, settings.extent_m, settings.aerial_size)
    imagery = cell_validity(valid, settings.cells)
    if not bool(imagery.any()):
        return None
    plane = sample.pose @ laid.plane
    return {
        "views": [
            {"image": part.image[0], "reference": part.reference[0], "visible": part.visible[0], "wraps": part.wraps}
            for part in laid.parts
        ],
        "aerial": image[0],
        "imagery": imagery,
        "position": torch.from_numpy(laid.crop.from_map(plane.xy)).float(),
        "heading": torch.tensor(laid.crop.turn_rad + math.pi / 2 - plane.yaw_rad).float(),
    }


def collate(examples: Sequence[Batch]) -> Batch:
    """Put samples together; those with fewer views get ones that see nothing. Panoramas stand apart."""
    views = []
    for wraps in (False, True):
        of = [[view for view in example["views"] if view["wraps"] is wraps] for example in examples]
        some = next((view for own in of for view in own), None)
        for slot in range(max(map(len, of))):
            filled = [own[slot] if slot < len(own) else _blind(some) for own in of]
            views.append({**stack(filled, ("image", "reference", "visible")), "wraps": wraps})
    return {"views": views, **stack(examples, ("aerial", "imagery", "position", "heading"))}


def tokens_of(batch: Batch, backbone: Backbone) -> list[GroundTokens]:
    """Run the backbone over all views of a batch at once."""
    views = batch["views"]
    count = len(views[0]["image"])
    tokens = backbone(torch.cat([view["image"] for view in views])).float()
    return [
        GroundTokens(part, view["reference"], view["visible"], bool(view["wraps"]))
        for part, view in zip(tokens.split(count), views, strict=True)
    ]


def seen(probability: Tensor, batch: Batch) -> Tensor:
    """Take away what lies on no imagery, as the matchers do."""
    return torch.nan_to_num(probability * batch["imagery"][:, :, None])


def truth_of(batch: Batch) -> Truth:
    """Return the true pose of the plane in the crops."""
    return Truth(batch["position"], batch["heading"])


def single(function: Callable[[], dict[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    """Run in single precision."""
    with torch.autocast(device.type, enabled=False):
        return function()


def _blind(like: Batch | None) -> Batch:
    if like is None:
        return {}
    return {
        "image": torch.full_like(like["image"], 0.5),
        "reference": torch.full_like(like["reference"], _NOWHERE),
        "visible": torch.zeros_like(like["visible"]),
    }
