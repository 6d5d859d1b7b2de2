# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network of ViewBridge together with the backbone that feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.fg2.network import GroundTokens
from cvloc_ros.matching.layers import backbone
from cvloc_ros.matching.viewbridge.network import Scores, ViewBridgeNetwork
from cvloc_ros.matching.viewbridge.settings import ViewBridgeSettings

_BACKBONE = "backbone."


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is needed from images to matches."""

    network: ViewBridgeNetwork
    backbone: backbone.Backbone

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained: the network, and the backbone where it is a small one."""
        learned = [*self.network.parameters(), *self.backbone.parameters()]
        return [parameter for parameter in learned if parameter.requires_grad]


def create(settings: ViewBridgeSettings, backbone_weights: Path | str, device: torch.device) -> Model:
    """Make an untrained model.

    Raises:
        ModelError: the backbone or its weights cannot be used.
    """
    plane = settings.plane
    if plane.backbone in backbone.OWN:
        made: backbone.Backbone = backbone.OWN[plane.backbone](plane.channels).to(device)
    else:
        made = backbone.create(plane.backbone, backbone_weights, device, normalise=True)
    if made.channels != plane.channels:
        msg = f"backbone {plane.backbone} has {made.channels} channels, the ViewBridge settings {plane.channels}"
        raise ModelError(msg)
    return Model(ViewBridgeNetwork(settings).to(device), made)


def open_model(path: Path | str, backbone_weights: Path | str, device: torch.device) -> Model:
    """Read a model.

    Raises:
        ModelError: weights are missing, damaged or of another model.
    """
    settings = ViewBridgeSettings.of_weights(path)
    if settings.plane.backbone not in backbone.OWN and not backbone_weights:
        msg = (
            f"matcher.viewbridge.backbone_weights is empty; {path} needs DINOv2 {settings.plane.backbone} "
            "(see: cvloc weights)"
        )
        raise ModelError(msg)
    tensors = weights.read_tensors(path)
    model = create(settings, backbone_weights, device)
    own = {key.removeprefix(_BACKBONE): value for key, value in tensors.items() if key.startswith(_BACKBONE)}
    rest = {key: value for key, value in tensors.items() if not key.startswith(_BACKBONE)}
    weights.load_into(model.network, rest, "ViewBridge", path)
    if settings.plane.backbone in backbone.OWN:
        weights.load_into(model.backbone, own, "the backbone of ViewBridge", path)
    model.network.eval()
    model.backbone.eval()
    return model


def save(model: Model, path: Path | str) -> None:
    """Write a model; a frozen backbone is not part of the file.

    Raises:
        ModelError: the file cannot be written.
    """
    own = {_BACKBONE + key: value for key, value in model.backbone.state_dict().items()}
    weights.write_tensors(path, {**model.network.state_dict(), **own}, model.network.settings.facts())


def dry_run(model: Model, device: torch.device) -> Scores:
    """Run on grey images."""
    plane = model.network.settings.plane
    ground: Tensor = model.backbone(torch.full((1, 3, *plane.ground_size), 0.5, device=device))
    aerial: Tensor = model.backbone(torch.full((1, 3, plane.aerial_size, plane.aerial_size), 0.5, device=device))
    cells = plane.ground_rows() * plane.cells
    reference = torch.full((1, cells, plane.heights, 2), 0.5, device=device)
    code = model.network.encode_ground([GroundTokens(ground, reference, torch.ones_like(reference[..., 0]) > 0)])
    return model.network.match(model.network.encode_aerial(aerial), code)
