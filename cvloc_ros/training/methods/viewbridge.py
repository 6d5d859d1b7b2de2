# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of ViewBridge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cvloc_ros.config import Matching
from cvloc_ros.datasets.sample import Sample
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import weights
from cvloc_ros.matching.depth.depth_map import along
from cvloc_ros.matching.depth.measured import Measured
from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.fg2.views import choose, prepare
from cvloc_ros.matching.layers.aerial import crop_near
from cvloc_ros.matching.layers.pose import Alignment
from cvloc_ros.matching.loc2.lifting import token_rays
from cvloc_ros.matching.viewbridge.loss import HeightTruth, LossSettings, loss
from cvloc_ros.matching.viewbridge.matcher import ViewBridgeMatcher
from cvloc_ros.matching.viewbridge.model import Model, create, save
from cvloc_ros.matching.viewbridge.settings import VARIANTS, ViewBridgeSettings
from cvloc_ros.matching.viewbridge.surface import bins_of_heights
from cvloc_ros.training.config import Training
from cvloc_ros.training.methods import lifted
from cvloc_ros.training.methods.method import Batch, Trainee, changed, loss_settings, settings_of
from cvloc_ros.types import F64, GroundView, Matcher, Pose2, SearchWindow

_CPU = torch.device("cpu")
_STRIDE = 2


@dataclass(frozen=True, slots=True)
class ViewBridgeInputs:
    """Makes examples as the matcher lays them out, with true heights where the views have depth."""

    settings: ViewBridgeSettings
    most: int

    def example(self, sample: Sample, window: SearchWindow) -> Batch | None:
        """See `methods.method.Inputs`."""
        plane = self.settings.plane
        chosen = tuple(sample.views[index] for index in choose(sample.views, plane, self.most))
        if not chosen:
            return None
        parts = tuple(prepare(view, plane, _CPU) for view in chosen)
        crop = crop_near(window.centre.xy, None if plane.align == "north" else window.centre.yaw_rad)
        laid = lifted.Laid(chosen, parts, crop, Pose2(0.0, 0.0, 0.0))
        made = lifted.example_of(laid, sample, plane)
        if made is None:
            return None
        height, known = surface_heights(chosen, plane)
        bins = bins_of_heights(
            torch.from_numpy(height).float(), plane.height_min_m, plane.height_max_m, plane.heights
        )
        return {**made, "bins": bins, "known": torch.from_numpy(known)}

    def collate(self, examples: Sequence[Batch]) -> Batch:
        """See `methods.method.Inputs`."""
        more = {name: torch.stack([example[name] for example in examples]) for name in ("bins", "known")}
        return {**lifted.collate(examples), **more}


def surface_heights(views: Sequence[GroundView], plane: Fg2Settings) -> tuple[F64, np.ndarray[Any, Any]]:
    """Return the greatest height (N,) above the ground that depth shows in each column of the plane, and where any."""
    rows, cols = plane.ground_rows(), plane.cells
    highest = np.full(rows * cols, -np.inf)
    for view in views:
        if view.depth is None:
            continue
        points = _points(view)
        row = np.floor(-points[:, 0] / plane.cell_m + plane.cells / 2).astype(np.int64)
        col = np.floor(-points[:, 1] / plane.cell_m + plane.cells / 2).astype(np.int64)
        inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
        np.maximum.at(highest, row[inside] * cols + col[inside], points[inside, 2])
    known = np.isfinite(highest)
    return np.where(known, highest, 0.0), known


def _points(view: GroundView) -> F64:
    """Points (N, 3) that the depth of a view shows, in base at the reference stamp."""
    depth = Measured()(view).values
    rows, cols = depth.shape
    u, v = (np.arange(0, size, _STRIDE, dtype=np.float64) for size in (cols, rows))
    uv = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)
    values = depth[::_STRIDE, ::_STRIDE].reshape(-1)
    scale = np.array([view.camera.width / cols, view.camera.height / rows])
    points = token_rays(view, (uv + 0.5) * scale - 0.5, along(view)) * values[:, None] + view.T_base_camera[:3, 3]
    usable = np.isfinite(points).all(1)
    if view.valid is not None:
        usable &= view.valid[::_STRIDE, ::_STRIDE].reshape(-1) if view.valid.shape == depth.shape else True
    points = points[usable]
    return np.column_stack([view.T_ref_base.apply(points[:, :2]), points[:, 2]])


class ViewBridgeTrainee(Trainee):
    """Network and backbone with pose, contrast and height losses."""

    def __init__(self, model: Model, settings: LossSettings) -> None:
        super().__init__()
        self.network, self.backbone = model.network, model.backbone
        self.loss = settings

    @property
    def model(self) -> Model:
        """The parts as the matcher takes them."""
        return Model(self.network, self.backbone)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        plane = self.network.settings.plane
        ground = self.network.encode_ground(lifted.tokens_of(batch, self.backbone))
        aerial = self.network.encode_aerial(self.backbone(batch["aerial"]).float())
        scores = self.network.match(aerial, ground)  # in single precision by itself
        with torch.autocast(aerial.device.type, enabled=False):
            scores = type(scores)(scores.raw, scores.refined, lifted.seen(scores.probability, batch))
            rotation, _ = lifted.truth_of(batch).aerial_to_ground(shifted=False)
            ones = torch.ones_like(batch["heading"])
            truth = Alignment(rotation.transpose(1, 2), batch["position"], ones, ones > 0)
            heights = HeightTruth(batch["bins"], batch["known"])
            points = plane.aerial_points(), plane.ground_points()
            found = loss(scores, ground.surface, points, truth, heights, self.loss)
        return {
            "total": found.total.mean(), "points_m": found.points_m, "contrast": found.contrast, "height": found.height
        }  # fmt: skip

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """See `Trainee`."""
        return self.model.groups()


class ViewBridgeMethod:
    """See `methods.method.Method`."""

    def __init__(self, config: Training) -> None:
        base, changes = settings_of(config, VARIANTS, ViewBridgeSettings())
        for name in ("plane", "refiner"):
            if isinstance(changes.get(name), dict):
                given = json.loads(json.dumps(changes[name]))
                typed = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
                changes[name] = changed(getattr(base, name), typed, f"ViewBridge, {name}")
        self.settings: ViewBridgeSettings = changed(base, changes, "ViewBridge")
        self._config = config
        views = int(config.localizer.get("matcher", {}).get("viewbridge", {}).get("max_views", 4))
        self.inputs = ViewBridgeInputs(self.settings, views)

    def trainee(self, device: torch.device) -> ViewBridgeTrainee:
        """See `methods.method.Method`."""
        model = create(self.settings, self._config.backbone_weights, device)
        return ViewBridgeTrainee(model, loss_settings(LossSettings, self._config.loss, "ViewBridge"))

    def save(self, trainee: ViewBridgeTrainee, path: Path) -> None:
        """See `methods.method.Method`."""
        save(trainee.model, path)

    def load(self, trainee: ViewBridgeTrainee, path: Path | str) -> None:
        """See `methods.method.Method`."""
        trainee.model.load(weights.read_tensors(path), "ViewBridge", path)

    def matcher(
        self, trainee: ViewBridgeTrainee, config: Matching, device: torch.device, ground: GroundProjector
    ) -> Matcher:
        """See `methods.method.Method`."""
        return ViewBridgeMatcher(config, device, ground, trainee.model)
