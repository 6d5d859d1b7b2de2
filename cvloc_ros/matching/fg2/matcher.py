# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`matcher.name: fg2`: camera images and an aerial patch in, correspondences in map metres out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cvloc_ros.config import Fg2, Matching
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching import weights
from cvloc_ros.matching.fg2.decode import draw
from cvloc_ros.matching.fg2.model import Model, open_model
from cvloc_ros.matching.fg2.network import GroundCode
from cvloc_ros.matching.fg2.output import nothing, to_map, trace
from cvloc_ros.matching.fg2.views import choose, forward_in_base, grey, ground_in_base, prepare
from cvloc_ros.matching.layers.aerial import Crop, Square, compare_all, crop_near, crops_over, reach_m
from cvloc_ros.matching.layers.matcher import DeviceMatcher
from cvloc_ros.matching.layers.views import check_image, roll_to_north
from cvloc_ros.types import AerialCode, Correspondences, GroundView, SearchWindow


class Fg2Matcher(DeviceMatcher):
    """Lifts the views into a plane, matches it to the aerial image, and draws matches.

    With `orientation_weights` and a yaw less certain than `two_pass_from_deg` a first model finds the yaw that the
    second starts from.
    """

    name = "fg2"

    def __init__(
        self,
        config: Matching,
        device: torch.device,
        project_ground: GroundProjector | None = None,
        models: tuple[Model, Model | None] | None = None,
    ) -> None:
        """Load the networks, or take `models` that are in memory: the model and the one of the first pass.

        Raises:
            ModelError: weights are missing or of another model.
        """
        del project_ground  # this method lifts the images itself
        super().__init__(device)
        self._config, self._crops = config.fg2, config.crops
        self._model, self._first = models or _load(config.fg2, device)
        extents = [model.network.settings.extent_m for model in (self._model, self._first) if model is not None]
        self.reach_m = reach_m(max(extents))

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> Correspondences:
        """Draw matches; where no view sees ground or no imagery is there, their weights are 0.

        Raises:
            ImageError: an image does not fit its camera.
            ModelError: the aerial code is another matcher's.
        """
        with torch.inference_mode():
            yaw = window.centre.yaw_rad
            two = self._first is not None and window.yaw_half_rad > math.radians(self._config.two_pass_from_deg)
            if two and self._first is not None:
                found = self._run(self._first, views, aerial, window, yaw)
                yaw = found.yaw_rad if found.yaw_rad is not None else yaw
            return self._run(self._model, views, aerial, window, yaw).matches

    def dry_run(self) -> None:
        """Run the networks on grey images."""
        for model in (self._model, self._first):
            if model is not None:
                ground, aerial = grey(model.backbone, model.network.settings, self._device)
                model.network.match(model.network.encode_aerial(aerial), model.network.encode_ground([ground]))

    def _run(
        self, model: Model, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow, yaw_rad: float
    ) -> _Found:
        settings = model.network.settings
        chosen = choose(views, settings, self._config.max_views)
        if not chosen:
            return _Found(nothing(), None)
        for index in chosen:
            check_image(views[index])
        first = views[chosen[0]]
        rolls = [roll_to_north(views[i], yaw_rad) if settings.align == "roll" else 0 for i in chosen]
        prepared = [prepare(views[i], settings, self._device, by) for i, by in zip(chosen, rolls, strict=True)]
        forward = forward_in_base(first, settings, rolls[0])
        north = settings.align == "north" or (settings.align == "roll" and prepared[0].wraps)
        near = crop_near(window.centre.xy, None if north else yaw_rad + forward)
        # What a shifted model means by a match depends on the middle of its crop: those of several do not agree.
        most = 1 if settings.shifted else self._crops
        crops = crops_over(near, window.centre.xy, window.radius_m, settings.extent_m, most)
        tokens = model.backbone(torch.cat([part.image for part in prepared]))
        ground = model.network.encode_ground([part.with_tokens(tokens[i, None]) for i, part in enumerate(prepared)])
        points = settings.aerial_points().to(self._device)
        seen = compare_all(crops, points, lambda crop: self._compare(model, aerial, crop, ground))
        drawn = draw(
            seen.probability[None], seen.points, settings, self._config.matches, robust=self._config.ransac,
            generator=self._generator(self._config.seed + first.stamp_ns),
        )  # fmt: skip
        traced = trace(ground.share, [part.uv for part in prepared], chosen)
        matches = to_map(drawn, seen.crop, ground_in_base(first, settings, rolls[0]), traced, settings, first)
        yaw = None if drawn.turn_rad is None else seen.crop.turn_rad + math.pi / 2 - drawn.turn_rad - forward
        return _Found(matches, yaw)

    def _compare(self, model: Model, aerial: AerialCode, crop: Crop, ground: GroundCode) -> Tensor:
        """Probabilities (cells², Ng) of one crop; 0 where there is no imagery."""
        settings = model.network.settings
        square = Square(settings.extent_m, settings.aerial_size, settings.cells)
        descriptors, imagery = self._side(aerial).described(
            "first" if model is self._first else "second", crop, square,
            lambda image: model.network.encode_aerial(model.backbone(image)),
        )  # fmt: skip
        probability = model.network.match(descriptors, ground)[1][0]
        return torch.nan_to_num(probability * imagery[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Matches, and the yaw of base in map that they give (None: none)."""

    matches: Correspondences
    yaw_rad: float | None


def _load(config: Fg2, device: torch.device) -> tuple[Model, Model | None]:
    remedy = "give a file of FG² weights (cvloc weights convert fg2 makes one)"
    path = weights.named(config.weights, "matcher.fg2.weights", remedy)
    model = open_model(path, config.backbone_weights, device)
    if not config.orientation_weights:
        return model, None
    return model, open_model(config.orientation_weights, config.backbone_weights, device, share=model)
