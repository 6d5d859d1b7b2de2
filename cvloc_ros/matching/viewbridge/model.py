# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network of ViewBridge together with the backbone that feeds it."""

from __future__ import annotations

from pathlib import Path

import torch

from cvloc_ros.matching import weights
from cvloc_ros.matching.layers.backbone import OWN
from cvloc_ros.matching.layers.model import Fed, create_backbone
from cvloc_ros.matching.viewbridge.network import ViewBridgeNetwork
from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings

Model = Fed[ViewBridgeNetwork]


def create(settings: ViewBridgeSettings, backbone_weights: Path | str, device: torch.device) -> Model:
    """Make an untrained model.

    Raises:
        ModelError: the backbone or its weights cannot be used.
    """
    plane = settings.plane
    made = create_backbone(plane.backbone, plane.channels, backbone_weights, device, "ViewBridge")
    return Model(ViewBridgeNetwork(settings).to(device), made)


def open_model(path: Path | str, backbone_weights: Path | str, device: torch.device) -> Model:
    """Read a model.

    Raises:
        ModelError: weights are missing, damaged or of another model.
    """
    settings = ViewBridgeSettings.of_weights(path)
    if settings.plane.backbone not in OWN:
        remedy = f"{path} needs DINOv2 {settings.plane.backbone} (see: cvloc weights)"
        weights.named(backbone_weights, "matcher.viewbridge.backbone_weights", remedy)
    tensors = weights.read_tensors(path)
    model = create(settings, backbone_weights, device)
    model.load(tensors, "ViewBridge", path)
    return model.eval()


def save(model: Model, path: Path | str) -> None:
    """Write a model; a frozen backbone is not part of the file.

    Raises:
        ModelError: the file cannot be written.
    """
    weights.write_tensors(path, model.state_dict(), model.network.settings.facts())
