# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of GridLoc."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cvloc_ros.config import Matching
from cvloc_ros.datasets.sample import Sample
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import weights
from cvloc_ros.matching.gridloc.loss import calibrate, loss
from cvloc_ros.matching.gridloc.matcher import GridLocMatcher, choose
from cvloc_ros.matching.gridloc.model import Model, create, open_model, save
from cvloc_ros.matching.gridloc.settings import VARIANTS, GridLocSettings
from cvloc_ros.matching.gridloc.sight import road_places, upright, visible_part
from cvloc_ros.matching.gridloc.vgg import Vgg16, load_imagenet
from cvloc_ros.matching.gridloc.votes import VotingNetwork
from cvloc_ros.matching.layers.aerial import crop_near, cut, to_device
from cvloc_ros.matching.layers.views import looking, roll, roll_to_north, to_tensor
from cvloc_ros.training.config import Training
from cvloc_ros.training.methods.method import Batch, Trainee, changed, loss_settings, settings_of, stack
from cvloc_ros.types import Matcher, Pose2, SearchWindow

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Weight of the offsets against that of the classes; tokens of an image that vote, 0: all that see the road."""

    offset: float = 5.0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class GridLocInputs:
    """Makes examples as the matcher looks at its newest view."""

    settings: GridLocSettings

    def example(self, sample: Sample, window: SearchWindow) -> Batch | None:
        """See `methods.method.Inputs`."""
        settings = self.settings
        chosen = choose(sample.views, settings, 1)
        if not chosen:
            return None
        view = upright(chosen[0])
        yaw = window.centre.yaw_rad + view.T_ref_base.yaw_rad
        if settings.align == "roll":
            view = roll(view, roll_to_north(view, yaw))
        direction = looking(view.T_base_camera)
        crop = crop_near(window.centre.xy, yaw + direction if settings.align == "heading" else None)
        image, valid = cut(to_device(sample.patch, _CPU), crop, settings.extent_m, settings.aerial_size)
        if not bool((valid > 0).any()):
            return None
        camera = sample.pose @ view.T_ref_base @ Pose2.at(view.T_base_camera[:2, 3], direction)
        return {
            "ground": to_tensor(visible_part(view, settings), settings.ground_size, _CPU)[0],
            "aerial": image[0],
            **({"where": torch.from_numpy(road_places(view, settings))} if settings.fuse == "vote" else {}),
            "position": torch.from_numpy(crop.from_map(camera.xy)),
            "heading": torch.tensor(crop.turn_rad + math.pi / 2 - camera.yaw_rad, dtype=torch.float64),
        }

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """See `methods.method.Inputs`."""
        return stack(examples, tuple(examples[0]))


class GridLocTrainee(Trainee):
    """Network and extractors with the losses of class and offset."""

    def __init__(self, model: Model, settings: LossSettings) -> None:
        super().__init__()
        self.network, self.ground, self.aerial = model.network, model.ground, model.aerial
        self.loss = settings
        if isinstance(self.network, VotingNetwork):
            self.network.most = settings.tokens

    @property
    def model(self) -> Model:
        """The parts as the matcher takes them."""
        return Model(self.network, self.ground, self.aerial)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        head = self.model.locate(batch["ground"], batch["aerial"], batch.get("where"))
        settings = self.network.settings
        with torch.autocast(head.logits.device.type, enabled=False):
            head = type(head)(head.logits.float(), head.offset.float(), head.turn.float())
            labels = settings.grid.encode(batch["position"], batch["heading"])
            found = loss(head, labels, settings, self.loss.offset)
        return {"total": found.total.mean(), "entropy": found.entropy, "offset": found.offset}

    def calibrate(self, batches: Iterable[Batch]) -> None:
        """Find the temperature of the classes and the spread of the offsets."""
        grid, found = self.network.settings.grid, []
        with torch.no_grad():
            for batch in batches:
                head = self.model.locate(batch["ground"], batch["aerial"], batch.get("where"))
                labels = grid.encode(batch["position"], batch["heading"])
                found.append((head, labels))
        if found:
            head, labels = (_together([pair[side] for pair in found]) for side in range(2))
            self.network.settings = calibrate(head, labels, self.network.settings)

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """See `Trainee`."""
        return list(self.network.parameters()), [*self.ground.parameters(), *self.aerial.parameters()]


def _together(parts: Sequence[Any]) -> Any:
    """Join values of tensors (B, ...) to one of all items."""
    names = [field.name for field in dataclasses.fields(parts[0])]
    return type(parts[0])(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


class GridLocMethod:
    """See `methods.method.Method`."""

    def __init__(self, config: Training) -> None:
        base, changes = settings_of(config, VARIANTS, GridLocSettings())
        self.settings: GridLocSettings = changed(base, changes, "GridLoc")
        self._config = config
        self.inputs = GridLocInputs(self.settings)

    def trainee(self, device: torch.device) -> GridLocTrainee:
        """See `methods.method.Method`."""
        model = create(self.settings, device)
        if self._config.backbone_weights:
            for part in (model.ground, model.aerial):
                if isinstance(part, Vgg16):
                    load_imagenet(part, self._config.backbone_weights)
        return GridLocTrainee(model, loss_settings(LossSettings, self._config.loss, "GridLoc"))

    def save(self, trainee: GridLocTrainee, path: Path) -> None:
        """See `methods.method.Method`."""
        save(trainee.model, path)

    def load(self, trainee: GridLocTrainee, path: Path | str) -> None:
        """See `methods.method.Method`."""
        read = open_model(path, _CPU)
        for name in ("network", "ground", "aerial"):
            weights.load_into(getattr(trainee, name), getattr(read, name).state_dict(), f"GridLoc, {name}", path)

    def matcher(
        self, trainee: GridLocTrainee, config: Matching, device: torch.device, ground: GroundProjector
    ) -> Matcher:
        """See `methods.method.Method`."""
        return GridLocMatcher(config, device, ground, trainee.model)
