# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A network together with the backbone that feeds it, made and stored as one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor, nn

from cvloc_ros.errors import ModelError
from cvloc_ros.matching import weights
from cvloc_ros.matching.layers import backbone

if TYPE_CHECKING:
    from typing_extensions import Self

N = TypeVar("N", bound=nn.Module)

_BACKBONE = "backbone."


@dataclass(frozen=True, eq=False)  # with slots Python 3.11 cannot call Fed[...]
class Fed(Generic[N]):
    """A network and the backbone that feeds it: what is needed from images to matches."""

    network: N
    backbone: backbone.Backbone

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What is trained: of the network, and of the backbone where it is a small one."""
        network, own = ([p for p in part.parameters() if p.requires_grad] for part in (self.network, self.backbone))
        return network, own

    def parameters(self) -> list[nn.Parameter]:
        """What is trained of both."""
        network, own = self.groups()
        return network + own

    def eval(self) -> Self:
        """Switch training off."""
        self.network.eval()
        self.backbone.eval()
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors of a file of weights; a frozen backbone has none in it."""
        own = {_BACKBONE + key: value for key, value in self.backbone.state_dict().items()}
        return {**self.network.state_dict(), **own}

    def load(self, tensors: Mapping[str, Tensor], what: str, source: Path | str) -> None:
        """Copy what `state_dict` returned; `what` and `source` appear in errors.

        Raises:
            ModelError: keys or shapes differ; each is named.
        """
        rest, own = split(tensors)
        weights.load_into(self.network, rest, what, source)
        weights.load_into(self.backbone, own, f"the backbone of {what}", source)


def split(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Part the tensors of the network from those of a backbone that was trained with it."""
    own = {key.removeprefix(_BACKBONE): value for key, value in tensors.items() if key.startswith(_BACKBONE)}
    return {key: value for key, value in tensors.items() if not key.startswith(_BACKBONE)}, own


def create_backbone(
    name: str, channels: int, path: Path | str, device: torch.device, what: str, *, normalise: bool = True
) -> backbone.Backbone:
    """Make the backbone of a network that takes tokens of so many channels; see `backbone.create`.

    Raises:
        ModelError: it has other channels, its name is unknown, or its weights cannot be used.
    """
    if name in backbone.OWN:
        made: backbone.Backbone = backbone.OWN[name](channels).to(device)
    else:
        made = backbone.create(name, path, device, normalise=normalise)
    if made.channels != channels:
        msg = f"backbone {name} has {made.channels} channels, the {what} settings {channels}"
        raise ModelError(msg)
    return made
