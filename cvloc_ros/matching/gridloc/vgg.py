# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The convolutional part of VGG-16 (Simonyan and Zisserman 2015), with the usual names of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cvloc_ros.matching import weights
from cvloc_ros.matching.layers.backbone import Backbone

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
"""Convolutions of this width, 0 for a pooling."""


class Vgg16(Backbone):
    """Images (B, 3, H, W) in 0..1 to tokens (B, 512, H // 32, W // 32); trained with the matcher."""

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.patch = 512, 32
        layers: list[nn.Module] = []
        before = 3
        for width in _WIDTHS:
            if not width:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        self.features = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias) if layer.bias is not None else None

    def forward(self, image: Tensor) -> Tensor:
        """Compute tokens."""
        mean, std = (image.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
        tokens: Tensor = self.features((image - mean) / std)
        return tokens


def load_imagenet(network: Vgg16, path: Path | str) -> None:
    """Start from the common weights (`features.0.weight` and so on; the classifier is left out).

    Raises:
        ModelError: the file is missing, damaged or of another network.
    """
    given: Mapping[str, Tensor] = weights.read_tensors(path)
    kept = {key: value for key, value in given.items() if not key.startswith("classifier.")}
    with torch.no_grad():
        weights.load_into(network, kept, "VGG-16", path)
