# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera views as the network takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.matching.fg2.network import GroundTokens
from cvloc_ros.matching.fg2.projection import inside, unmasked, usable, view_reference, volume_in_base
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.backbone import Backbone
from cvloc_ros.matching.layers.views import looking, roll, to_tensor, unrolled
from cvloc_ros.types import F64, GroundView


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One view: image (1, 3, h, w), references and visibility on the device, pixels (N, heights, 2) in the camera."""

    image: Tensor
    reference: Tensor
    visible: Tensor
    uv: F64
    wraps: bool

    def with_tokens(self, tokens: Tensor) -> GroundTokens:
        """Join with the tokens (1, C, h, w) of its image."""
        return GroundTokens(tokens, self.reference, self.visible, self.wraps)


def choose(views: Sequence[GroundView], settings: Fg2Settings, most: int) -> list[int]:
    """Which views a model takes: the first of the current ones in published mode, the newest few in mended mode."""
    order = sorted(range(len(views)), key=lambda i: -views[i].stamp_ns)
    return order[:1] if settings.published else order[:most]


def prepare(view: GroundView, settings: Fg2Settings, device: torch.device, roll_px: int = 0) -> Prepared:
    """Resize the image and find the volume in it; `roll_px` columns of a panorama move from its left to its right."""
    rolled = roll(view, roll_px) if roll_px else view
    reference, uv = view_reference(settings, rolled)
    known = torch.from_numpy(reference).to(device, torch.float32)[None]
    seen = torch.from_numpy((unmasked if settings.published else usable)(rolled, uv)).to(device)[None]
    if settings.published:
        seen = seen & inside(known)
    if roll_px:
        uv = unrolled(uv, roll_px, view.camera.width)
    panorama = view.camera.kind == "equirectangular"
    return Prepared(to_tensor(rolled.rgb, settings.ground_size, device), known, seen, uv, panorama)


def grey(backbone: Backbone, settings: Fg2Settings, device: torch.device) -> tuple[GroundTokens, Tensor]:
    """Return tokens of grey images, of a view and of the map, to run a network once."""
    ground, aerial = (
        backbone(torch.full((1, 3, *size), 0.5, device=device))
        for size in (settings.ground_size, (settings.aerial_size, settings.aerial_size))
    )
    reference = torch.full((1, settings.ground_rows() * settings.cells, settings.heights, 2), 0.5, device=device)
    return GroundTokens(ground, reference, torch.ones_like(reference[..., 0]) > 0), aerial


def ground_in_base(view: GroundView, settings: Fg2Settings, roll_px: int = 0) -> F64:
    """Plane points (N, 2) in base at the reference stamp, metres."""
    points = volume_in_base(settings, roll(view, roll_px) if roll_px else view)[:, 0, :2]
    if settings.published:
        moved: F64 = view.T_ref_base.apply(points)
        return moved
    return points


def forward_in_base(view: GroundView, settings: Fg2Settings, roll_px: int = 0) -> float:
    """Direction of the plane's forward axis, counter-clockwise from x of base at the reference stamp."""
    if not settings.published:
        return 0.0
    rolled = roll(view, roll_px) if roll_px else view
    return looking(rolled.T_base_camera) + view.T_ref_base.yaw_rad
