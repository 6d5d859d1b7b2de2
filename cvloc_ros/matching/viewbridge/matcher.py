# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`matcher.name: viewbridge`: camera images and an aerial patch in, correspondences in map metres out."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from cvloc_ros.config import Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching.fg2.views import choose, grey, ground_in_base, prepare
from cvloc_ros.matching.layers.aerial import (
    AerialSide,
    Crop,
    cell_validity,
    compare_all,
    crop_near,
    crops_over,
    cut,
    reach_m,
    to_device,
)
from cvloc_ros.matching.layers.sampling import sample_matches
from cvloc_ros.matching.layers.views import check_image
from cvloc_ros.matching.viewbridge.model import Model, open_model
from cvloc_ros.matching.viewbridge.network import GroundCode
from cvloc_ros.matching.viewbridge.output import nothing, reproject, to_map
from cvloc_ros.types import AerialCode, AerialPatch, Correspondences, GroundView, SearchWindow

_SEED = 2**63 - 1
_INLIER_CELLS = 1.5


class ViewBridgeMatcher:
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
        self._config, self._device, self._crops = config.viewbridge, device, config.crops
        if model is None and not config.viewbridge.weights:
            msg = "matcher.viewbridge.weights is empty; name a file of trained weights (none are published)"
            raise ModelError(msg)
        self._model = model or open_model(config.viewbridge.weights, config.viewbridge.backbone_weights, device)
        self.reach_m = reach_m(self._model.network.settings.plane.extent_m)

    def encode_aerial(self, patch: AerialPatch) -> AerialCode:
        """Put the patch on the device; the crops that frames ask for are encoded once and kept with it."""
        return AerialCode(patch, to_device(patch, self._device))

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> Correspondences:
        """Draw matches; none where no view sees ground or no imagery is there.

        Raises:
            ImageError: an image does not fit its camera.
            ModelError: the aerial code is another matcher's.
        """
        side = aerial.data
        if not isinstance(side, AerialSide):
            msg = f"aerial code of another matcher: {type(side).__name__}; encode the patch with viewbridge"
            raise ModelError(msg)
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
            seen = compare_all(crops, grid, lambda crop: self._compare(side, aerial.patch, crop, ground))
            stamp_ns = max(views[index].stamp_ns for index in chosen)
            generator = torch.Generator(self._device).manual_seed((self._config.seed + stamp_ns) % _SEED)
            drawn = sample_matches(seen.probability[None], self._config.matches, generator)
            traced = reproject(ground.surface, [part.uv for part in prepared], chosen)
        points = ground_in_base(views[chosen[0]], settings)
        # Among several crops most are wrong, and so are their matches: not all can agree.
        inlier_m = self._config.inlier_m or (math.inf if len(crops) == 1 else _INLIER_CELLS * settings.cell_m)
        return to_map(drawn, seen, points, traced, settings, inlier_m)

    def warm_up(self) -> float:
        """Run the network once on grey images; return the seconds it took."""
        start = time.perf_counter()
        with torch.inference_mode():
            network = self._model.network
            ground, aerial = grey(self._model.backbone, network.settings.plane, self._device)
            network.match(network.encode_aerial(aerial), network.encode_ground([ground]))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter() - start

    def close(self) -> None:
        """Free cached device memory."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _compare(self, side: AerialSide, patch: AerialPatch, crop: Crop, ground: GroundCode) -> Tensor:
        """Probabilities (cells², Ng) of one crop; 0 where there is no imagery."""
        settings = self._model.network.settings.plane

        def encode() -> tuple[Tensor, Tensor]:
            image, valid = cut(side, patch, crop, settings.extent_m, settings.aerial_size)
            return self._model.network.encode_aerial(self._model.backbone(image)), cell_validity(valid, settings.cells)

        described, imagery = side.get("viewbridge", crop, encode)
        probability = self._model.network.match(described, ground).probability[0]
        return torch.nan_to_num(probability * imagery[:, None], nan=0.0, posinf=0.0)
