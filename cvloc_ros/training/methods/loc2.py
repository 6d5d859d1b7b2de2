# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of Loc²."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvloc_ros.config import Depth, Loc2, Matching
from cvloc_ros.datasets.sample import Sample
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import depth, weights
from cvloc_ros.matching.layers import backbone
from cvloc_ros.matching.layers.aerial import cell_validity, cut, to_device
from cvloc_ros.matching.layers.pose import Alignment, take
from cvloc_ros.matching.layers.sampling import draw_known
from cvloc_ros.matching.loc2 import checkpoint
from cvloc_ros.matching.loc2.ground import GroundEncoder, GroundPoints
from cvloc_ros.matching.loc2.loss import LossSettings, loss
from cvloc_ros.matching.loc2.matcher import Loc2Matcher, Loc2Model, crop_for, grid_points, roll_for
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.training.config import Training
from cvloc_ros.training.methods.method import Batch, Trainee, changed, loss_settings, stack
from cvloc_ros.training.methods.pose_votes import PoseVotes
from cvloc_ros.types import GroundView, Mask, Matcher, Pose2, SearchWindow

_CPU = torch.device("cpu")
_OFF_M, _OFF = 1.0, 0.15
"""Tokens further than this from where they are, in metres and as a part of their distance, are no examples."""


@dataclass(frozen=True, slots=True)
class Loc2Settings:
    """One model: the keys of `matcher.loc2` that a model is bound to, and the sizes of its projectors."""

    backbone: str = "vitl14"
    widths: tuple[int, ...] = (512, 256, 128)
    layers: int = 3
    max_views: int = 2
    geometry: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loc2Inputs:
    """Makes examples as the matcher encodes views and places its crop."""

    config: Loc2
    depth: Depth
    patch_px: int
    most: int

    def example(self, sample: Sample, window: SearchWindow) -> Batch | None:
        """See `methods.method.Inputs`."""
        views = sorted(sample.views, key=lambda view: -view.stamp_ns)[: self.most]
        if not views:
            return None
        encoder = self._encoder()
        parts = [self._view(encoder, view, roll_for(self.config, view, window)) for view in views]
        if not any(bool(part["valid"].any()) for part in parts):
            return None
        crop = crop_for(self.config, views[0], window)
        image, valid = cut(to_device(sample.patch, _CPU), crop, self.config.extent_m, self.config.aerial_px)
        imagery = cell_validity(valid, self.config.aerial_cells)
        if not bool(imagery.any()):
            return None
        published = self.config.geometry == "published"
        points = crop.to_map(grid_points(self.config, published=published).numpy()) - crop.xy
        return {
            "views": parts,
            "aerial": image[0],
            "imagery": imagery,
            "points": torch.from_numpy(points).float(),
            "position": torch.from_numpy(sample.pose.xy - crop.xy).float(),
            "yaw": torch.tensor(sample.pose.yaw_rad).float(),
        }

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """See `methods.method.Inputs`."""
        views = []
        for slot in range(max(len(example["views"]) for example in examples)):
            like = next(example["views"][slot] for example in examples if slot < len(example["views"]))
            blind = {name: torch.zeros_like(value) for name, value in like.items()}
            filled = [example["views"][slot] if slot < len(example["views"]) else blind for example in examples]
            views.append(stack(filled, ("image", "lifted", "valid", "sure")))
        return {"views": views, **stack(examples, ("aerial", "imagery", "points", "position", "yaw"))}

    def _encoder(self, source: str = "") -> GroundEncoder:
        provider = depth.create(self.depth.model_copy(update={"source": source or self.depth.source}), _CPU)
        published = self.config.geometry == "published"
        return GroundEncoder(
            lambda image: image, provider, (self.config, self.depth), _CPU, patch_px=self.patch_px, published=published
        )

    def _view(self, encoder: GroundEncoder, view: GroundView, roll_px: int) -> Batch:
        points = encoder.points(view, roll_px)
        turned = Pose2(0.0, 0.0, view.T_ref_base.yaw_rad).apply(points.displacement)
        lifted = view.T_ref_base.apply(points.camera_xy) + turned
        return {
            "image": encoder.image(view, roll_px)[0],
            "lifted": torch.from_numpy(np.ascontiguousarray(lifted)).float(),
            "valid": torch.from_numpy(np.ascontiguousarray(points.valid)),
            "sure": torch.from_numpy(self._sure(view, points, roll_px)),
        }

    def _sure(self, view: GroundView, points: GroundPoints, roll_px: int) -> Mask:
        """Tokens (N,) that lie where they are said to lie, as far as the depth that came with the view tells."""
        if view.depth is None or self.depth.source == "measured" or not points.metric:
            return np.ones(len(points.valid), bool)
        there = self._encoder("measured").points(view, roll_px)
        off = np.linalg.norm(there.displacement - points.displacement, axis=1)
        return np.asarray(~there.valid | (off < np.maximum(_OFF_M, _OFF * np.linalg.norm(points.displacement, axis=1))))


