# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network of FG² together with the backbone that feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.fg2 import checkpoint
from cvloc_ros.matching.fg2.network import Fg2Network, GroundTokens
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers import backbone


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is needed from images to matches."""

    network: Fg2Network
    backbone: backbone.Backbone

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained: the network, and the backbone where it is a small one."""
        learned = [*self.network.parameters(), *self.backbone.parameters()]
        return [parameter for parameter in learned if parameter.requires_grad]


def create(settings: Fg2Settings, backbone_weights: Path | str, device: torch.device) -> Model:
    """Make an untrained model.

    Raises:
        ModelError: the backbone or its weights cannot be used.
    """
    if settings.backbone in backbone.OWN:
        made: backbone.Backbone = backbone.OWN[settings.backbone](settings.channels).to(device)
    else:
        made = backbone.create(settings.backbone, backbone_weights, device, normalise=not settings.published)
    if made.channels != settings.channels:
        msg = f"backbone {settings.backbone} has {made.channels} channels, the FG² settings {settings.channels}"
        raise ModelError(msg)
    return Model(Fg2Network(settings).to(device), made)


def open_model(
    path: Path | str, backbone_weights: Path | str, device: torch.device, share: Model | None = None
) -> Model:
    """Read a model; its frozen backbone is that of `share` where it is the same.

    Raises:
        ModelError: weights are missing, damaged or of another model.
    """
    settings, tensors = checkpoint.read(path)
    if settings.backbone not in backbone.OWN and not backbone_weights:
        msg = f"matcher.fg2.backbone_weights is empty; {path} needs DINOv2 {settings.backbone} (see: cvloc weights)"
        raise ModelError(msg)
    fits = share is not None and _alike(share.network.settings, settings) and settings.backbone not in backbone.OWN
    if fits and share is not None:
        model = Model(Fg2Network(settings).to(device), share.backbone)
    else:
        model = create(settings, backbone_weights, device)
    rest, own = checkpoint.split(tensors)
    weights.load_into(model.network, rest, "FG²", path)
    if settings.backbone in backbone.OWN:
        weights.load_into(model.backbone, own, "the backbone of FG²", path)
    model.network.eval()
    model.backbone.eval()
    return model


def save(model: Model, path: Path | str) -> None:
    """Write a model; a frozen backbone is not part of the file.

    Raises:
        ModelError: the file cannot be written.
    """
    own = {checkpoint.BACKBONE + key: value for key, value in model.backbone.state_dict().items()}
    checkpoint.write(path, model.network.settings, {**model.network.state_dict(), **own})


def dry_run(model: Model, device: torch.device) -> Tensor:
    """Run on grey images; return the match probabilities."""
    settings = model.network.settings
    ground = model.backbone(torch.full((1, 3, *settings.ground_size), 0.5, device=device))
    aerial = model.backbone(torch.full((1, 3, settings.aerial_size, settings.aerial_size), 0.5, device=device))
    cells = settings.ground_rows() * settings.cells
    reference = torch.full((1, cells, settings.heights, 2), 0.5, device=device)
    code = model.network.encode_ground([GroundTokens(ground, reference, torch.ones_like(reference[..., 0]) > 0)])
    return model.network.match(model.network.encode_aerial(aerial), code)[1]


def _alike(a: Fg2Settings, b: Fg2Settings) -> bool:
    return (a.backbone, a.published) == (b.backbone, b.published)
