# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`matcher.name: gridloc`: camera images and an aerial patch in, a score volume of the pose of base out."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvloc_ros.config import GridLoc, Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import weights
from cvloc_ros.matching.gridloc.model import Model, open_model
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.gridloc.sight import road_places, upright, visible_part
from cvloc_ros.matching.gridloc.volume import Seen, axes, volume
from cvloc_ros.matching.layers.aerial import AerialSide, Crop, Square, crop_near, reach_m
from cvloc_ros.matching.layers.matcher import DeviceMatcher
from cvloc_ros.matching.layers.views import check_image, looking, roll, roll_to_north, same_picture, to_tensor
from cvloc_ros.types import F64, AerialCode, GroundView, Pose2, ScoreVolume, SearchWindow

_PANORAMA = "equirectangular"
_KEPT = 16


class GridLocMatcher(DeviceMatcher):
    """Classifies the camera's place (and heading) in the aerial image, and tells it as a distribution.

    The source takes one image. Several views are taken as independent observations of one pose; how far they are not is
    left to the temperature of the estimation.
    """

    name = "gridloc"

    def __init__(
        self,
        config: Matching,
        device: torch.device,
        project_ground: GroundProjector | None = None,
        model: Model | None = None,
    ) -> None:
        """Load the network, or take a `model` that is in memory.

        Raises:
            ModelError: weights are missing or of another model.
        """
        del project_ground  # this method has no plane of the ground
        super().__init__(device)
        self._config = config.gridloc
        self._model = model or _load(config.gridloc, device)
        self.reach_m = reach_m(self._model.network.settings.extent_m)
        self._kept: OrderedDict[tuple[str, int], tuple[GroundView, F64, Tensor, Tensor | None]] = OrderedDict()

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> ScoreVolume:
        """Score every pose of the window; -inf where there is no imagery, and everywhere without a view.

        Raises:
            ImageError: an image does not fit its camera.
            ModelError: the aerial code is another matcher's, or no view is of the kind that the model was trained for.
        """
        side = self._side(aerial)
        chosen = choose(views, self._model.network.settings, self._config.max_views)
        with torch.inference_mode():
            seen = [self._look(view, side, window) for view in chosen]
            on = axes(window, self._config.step_m, math.radians(self._config.yaw_step_deg))
            return volume(seen, on, self._model.network.settings, self._config.floor, self._device)

    def dry_run(self) -> None:
        """Run the network on grey images."""
        settings = self._model.network.settings
        self._model.locate(self._grey(*settings.ground_size), self._grey(settings.aerial_size, settings.aerial_size))

    def _look(self, view: GroundView, side: AerialSide, window: SearchWindow) -> Seen:
        settings = self._model.network.settings
        check_image(view)
        given, view = view, upright(view)
        yaw = window.centre.yaw_rad + view.T_ref_base.yaw_rad
        if settings.align == "roll":
            view = roll(view, roll_to_north(view, yaw))
        direction = looking(view.T_base_camera)
        crop = crop_near(window.centre.xy, yaw + direction if settings.align == "heading" else None)
        described, imagery = self._aerial(side, crop)
        head = self._model.network.locate(described, *self._encode(view, given))
        mounted = Pose2.at(view.T_base_camera[:2, 3], direction)
        return Seen(head, crop, imagery, view.T_ref_base @ mounted)

    def _encode(self, view: GroundView, given: GroundView) -> tuple[Tensor, Tensor | None]:
        """Tokens of a view, and where they lie if they vote; kept by the view as it came: keyframes come again."""
        settings, key = self._model.network.settings, (given.camera_name, given.stamp_ns)
        kept = self._kept.get(key)
        if kept is None or not same_picture(kept[0], given) or not np.array_equal(kept[1], view.T_base_camera):
            tokens = self._model.ground(to_tensor(visible_part(view, settings), settings.ground_size, self._device))
            where = None
            if settings.fuse == "vote":
                where = torch.from_numpy(road_places(view, settings)).to(self._device)[None]
            kept = self._kept[key] = given, view.T_base_camera, self._model.network.encode_ground(tokens), where
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return kept[2], kept[3]

    def _aerial(self, side: AerialSide, crop: Crop) -> tuple[Tensor, Tensor]:
        model, settings = self._model, self._model.network.settings
        square = Square(settings.extent_m, settings.aerial_size, settings.cells)
        return side.described(
            self.name, crop, square, lambda image: model.network.encode_aerial(model.aerial(image))
        )


def choose(views: Sequence[GroundView], settings: GridLocSettings, most: int) -> list[GroundView]:
    """Take the newest views of the kind that the model knows; a model of perspective images looks ahead in the others.

    Raises:
        ModelError: the model is one of panoramas, there are views, and none is a panorama.
    """
    fitting = [view for view in views if not settings.panorama or view.camera.kind == _PANORAMA]
    if views and not fitting:
        kinds = ", ".join(sorted({view.camera.kind for view in views}))
        msg = (
            f"the cameras are {kinds}, but matcher.gridloc.weights is a model of panoramas (equirectangular); "
            "name other weights"
        )
        raise ModelError(msg)
    return sorted(fitting, key=lambda view: -view.stamp_ns)[:most]


def _load(config: GridLoc, device: torch.device) -> Model:
    remedy = "name a file of trained weights (none are published)"
    return open_model(weights.named(config.weights, "matcher.gridloc.weights", remedy), device)
