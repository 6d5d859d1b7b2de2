# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`matcher.name: gridloc`: camera images and an aerial patch in, a score volume of the pose of base out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from cvloc_ros.config import GridLoc, Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import weights
from cvloc_ros.matching.gridloc.model import Model, open_model
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.gridloc.volume import Seen, axes, volume
from cvloc_ros.matching.layers.aerial import AerialSide, Crop, Square, crop_near, reach_m
from cvloc_ros.matching.layers.matcher import DeviceMatcher
from cvloc_ros.matching.layers.views import check_image, looking, roll, roll_to_north, to_tensor
from cvloc_ros.types import U8, AerialCode, GroundView, Pose2, ScoreVolume, SearchWindow

_PANORAMA = "equirectangular"
_WIDE = (_PANORAMA, "fisheye")
_AHEAD_RAD = math.radians(80.0)  # between the cameras that small models are trained on (65 to 90 degrees)


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
        view = upright(view)
        yaw = window.centre.yaw_rad + view.T_ref_base.yaw_rad
        if settings.align == "roll":
            view = roll(view, roll_to_north(view, yaw))
        direction = looking(view.T_base_camera)
        crop = crop_near(window.centre.xy, yaw + direction if settings.align == "heading" else None)
        described, imagery = self._aerial(side, crop)
        tokens = self._model.ground(to_tensor(visible_part(view, settings), settings.ground_size, self._device))
        head = self._model.network.locate(described, self._model.network.encode_ground(tokens))
        mounted = Pose2.at(view.T_base_camera[:2, 3], direction)
        return Seen(head, crop, imagery, view.T_ref_base @ mounted)

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


def visible_part(view: GroundView, settings: GridLocSettings) -> U8:
    """Cut the part of the image out that the network sees, grey where the view is masked."""
    rgb = view.rgb if view.valid is None else np.where(view.valid[..., None], view.rgb, np.uint8(128))
    if view.camera.kind in _WIDE and not settings.panorama:
        return _ahead(rgb, view, settings)
    rows, cols = rgb.shape[:2]
    top, bottom, left, right = settings.ground_crop
    return rgb[round(top * rows) : round(bottom * rows), round(left * cols) : round(right * cols)]


def _ahead(rgb: U8, view: GroundView, settings: GridLocSettings) -> U8:
    """See along the axis of a panorama or fisheye camera as a perspective camera does, grey where it sees nothing."""
    rows, cols = settings.ground_size
    focal = 0.5 * cols / math.tan(0.5 * _AHEAD_RAD)
    v, u = np.mgrid[0:rows, 0:cols].astype(np.float64)
    rays = np.stack([(u - (cols - 1) / 2) / focal, (v - (rows - 1) / 2) / focal, np.ones_like(u)], -1)
    uv, inside = view.camera.project(rays)
    place = np.where(inside[..., None], uv, -9.0).astype(np.float32)
    seen = cv2.remap(rgb, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.where(inside[..., None], seen, np.uint8(128))


def upright(view: GroundView) -> GroundView:
    """Turn the picture of a camera that is mounted upside down."""
    if view.T_base_camera[2, 1] <= 0.0:
        return view
    return dataclasses.replace(
        view, rgb=view.rgb[::-1, ::-1], valid=None if view.valid is None else view.valid[::-1, ::-1],
        T_base_camera=view.T_base_camera @ np.diag([-1.0, -1.0, 1.0, 1.0]),
    )  # fmt: skip


def _load(config: GridLoc, device: torch.device) -> Model:
    remedy = "name a file of trained weights (none are published)"
    return open_model(weights.named(config.weights, "matcher.gridloc.weights", remedy), device)
