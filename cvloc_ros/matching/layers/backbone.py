# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where tokens come from: a frozen DINOv2 or DINOv3, or a small convolutional network trained with the matcher."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cvloc_ros.matching.layers import dinov2, dinov3

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """Maps images (B, 3, H, W) in 0..1 to tokens (B, `channels`, H // `patch`, W // `patch`), float32."""

    channels: int
    patch: int


class FrozenBackbone(Backbone):
    """A pre-trained network that is never trained, in half precision where the machine is fast at it.

    Its weights are kept out of `state_dict` and `parameters` of the matcher.
    """

    def __init__(
        self, network: dinov2.DinoV2 | dinov3.DinoV3, *, normalise: bool = False, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.channels, self.patch = network.channels, network.patch
        self.normalise = normalise
        self._held = [network.eval().requires_grad_(requires_grad=False).to(dtype)]  # a list hides it from nn.Module

    @property
    def network(self) -> dinov2.DinoV2 | dinov3.DinoV3:
        """The network itself."""
        return self._held[0]

    def forward(self, image: Tensor) -> Tensor:
        """Compute tokens without a gradient."""
        parameter = next(self.network.parameters())
        if parameter.device != image.device:
            self.network.to(image.device)
        if self.normalise:
            mean, std = (image.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
            image = (image - mean) / std
        with torch.no_grad():
            tokens: Tensor = self.network(image.to(parameter.dtype)).float()
        return tokens


class ConvBackbone(Backbone):
    """Small convolutional network, trained from scratch: for tests and machines without the large weights."""

    def __init__(self, channels: int = 64, patch: int = 8) -> None:
        super().__init__()
        self.channels, self.patch = channels, patch
        steps = patch.bit_length() - 1
        if patch != 1 << steps or patch < 2 or channels % 8:
            msg = f"patch {patch} must be a power of two from 2 on, channels {channels} a multiple of 8"
            raise ValueError(msg)
        widths = [3, *(max(8, channels >> (steps - 1 - step)) for step in range(steps))]
        self.convs = nn.ModuleList(
            [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)]
        )
        self.norms = nn.ModuleList([nn.GroupNorm(8, width) for width in widths[1:]])
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Compute tokens."""
        rows, cols = image.shape[2] // self.patch, image.shape[3] // self.patch
        x = image[:, :, : rows * self.patch, : cols * self.patch] - 0.5
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = functional.gelu(norm(conv(x)))
        tokens: Tensor = self.last(x)
        return tokens


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same size."""
        y = functional.gelu(self.norm1(self.conv1(x)))
        return functional.gelu(x + self.norm2(self.conv2(y)))


class PyramidBackbone(Backbone):
    """Small convolutional network with fine tokens that know their surroundings: down to 1/16, and back up to 1/4.

    A ground plane is seen from so low that a cell of it is a few pixels high; patches of 8 would join several.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.channels, self.patch = channels, 4
        if channels % 32:
            msg = f"channels {channels} must be a multiple of 32"
            raise ValueError(msg)
        widths = (3, channels // 4, channels // 2, channels, channels * 3 // 2)
        self.downs = nn.ModuleList([nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False) for a, b in pairwise(widths)])
        self.norms = nn.ModuleList([nn.GroupNorm(8, width) for width in widths[1:]])
        self.blocks = nn.ModuleList([_Residual(width) for width in widths[3:]])
        self.sides = nn.ModuleList([nn.Conv2d(width, channels, 1) for width in widths[2:]])
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.last = nn.Conv2d(channels, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Compute tokens."""
        rows, cols = image.shape[2] // self.patch, image.shape[3] // self.patch
        x = image[:, :, : rows * self.patch, : cols * self.patch] - 0.5
        levels = []
        for number, (down, norm) in enumerate(zip(self.downs, self.norms, strict=True)):
            x = functional.gelu(norm(down(x)))
            x = self.blocks[number - 2](x) if number >= 2 else x
            levels.append(x)
        joined: Tensor = self.sides[2](levels[3])
        for side, level in ((self.sides[1], levels[2]), (self.sides[0], levels[1])):
            wider = functional.interpolate(joined, level.shape[2:], mode="bilinear", align_corners=False)
            joined = wider + side(level)
        tokens: Tensor = self.last(functional.gelu(joined + self.smooth(joined)))
        return tokens


OWN: dict[str, Callable[..., Backbone]] = {"conv": ConvBackbone, "pyramid": PyramidBackbone}
"""Small networks that are trained with the matcher and stored with its weights."""


def create(name: str, path: Path | str, device: torch.device, *, normalise: bool = False) -> Backbone:
    """Make the backbone of this name on a device: one of `OWN`, or a DINOv2 or DINOv3 with the weights at `path`.

    `normalise` holds for DINOv2, which the published matchers feed without; DINOv3 always gets what it was trained on.

    Raises:
        ModelError: the name is unknown, or the weights cannot be used.
    """
    if name in OWN:
        return OWN[name]().to(device)
    if name in dinov3.CHANNELS:
        return FrozenBackbone(dinov3.load(name, path).to(device), normalise=True, dtype=fast_dtype(device))
    return FrozenBackbone(dinov2.load(name, path).to(device), normalise=normalise, dtype=fast_dtype(device))


def patch_px(name: str) -> int:
    """Side of the patches of the backbone of this name."""
    if name in OWN:
        return 4 if name == "pyramid" else 8
    return dinov3.PATCH if name in dinov3.CHANNELS else dinov2.DinoV2.patch


def fast_dtype(device: torch.device) -> torch.dtype:
    """Precision for frozen networks: half on CUDA devices, single on CPUs."""
    return torch.float16 if device.type == "cuda" else torch.float32
