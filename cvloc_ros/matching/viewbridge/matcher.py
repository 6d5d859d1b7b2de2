# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`matcher.name: viewbridge`: camera images and an aerial patch in, correspondences in map metres out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from cvloc_ros.config import Matching, ViewBridge
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import weights
from cvloc_ros.matching.fg2.output import nothing
from cvloc_ros.matching.fg2.views import choose, grey, ground_in_base, prepare
from cvloc_ros.matching.layers.aerial import (
    AerialSide,
    Crop,
    Square,
    compare_all,
    crop_near,
    crops_over,
    reach_m,
)
from cvloc_ros.matching.layers.matcher import DeviceMatcher
from cvloc_ros.matching.layers.sampling import sample_matches
from cvloc_ros.matching.layers.views import check_image
from cvloc_ros.matching.viewbridge.model import Model, open_model
from cvloc_ros.matching.viewbridge.network import GroundCode
from cvloc_ros.matching.viewbridge.output import reproject, to_map
from cvloc_ros.types import AerialCode, Correspondences, GroundView, SearchWindow

_INLIER_CELLS = 1.5


class ViewBridgeMatcher(DeviceMatcher):
    """Lifts the views into a plane up to the visible surface, and draws matches of refined similarities.

    As published the matches go to the solver directly, without RANSAC: all agree with the pose.
    """

    name = "viewbridge"

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
        del project_ground  # this method lifts the images itself
        super().__init__(device)
        self._config, self._crops = config.viewbridge, config.crops
        self._model = model or _load(config.viewbridge, device)
        self.reach_m = reach_m(self._model.network.settings.plane.extent_m)

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> Correspondences:
        """Draw matches; none where no view sees ground or no imagery is there.

        Raises:
            ImageError: an image does not fit its camera.
            ModelError: the aerial code is another matcher's.
        """
        side = self._side(aerial)
        settings = self._model.network.settings.plane
        chosen = choose(views, settings, self._config.max_views)
        if not chosen:
            return nothing()
        for index in chosen:
            check_image(views[index])
        with torch.inference_mode():
            prepared = [prepare(views[index], settings, self._device) for index in chosen]
            if not any(bool(part.visible.any()) for part in prepared):
                return nothing()
            near = crop_near(window.centre.xy, None if settings.align == "north" else window.centre.yaw_rad)
            crops = crops_over(near, window.centre.xy, window.radius_m, settings.extent_m, self._crops)
            tokens = self._model.backbone(torch.cat([part.image for part in prepared]))
            ground = self._model.network.encode_ground(
                [part.with_tokens(tokens[number, None]) for number, part in enumerate(prepared)]
            )
            grid = settings.aerial_points().to(self._device)
            seen = compare_all(crops, grid, lambda crop: self._compare(side, crop, ground))
            stamp_ns = max(views[index].stamp_ns for index in chosen)
            generator = self._generator(self._config.seed + stamp_ns)
            drawn = sample_matches(seen.probability[None], self._config.matches, generator)
            traced = reproject(ground.surface, [part.uv for part in prepared], chosen)
        points = ground_in_base(views[chosen[0]], settings)
        # Among several crops most are wrong, and so are their matches: not all can agree.
        inlier_m = self._config.inlier_m or (math.inf if len(crops) == 1 else _INLIER_CELLS * settings.cell_m)
        return to_map(drawn, seen, points, traced, settings, inlier_m)

    def dry_run(self) -> None:
        """Run the network on grey images."""
        network = self._model.network
        ground, aerial = grey(self._model.backbone, network.settings.plane, self._device)
        network.match(network.encode_aerial(aerial), network.encode_ground([ground]))

    def _compare(self, side: AerialSide, crop: Crop, ground: GroundCode) -> Tensor:
        """Probabilities (cells², Ng) of one crop; 0 where there is no imagery."""
        network, settings = self._model.network, self._model.network.settings.plane
        square = Square(settings.extent_m, settings.aerial_size, settings.cells)
        described, imagery = side.described(
            self.name, crop, square, lambda image: network.encode_aerial(self._model.backbone(image))
        )
        probability = network.match(described, ground).probability[0]
        return torch.nan_to_num(probability * imagery[:, None], nan=0.0, posinf=0.0)


def _load(config: ViewBridge, device: torch.device) -> Model:
    remedy = "name a file of trained weights (none are published)"
    path = weights.named(config.weights, "matcher.viewbridge.weights", remedy)
    return open_model(path, config.backbone_weights, device)
