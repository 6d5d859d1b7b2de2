# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loc² as a matcher: views and an aerial patch in, correspondences in map metres out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cvloc_ros.config import Loc2, Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import depth
from cvloc_ros.matching.layers import backbone
from cvloc_ros.matching.layers.aerial import (
    AerialSide,
    Crop,
    Seen,
    Square,
    compare_all,
    crop_near,
    crops_over,
    grid_axis,
    reach_m,
)
from cvloc_ros.matching.layers.matcher import DeviceMatcher
from cvloc_ros.matching.layers.pose import RansacSettings
from cvloc_ros.matching.layers.sampling import Matches, sample_matches
from cvloc_ros.matching.layers.views import roll_to_north
from cvloc_ros.matching.loc2 import checkpoint
from cvloc_ros.matching.loc2.ground import GroundEncoder, GroundPoints
from cvloc_ros.matching.loc2.network import Loc2Network
from cvloc_ros.matching.loc2.scale import Lifted, recover_scale
from cvloc_ros.types import F64, AerialCode, Correspondences, GroundView, Pose2, SearchWindow

_PANORAMA = "equirectangular"
_TRIALS = 100
_DRAWN = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Loc2Model:
    """What is needed from images to matches; `published` tells the geometry that it was trained with."""

    backbone: backbone.Backbone
    network: Loc2Network
    published: bool


