# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loc² as a matcher: views and an aerial patch in, correspondences in map metres out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cvloc_ros.config import Loc2, Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.matching import depth
from cvloc_ros.matching.layers import backbone
from cvloc_ros.matching.layers.pose import RansacSettings
from cvloc_ros.matching.layers.sampling import Matches, sample_matches
from cvloc_ros.matching.loc2 import checkpoint
from cvloc_ros.matching.loc2.aerial import AerialHalf, Crop, KeptHalves, cell_mask, place_crop
from cvloc_ros.matching.loc2.ground import GroundEncoder, GroundPoints, to_image
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.matching.loc2.scale import Lifted, recover_scale
from cvloc_ros.types import (
    F64,
    AerialCode,
    AerialPatch,
    Correspondences,
    GroundProjector,
    GroundView,
    Pose2,
    SearchWindow,
)

_TRIALS = 100
_DRAWN = 8192
_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Loc2Model:
    """What is needed from images to matches; `published` tells the geometry that it was trained with."""

    backbone: backbone.Backbone
    network: Loc2Network
    published: bool


class Loc2Matcher:
    """Matches tokens of all views to the aerial points around the prior, and lifts the matches by depth."""

    name = "loc2"

    def __init__(
        self,
        config: Matching,
        device: torch.device,
        project_ground: GroundProjector | None = None,
        model: Loc2Model | None = None,
    ) -> None:
        """Load the networks, or take a `model` that is in memory and bound to the settings.

        Raises:
            ModelError: weights are missing or of another model.
        """
        del project_ground  # this method lifts by depth
        self._config = config.loc2 if model is not None else checkpoint.bound(config.loc2)
        self._device = device
        # A square turned any way, its centre snapped to whole steps.
        self.reach_m = (self._config.extent_m + self._config.crop_step_m) / math.sqrt(2.0)
        model = model or _load(self._config, device)
        self._backbone, self._network, self._published = model.backbone, model.network, model.published
        self._depth = depth.create(config.depth, device)
        self._encoder = GroundEncoder(
            self._describe_ground, self._depth, (self._config, config.depth), device,
            patch_px=self._backbone.patch, published=self._published,
        )  # fmt: skip

    def encode_aerial(self, patch: AerialPatch) -> AerialCode:
        """Hold the patch; the square of it that is needed is encoded at its first use and kept."""
        return AerialCode(patch, KeptHalves(patch))

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> Correspondences:
        """Draw matches; none where no token of any view may match (too far, above the horizon, masked)."""
        kept = aerial.data
        if not isinstance(kept, KeptHalves):
            msg = f"aerial code of another matcher: {type(kept).__name__}; encode the patch with loc2"
            raise ModelError(msg)
        halves = [self._encoder(view) for view in views]
        if not halves or not any(bool(half.valid.any()) for half in halves):
            return _nothing()
        crop = crop_for(self._config, max(views, key=lambda view: view.stamp_ns), window)
        with torch.inference_mode():
            there = kept.get(crop, self._encode_crop)
            described = torch.cat([half.descriptors for half in halves], dim=1)
            valid = torch.cat([half.valid for half in halves])
            probability = self._network.compare(there.descriptors[None], described[None], valid[None])[1][0]
            # Points without imagery match nothing; scores that are no numbers say nothing.
            probability = torch.nan_to_num(probability * there.valid[:, None], nan=0.0, posinf=0.0)
            seed = max(view.stamp_ns for view in views) % _SEED
            return self._lift(probability, _Tokens.of(views, [half.points for half in halves]), there, crop, seed)

    def warm_up(self) -> float:
        """Run the networks once on grey images of their usual size; return the seconds it took."""
        start = time.perf_counter()
        size = tuple(self._config.ground_size) or (364, 1232)
        step = self._backbone.patch
        rows, cols = (max(side // step, 1) * step for side in size)
        with torch.inference_mode():
            ground = self._describe_ground(torch.full((1, 3, rows, cols), 0.5, device=self._device))
            aerial = self._describe_aerial(torch.full((1, 3, *[self._config.aerial_px] * 2), 0.5, device=self._device))
            self._network.compare(aerial, ground, None)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - start

    def close(self) -> None:
        """Free device memory."""
        self._depth.close()
        self._network.to("cpu")
        if isinstance(self._backbone, backbone.FrozenBackbone):
            self._backbone.network.to("cpu")
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _describe_ground(self, image: torch.Tensor) -> torch.Tensor:
        return self._network.describe_ground(self._backbone(image))

    def _describe_aerial(self, image: torch.Tensor) -> torch.Tensor:
        return self._network.describe_aerial(self._backbone(image))

    def _encode_crop(self, patch: AerialPatch, crop: Crop) -> AerialHalf:
        rgb, valid = crop.cut(patch, self._config.aerial_px)
        described = self._describe_aerial(to_image(rgb, rgb.shape[:2], self._device))[0]
        cells = self._network.cells
        mask = torch.from_numpy(cell_mask(valid, cells)).to(self._device)
        return AerialHalf(described, crop.points(cells, published=self._published), mask)

    def _lift(
        self, probability: torch.Tensor, tokens: _Tokens, there: AerialHalf, crop: Crop, seed: int
    ) -> Correspondences:
        generator = torch.Generator(self._device).manual_seed(seed)
        drawn = sample_matches(probability[None], self._config.matches, generator)
        scale: float | None = None
        if self._config.scale == "free" or not tokens.metric:
            scale = self._scale(probability, tokens, there.points - crop.centre.xy, generator)
            if scale is None:
                return _nothing()
        return _correspondences(drawn, tokens, there.points, scale, self._inlier_m)

    @property
    def _inlier_m(self) -> float:
        return self._config.inlier_m if self._config.ransac_sets else math.inf

    def _scale(
        self, probability: torch.Tensor, tokens: _Tokens, points: F64, generator: torch.Generator
    ) -> float | None:
        settings = RansacSettings(
            self._config.ransac_sets, _TRIALS, min(_DRAWN, probability.numel()) if self._config.ransac_sets
            else self._config.matches, 2 * self._config.inlier_m, self._config.inlier_m, with_scale=True,
        )  # fmt: skip
        lifted = Lifted(*(torch.from_numpy(part).to(self._device) for part in (tokens.displacement, tokens.camera)))
        there = torch.from_numpy(points).to(self._device)
        return recover_scale(probability, there, lifted, settings, generator, metric=tokens.metric)


def crop_for(config: Loc2, view: GroundView, window: SearchWindow) -> Crop:
    """Put the crop around the centre of the window, turned by the view if the model was trained for one heading."""
    turn = None
    if config.heading != "any":
        forward = view.T_base_camera[:2, 2]
        turn = window.centre.yaw_rad + view.T_ref_base.yaw_rad + math.atan2(float(forward[1]), float(forward[0]))
        turn -= math.pi / 2 if config.heading == "up" else 0.0
    step = math.radians(config.heading_step_deg)
    return place_crop(window.centre, config.extent_m, config.crop_step_m, turn, step)


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """Tokens of all views one after the other, in base at the reference stamp: see `GroundPoints`."""

    displacement: F64
    camera: F64
    uv: F64
    view: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    metric: bool

    @classmethod
    def of(cls, views: Sequence[GroundView], points: Sequence[GroundPoints]) -> _Tokens:
        """Join the tokens of all views, carried to the reference stamp."""
        turned = [
            Pose2(0.0, 0.0, view.T_ref_base.yaw_rad).apply(part.displacement)
            for view, part in zip(views, points, strict=True)
        ]
        places = [
            np.broadcast_to(view.T_ref_base.apply(part.camera_xy), part.displacement.shape)
            for view, part in zip(views, points, strict=True)
        ]
        index = [np.full(len(part.uv), number, np.int64) for number, part in enumerate(points)]
        uv = np.concatenate([part.uv for part in points])
        metric = all(part.metric for part in points)
        return cls(np.concatenate(turned), np.concatenate(places), uv, np.concatenate(index), metric)


def _correspondences(
    drawn: Matches, tokens: _Tokens, points: F64, scale: float | None, inlier_m: float
) -> Correspondences:
    ground, aerial = drawn.ground[0].cpu().numpy(), drawn.aerial[0].cpu().numpy()
    weights = drawn.weight[0].double().cpu().numpy()
    some = weights > 0
    ground, aerial, weights = ground[some], aerial[some], weights[some]
    lifted = tokens.camera[ground] + (1.0 if scale is None else scale) * tokens.displacement[ground]
    return Correspondences(
        lifted, points[aerial], weights, tokens.uv[ground], tokens.view[ground], inlier_m=inlier_m, scale=scale
    )


def _nothing() -> Correspondences:
    none = np.zeros((0, 2))
    return Correspondences(none, none, np.zeros(0), none, np.zeros(0, np.int64))


def _load(config: Loc2, device: torch.device) -> Loc2Model:
    read = checkpoint.read(config.weights)
    published = _published(config, read)
    widths, layers = checkpoint.widths_of(read, config.weights), checkpoint.layers_of(read)
    tokens = backbone.create(config.backbone, config.backbone_weights, device)
    network = Loc2Network(tokens, widths=widths, layers=layers, cells=config.aerial_cells)
    checkpoint.fill(network, read, config.weights)
    return Loc2Model(tokens, network.to(device).eval(), published)


def _published(config: Loc2, read: checkpoint.Checkpoint) -> bool:
    """Tell whether the published geometry is to be used."""
    stated = {"mended": False, "published": True}.get(config.geometry)
    if stated is not None and read.published is not None and stated != read.published:
        trained = "published" if read.published else "mended"
        msg = (
            f"matcher.loc2.geometry = {config.geometry}, but {config.weights} was trained with the {trained} geometry; "
            "set it to auto"
        )
        raise ModelError(msg)
    return bool(read.published if stated is None else stated)
