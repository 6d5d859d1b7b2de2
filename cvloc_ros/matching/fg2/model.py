# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network of FG² together with the backbone that feeds it."""

from __future__ import annotations

from pathlib import Path

import torch

from cvloc_ros.matching import weights
from cvloc_ros.matching.fg2 import checkpoint
from cvloc_ros.matching.fg2.network import Fg2Network
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.backbone import OWN
from cvloc_ros.matching.layers.model import Fed, create_backbone

Model = Fed[Fg2Network]


def create(settings: Fg2Settings, backbone_weights: Path | str, device: torch.device) -> Model:
    """Make an untrained model.

    Raises:
        ModelError: the backbone or its weights cannot be used.
    """
    made = create_backbone(
        settings.backbone, settings.channels, backbone_weights, device, "FG²", normalise=not settings.published
    )
    return Model(Fg2Network(settings).to(device), made)


def open_model(
    path: Path | str, backbone_weights: Path | str, device: torch.device, share: Model | None = None
) -> Model:
    """Read a model; its frozen backbone is that of `share` where it is the same.

    Raises:
        ModelError: weights are missing, damaged or of another model.
    """
    settings, tensors = checkpoint.read(path)
    frozen = settings.backbone not in OWN
    if frozen:
        remedy = f"{path} needs DINOv2 {settings.backbone} (see: cvloc weights)"
        weights.named(backbone_weights, "matcher.fg2.backbone_weights", remedy)
    if frozen and share is not None and _alike(share.network.settings, settings):
        model = Model(Fg2Network(settings).to(device), share.backbone)
    else:
        model = create(settings, backbone_weights, device)
    model.load(tensors, "FG²", path)
    return model.eval()


def save(model: Model, path: Path | str) -> None:
    """Write a model; a frozen backbone is not part of the file.

    Raises:
        ModelError: the file cannot be written.
    """
    checkpoint.write(path, model.network.settings, model.state_dict())


def _alike(a: Fg2Settings, b: Fg2Settings) -> bool:
    return (a.backbone, a.published) == (b.backbone, b.published)