class Loc2Matcher(DeviceMatcher):
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
        super().__init__(device)
        self._config = config.loc2 if model is not None else checkpoint.bound(config.loc2)
        self._crops = config.crops
        self.reach_m = reach_m(self._config.extent_m, self._config.crop_step_m)
        model = model or _load(self._config, device)
        self._backbone, self._network, self._published = model.backbone, model.network, model.published
        self._depth = depth.create(config.depth, device)
        believed = config.depth.source in ("flat_ground", "measured")
        self._free = not believed if self._config.scale == "auto" else self._config.scale == "free"
        self._encoder = GroundEncoder(
            self._describe_ground, self._depth, (self._config, config.depth), device,
            patch_px=self._backbone.patch, published=self._published,
        )  # fmt: skip

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> Correspondences:
        """Draw matches; none where no token of any view may match (too far, above the horizon, masked)."""
        side = self._side(aerial)
        chosen = sorted(range(len(views)), key=lambda i: -views[i].stamp_ns)[: self._config.max_views]
        halves = [self._encoder(views[i], roll_for(self._config, views[i], window)) for i in chosen]
        if not any(len(half.points.uv) for half in halves):
            return _nothing()
        newest = views[chosen[0]]
        near = crop_for(self._config, newest, window)
        crops = crops_over(near, window.centre.xy, window.radius_m, self._config.extent_m, self._crops)
        with torch.inference_mode():
            described = torch.cat([half.descriptors for half in halves], dim=1)
            points = grid_points(self._config, published=self._published).to(self._device)
            seen = compare_all(crops, points, lambda crop: self._compare(side, crop, described))
            tokens = _Tokens.of(views, {i: half.points for i, half in zip(chosen, halves, strict=True)})
            return self._lift(seen, tokens, newest.stamp_ns, alone=len(crops) == 1)

    def dry_run(self) -> None:
        """Run the networks on grey images."""
        size = tuple(self._config.ground_size) or (364, 1232)
        step = self._backbone.patch
        rows, cols = (max(side // step, 1) * step for side in size)
        ground = self._describe_ground(self._grey(rows, cols))
        aerial = self._describe_aerial(self._grey(self._config.aerial_px, self._config.aerial_px))
        self._network.compare(aerial, ground, None)

    def close(self) -> None:
        """Free device memory."""
        self._depth.close()
        self._network.to("cpu")
        if isinstance(self._backbone, backbone.FrozenBackbone):
            self._backbone.network.to("cpu")
        super().close()

    def _describe_ground(self, image: torch.Tensor) -> torch.Tensor:
        return self._network.describe_ground(self._backbone(image))

    def _describe_aerial(self, image: torch.Tensor) -> torch.Tensor:
        return self._network.describe_aerial(self._backbone(image))

    def _compare(self, side: AerialSide, crop: Crop, ground: torch.Tensor) -> torch.Tensor:
        """Probabilities (cells², Ng) of one crop; points without imagery match nothing."""
        square = Square(self._config.extent_m, self._config.aerial_px, self._network.cells)
        there, imagery = side.described(self.name, crop, square, self._describe_aerial)
        probability = self._network.compare(there, ground[None], None)[1][0]
        # Scores that are no numbers say nothing.
        return torch.nan_to_num(probability * imagery[:, None], nan=0.0, posinf=0.0)

    def _lift(self, seen: Seen, tokens: _Tokens, seed: int, *, alone: bool) -> Correspondences:
        generator = self._generator(seed)
        drawn = sample_matches(seen.probability[None], self._config.matches, generator)
        points = seen.crop.to_map(seen.points.double().cpu().numpy())
        # Among several crops most are wrong, and so are their matches: not all can agree.
        sets = self._config.ransac_sets if alone else max(self._config.ransac_sets, 1)
        scale: float | None = None
        if self._free or not tokens.metric:
            scale = self._scale(seen.probability, tokens, points - seen.crop.xy, generator, sets)
            if scale is None:
                return _nothing()
        return _correspondences(drawn, tokens, points, scale, self._config.inlier_m if sets else math.inf)

    def _scale(
        self, probability: torch.Tensor, tokens: _Tokens, points: F64, generator: torch.Generator, sets: int
    ) -> float | None:
        settings = RansacSettings(
            sets, _TRIALS, min(_DRAWN, probability.numel()) if sets
            else self._config.matches, 2 * self._config.inlier_m, self._config.inlier_m, with_scale=True,
        )  # fmt: skip
        lifted = Lifted(*(torch.from_numpy(part).to(self._device) for part in (tokens.displacement, tokens.camera)))
        there = torch.from_numpy(points).to(self._device)
        return recover_scale(probability, there, lifted, settings, generator, metric=tokens.metric)


def crop_for(config: Loc2, view: GroundView, window: SearchWindow) -> Crop:
    """Put the crop around the centre of the window, turned by the view if the model was trained for one heading."""
    up = None
    if config.heading != "any" and not (config.heading == "north" and view.camera.kind == _PANORAMA):
        forward = view.T_base_camera[:2, 2]
        up = window.centre.yaw_rad + view.T_ref_base.yaw_rad + math.atan2(float(forward[1]), float(forward[0]))
        up += math.pi / 2 if config.heading == "right" else 0.0
    return crop_near(window.centre.xy, up, config.crop_step_m, math.radians(config.heading_step_deg))


def roll_for(config: Loc2, view: GroundView, window: SearchWindow) -> int:
    """Columns to roll a panorama by so that its middle looks north, if the model was trained so; in steps."""
    if config.heading != "north":
        return 0
    columns = roll_to_north(view, window.centre.yaw_rad + view.T_ref_base.yaw_rad)
    step = max(round(config.heading_step_deg / 360 * view.camera.width), 1)
    return round(columns / step) * step


def grid_points(config: Loc2, *, published: bool) -> torch.Tensor:
    """Aerial points (cells², 2), internal metres of a crop, by rows from the top; float64."""
    axis = grid_axis(config.extent_m, config.aerial_cells, ends=published)
    return torch.cartesian_prod(axis, axis)


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """Tokens of all views one after the other, in base at the reference stamp: see `GroundPoints`."""

    displacement: F64
    camera: F64
    uv: F64
    view: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    metric: bool

    @classmethod
    def of(cls, views: Sequence[GroundView], points: Mapping[int, GroundPoints]) -> _Tokens:
        """Join the tokens of the views that have some, carried to the reference stamp."""
        moves = {number: views[number].T_ref_base for number in points}
        turned = [Pose2(0.0, 0.0, moves[i].yaw_rad).apply(part.displacement) for i, part in points.items()]
        places = [
            np.broadcast_to(moves[i].apply(part.camera_xy), part.displacement.shape) for i, part in points.items()
        ]
        index = [np.full(len(part.uv), number, np.int64) for number, part in points.items()]
        uv = np.concatenate([part.uv for part in points.values()])
        metric = all(part.metric for part in points.values())
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