class Loc2Trainee(Trainee):
    """Network and backbone with the published losses."""

    def __init__(
        self, network: Loc2Network, tokens: backbone.Backbone, settings: LossSettings, extent_m: float
    ) -> None:
        super().__init__()
        self.network, self.loss, self._extent_m = network, settings, extent_m
        self.poses = PoseVotes() if settings.poses else None
        self._tokens = [tokens]  # a list: it is part of the network already

    @property
    def backbone(self) -> backbone.Backbone:
        """What makes tokens of images."""
        return self._tokens[0]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        network, views = self.network, batch["views"]
        images = torch.cat([view["image"] for view in views])
        described = network.describe_ground(self.backbone(images).float()).float()
        ground = torch.cat(torch.split(described, len(batch["aerial"])), 2)
        lifted, valid, sure = (torch.cat([view[name] for view in views], 1) for name in ("lifted", "valid", "sure"))
        use = draw_known(valid, self.loss.tokens)
        ground = ground.gather(2, use[:, None].expand(-1, ground.shape[1], -1))
        lifted, valid, sure = take(lifted, use), valid.gather(1, use), sure.gather(1, use)
        aerial = network.describe_aerial(self.backbone(batch["aerial"]).float()).float()
        with torch.autocast(aerial.device.type, enabled=False):
            scores, probability = network.compare(aerial, ground, valid)
            probability = torch.nan_to_num(probability * batch["imagery"][:, :, None])
            c, s = torch.cos(batch["yaw"]), torch.sin(batch["yaw"])
            rotation = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)
            truth = Alignment(rotation, batch["position"], torch.ones_like(c), torch.ones_like(c) > 0)
            found = loss(scores, probability, batch["points"], lifted, truth, self.loss, sure=sure)
            parts = {"total": found.total.mean(), "points_m": found.points_m, "contrast": found.contrast}
            if self.poses is None:
                return parts
            poses = self.poses(scores, probability, -lifted, _internal(batch), self._extent_m)
        return {**parts, "total": parts["total"] + self.loss.poses * poses.mean(), "poses": poses}

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """See `Trainee`."""
        inside = {id(parameter) for parameter in self.backbone.parameters()}
        own = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        return own, [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]


def _internal(batch: Batch) -> tuple[Tensor, Tensor]:
    """True position (B, 2) and heading (B,) of base in the axes of the crops, which the aerial points tell."""
    points = batch["points"]
    across = points[:, 1] - points[:, 0]
    turn = torch.atan2(across[:, 1], across[:, 0])
    c, s = torch.cos(turn), torch.sin(turn)
    x, y = batch["position"][:, 0], batch["position"][:, 1]
    return torch.stack([s * x - c * y, c * x + s * y], -1), turn + math.pi / 2 - batch["yaw"]


class Loc2Method:
    """See `methods.method.Method`."""

    def __init__(self, config: Training) -> None:
        if config.variant:
            msg = f"variant {config.variant!r}: loc2 has none, its settings say all"
            raise ModelError(msg)
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in config.settings.items()}
        self.settings: Loc2Settings = changed(Loc2Settings(), given, "Loc²")
        self._config = config
        matcher = config.localizer.get("matcher", {})
        self.loc2 = Loc2.model_validate(
            {**matcher.get("loc2", {}), **self.settings.geometry, "backbone": self.settings.backbone}
        )
        if self.loc2.geometry == "auto":
            self.loc2 = self.loc2.model_copy(update={"geometry": "mended"})
        self._depth = Depth.model_validate(matcher.get("depth", {}))
        patch = backbone.patch_px(self.settings.backbone)
        self.inputs = Loc2Inputs(self.loc2, self._depth, patch, self.settings.max_views)

    def trainee(self, device: torch.device) -> Loc2Trainee:
        """See `methods.method.Method`."""
        tokens = backbone.create(self.settings.backbone, self._config.backbone_weights, device)
        network = Loc2Network(
            tokens, widths=self.settings.widths, layers=self.settings.layers, cells=self.loc2.aerial_cells
        )
        settings = loss_settings(LossSettings, self._config.loss, "Loc²")
        return Loc2Trainee(network.to(device), tokens, settings, self.loc2.extent_m).to(device)

    def save(self, trainee: Loc2Trainee, path: Path) -> None:
        """See `methods.method.Method`."""
        stated = {name: getattr(self.loc2, name) for name in checkpoint.BOUND}
        facts = {"model": "loc2", "geometry": self.loc2.geometry, "settings": json.dumps(stated)}
        weights.write_tensors(path, trainee.network.state_dict(), facts)

    def load(self, trainee: Loc2Trainee, path: Path | str) -> None:
        """See `methods.method.Method`."""
        checkpoint.fill(trainee.network, checkpoint.read(path), path)

    def matcher(
        self, trainee: Loc2Trainee, config: Matching, device: torch.device, ground: GroundProjector
    ) -> Matcher:
        """See `methods.method.Method`."""
        bound = config.model_copy(update={"loc2": self.loc2, "depth": self._depth})
        model = Loc2Model(trainee.backbone, trainee.network, published=self.loc2.geometry == "published")
        return Loc2Matcher(bound, device, ground, model)
