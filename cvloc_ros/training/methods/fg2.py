# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of FG²."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from cvloc_ros.config import Matching
from cvloc_ros.datasets.sample import Sample
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching.fg2 import checkpoint
from cvloc_ros.matching.fg2.loss import fg2_loss
from cvloc_ros.matching.fg2.matcher import Fg2Matcher
from cvloc_ros.matching.fg2.model import Model, create, save
from cvloc_ros.matching.fg2.settings import VARIANTS, Fg2Settings
from cvloc_ros.training.config import Training
from cvloc_ros.training.methods import lifted
from cvloc_ros.training.methods.method import Batch, Trainee, changed, loss_settings, settings_of
from cvloc_ros.training.methods.pose_votes import PoseVotes
from cvloc_ros.types import Matcher, SearchWindow


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Weight of the contrast (published: 1, with unknown orientation 100), and the matches drawn.

    Ours: weight of the true pose against others (`pose_votes`).
    """

    contrast: float = 1.0
    matches: int = 1024
    poses: float = 0.0


@dataclass(frozen=True, slots=True)
class Fg2Inputs:
    """Makes examples as the matcher lays them out."""

    settings: Fg2Settings
    most: int

    def example(self, sample: Sample, window: SearchWindow) -> Batch | None:
        """See `methods.method.Inputs`."""
        laid = lifted.lay_out(sample.views, self.settings, self.most, window)
        return None if laid is None else lifted.example_of(laid, sample, self.settings)

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """See `methods.method.Inputs`."""
        return lifted.collate(examples)


class Fg2Trainee(Trainee):
    """Network and backbone, and the published losses: virtual points of the drawn matches, and contrast."""

    def __init__(self, model: Model, loss: LossSettings) -> None:
        super().__init__()
        self.network, self.backbone = model.network, model.backbone
        self.loss = loss
        self.poses = PoseVotes() if loss.poses else None

    @property
    def model(self) -> Model:
        """The parts as the matcher takes them."""
        return Model(self.network, self.backbone)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        ground = self.network.encode_ground(lifted.tokens_of(batch, self.backbone))
        aerial = self.network.encode_aerial(self.backbone(batch["aerial"]).float())
        with torch.autocast(aerial.device.type, enabled=False):
            ground = type(ground)(ground.descriptors.float(), ground.valid, ground.logits, ground.share)
            scores, probability = self.network.match(aerial.float(), ground)
            found = fg2_loss(
                scores, lifted.seen(probability, batch), lifted.truth_of(batch), self.network.settings,
                beta=self.loss.contrast, count=self.loss.matches,
            )  # fmt: skip
            parts = {"total": found.total, "points_m": found.pose, "contrast": found.contrast}
            if self.poses is None:
                return parts
            settings, truth = self.network.settings, (batch["position"], batch["heading"])
            where = settings.ground_points().to(scores)
            poses = self.poses(scores, lifted.seen(probability, batch), where, truth, settings.extent_m)
        return {**parts, "total": parts["total"] + self.loss.poses * poses.mean(), "poses": poses}

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """See `Trainee`."""
        own, backbone = self.model.groups()
        return [*own, *(self.poses.parameters() if self.poses is not None else ())], backbone


class Fg2Method:
    """See `methods.method.Method`."""

    def __init__(self, config: Training) -> None:
        base, changes = settings_of(config, VARIANTS, Fg2Settings())
        self.settings: Fg2Settings = changed(base, changes, "FG²")
        self._config = config
        views = int(config.localizer.get("matcher", {}).get("fg2", {}).get("max_views", 4))
        self.inputs = Fg2Inputs(self.settings, views)

    def trainee(self, device: torch.device) -> Fg2Trainee:
        """See `methods.method.Method`."""
        model = create(self.settings, self._config.backbone_weights, device)
        return Fg2Trainee(model, loss_settings(LossSettings, self._config.loss, "FG²")).to(device)

    def save(self, trainee: Fg2Trainee, path: Path) -> None:
        """See `methods.method.Method`."""
        save(trainee.model, path)

    def load(self, trainee: Fg2Trainee, path: Path | str) -> None:
        """See `methods.method.Method`."""
        trainee.model.load(checkpoint.read(path)[1], "FG²", path)

    def matcher(
        self, trainee: Fg2Trainee, config: Matching, device: torch.device, ground: GroundProjector
    ) -> Matcher:
        """See `methods.method.Method`."""
        return Fg2Matcher(config, device, ground, (trainee.model, None))
