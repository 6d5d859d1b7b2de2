# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network of GridLoc together with its two feature extractors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.gridloc.network import GridLocNetwork, Head
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.gridloc.vgg import Vgg16
from cvloc_ros.matching.gridloc.votes import VotingNetwork
from cvloc_ros.matching.layers.backbone import Backbone, ConvBackbone, PyramidBackbone

_PARTS = ("network", "ground", "aerial")


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is needed from images to the head; all of it is trained."""

    network: GridLocNetwork | VotingNetwork
    ground: Backbone
    aerial: Backbone

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained."""
        return [parameter for part in _PARTS for parameter in getattr(self, part).parameters()]

    def train(self, *, mode: bool = True) -> Model:
        """Switch to training or back."""
        for part in _PARTS:
            getattr(self, part).train(mode)
        return self

    def locate(self, ground: Tensor, aerial: Tensor, where: Tensor | None = None) -> Head:
        """Find camera poses of images (B, 3, H, W) in 0..1; `where` as `VotingNetwork.locate`."""
        described = self.network.encode_aerial(self.aerial(aerial))
        return self.network.locate(described, self.network.encode_ground(self.ground(ground)), where)

    def calibrated(self, settings: GridLocSettings) -> Model:
        """Return the model with other settings of the calibration."""
        network = _network(settings).to(next(self.network.parameters()).device)
        network.load_state_dict(self.network.state_dict())
        return dataclasses.replace(self, network=network.train(self.network.training))


def create(settings: GridLocSettings, device: torch.device) -> Model:
    """Make an untrained model.

    Raises:
        ModelError: the backbone is unknown.
    """
    if settings.backbone not in _EXTRACTORS:
        msg = f"GridLoc backbone {settings.backbone!r} is unknown; there are {', '.join(_EXTRACTORS)}"
        raise ModelError(msg)
    ground, aerial = (_EXTRACTORS[settings.backbone](settings.channels) for _ in range(2))
    if ground.channels != settings.channels:
        msg = f"backbone {settings.backbone} has {ground.channels} channels, the GridLoc settings {settings.channels}"
        raise ModelError(msg)
    return Model(_network(settings).to(device), ground.to(device), aerial.to(device))


def _network(settings: GridLocSettings) -> GridLocNetwork | VotingNetwork:
    return VotingNetwork(settings) if settings.fuse == "vote" else GridLocNetwork(settings)


class _Pooled(PyramidBackbone):
    """The extractor that FG² and ViewBridge train, its tokens averaged to patches of 16."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.patch = 16

    def forward(self, image: Tensor) -> Tensor:
        """Compute tokens."""
        return functional.avg_pool2d(super().forward(image), 4)


_EXTRACTORS: dict[str, Callable[[int], Backbone]] = {
    "conv": lambda channels: ConvBackbone(channels, 16),
    "fine": PyramidBackbone,
    "pyramid": _Pooled,
    "vgg16": lambda _: Vgg16(),
}


def open_model(path: Path | str, device: torch.device) -> Model:
    """Read a model.

    Raises:
        ModelError: weights are missing, damaged or of another model.
    """
    model = create(GridLocSettings.of_weights(path), device)
    tensors = weights.read_tensors(path)
    weights.check(tensors, {key: tuple(value.shape) for key, value in _state(model).items()}, "GridLoc", path)
    for part in _PARTS:
        own = {key.removeprefix(f"{part}."): value for key, value in tensors.items() if key.startswith(f"{part}.")}
        getattr(model, part).load_state_dict(own)
    return model.train(mode=False)


def save(model: Model, path: Path | str) -> None:
    """Write a model.

    Raises:
        ModelError: the file cannot be written.
    """
    weights.write_tensors(path, _state(model), model.network.settings.facts())


def _state(model: Model) -> dict[str, Tensor]:
    return {f"{part}.{key}": value for part in _PARTS for key, value in getattr(model, part).state_dict().items()}
