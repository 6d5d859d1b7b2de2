# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The matcher without weights: bird's-eye features of the last keyframes against the patch, every x, y and yaw scored.

It is the baseline that every learned method must beat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from cvloc_ros.config import Matching
from cvloc_ros.errors import ModelError
from cvloc_ros.ground import GroundProjector
from cvloc_ros.matching.correlation import AerialSpectra, correlate, pool, rotate, spectra
from cvloc_ros.matching.features import gradient_direction
from cvloc_ros.matching.layers.matcher import DeviceMatcher
from cvloc_ros.matching.mosaic import MosaicBuilder
from cvloc_ros.types import F32, F64, AerialCode, AerialPatch, GroundView, ScoreVolume, SearchWindow

_YAWS_AT_ONCE = {"cpu": 1, "cuda": 24}  # what stays in the cache of a CPU is twice as fast; a GPU wants batches
_MANY_YAWS = 60  # more are first thinned out on cells twice as wide
_THIN = 3
_PROMISING = 5


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """Aerial features (2, H, W) and mask (H, W) on the device."""

    features: torch.Tensor
    mask: torch.Tensor


class ClassicalMatcher(DeviceMatcher):
    """Masked correlation of signed gradient directions by FFT, on CPU or GPU."""

    name = "classical"

    def __init__(self, config: Matching, device: torch.device, project_ground: GroundProjector) -> None:
        super().__init__(device)
        self._config = config.classical
        self.reach_m = config.classical.range_m + config.keyframe_max_age_m
        self._mosaic = MosaicBuilder(project_ground, config.classical.range_m)

    def encode_aerial(self, patch: AerialPatch) -> AerialCode:
        """Compute the features of the patch."""
        features, mask = gradient_direction(patch.rgb, patch.valid, patch.metres_per_px)
        return AerialCode(patch, _Features(self._to_device(features), self._to_device(mask)))

    def match(self, views: Sequence[GroundView], aerial: AerialCode, window: SearchWindow) -> ScoreVolume:
        """Score every pose of the window, on the patch's own pixel grid and on whole yaw steps.

        The log-likelihood of a pose with correlation r over n observations is -n/2 log(1 - r²), that of a linear model
        of the aerial features against none (0 for r <= 0). One per square metre of compared ground is taken; how
        independent they are is left to the temperature of the estimation. Ground without imagery says nothing.
        """
        resolution = aerial.patch.metres_per_px
        features, weight = (self._to_device(part) for part in self._mosaic.build(views, resolution))
        n = weight.shape[-1]
        x_m, y_m, crop = _placements(aerial.patch, window, n)
        imagery, mask = _crop(aerial, crop)
        yaws = _yaws(window, math.radians(self._config.yaw_step_deg))
        if len(yaws) > _MANY_YAWS:
            yaws = self._promising(yaws, (features, weight), (imagery, mask), resolution)
        score, cells, likelihood = self._score(yaws, features, weight, spectra(imagery, mask), resolution)
        share = cells.div_(weight.sum().clamp_min(1.0))
        return ScoreVolume(likelihood, score, share, x_m, y_m, yaws)

    def _score(
        self, yaws: F64, features: torch.Tensor, weight: torch.Tensor, aerial: AerialSpectra, resolution_m: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Correlation, compared cells and log-likelihood, each (yaw, y, x)."""
        rows, columns = (side - weight.shape[-1] + 1 for side in aerial.shape)
        score = torch.empty((len(yaws), rows, columns), device=self._device)
        cells = torch.empty_like(score)
        at_once = _YAWS_AT_ONCE[self._device.type]
        for start in range(0, len(yaws), at_once):
            some = slice(start, start + at_once)
            batch = torch.as_tensor(yaws[some], dtype=torch.float32, device=self._device)
            score[some], cells[some] = correlate(*rotate(features, weight, batch), aerial)
        area_m2 = cells * resolution_m**2
        # In place: where all yaws are searched each of these takes tens of megabytes.
        likelihood = score.clamp(0.0, 0.99).square_().neg_().log1p_().mul_(-0.5).mul_(area_m2)
        likelihood[area_m2 < self._config.min_area_m2] = -torch.inf
        return score, cells, likelihood

    def _promising(
        self,
        yaws: F64,
        ground: tuple[torch.Tensor, torch.Tensor],
        imagery: tuple[torch.Tensor, torch.Tensor],
        resolution_m: float,
    ) -> F64:
        """Keep the yaws around the best few directions of a coarse search in all of them."""
        features, weight = (pool(part) for part in ground)
        side = spectra(*(pool(part) for part in imagery))
        _, _, likelihood = self._score(yaws[::_THIN], features, weight, side, 2 * resolution_m)
        best = likelihood.flatten(1).max(1).values.cpu().numpy()
        keep = np.zeros(len(yaws), bool)
        for _ in range(_PROMISING):
            top = int(np.argmax(best)) * _THIN
            around = np.arange(top - _THIN, top + _THIN + 1) % len(yaws)
            keep[around] = True
            best[(around[::_THIN] // _THIN) % len(best)] = -np.inf
        return yaws[keep]

    def dry_run(self) -> None:
        """Correlate noise of the usual size."""
        noise = torch.rand(2, 256, 256, device=self._device)
        side = spectra(noise, torch.ones(256, 256, device=self._device))
        yaws = torch.zeros(2, device=self._device)
        correlate(*rotate(noise[:, :160, :160], torch.ones(160, 160, device=self._device), yaws), side)

    def _to_device(self, array: F32) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _yaws(window: SearchWindow, step: float) -> F64:
    """Whole multiples of the step inside the window, so that the same pose is scored whatever the window is."""
    if window.yaw_half_rad >= math.pi - step / 2:
        count = round(math.tau / step)
        return np.asarray(np.remainder(np.arange(count) * math.tau / count + math.pi, math.tau) - math.pi)
    centre, half = window.centre.yaw_rad, window.yaw_half_rad
    first, last = math.ceil((centre - half) / step), math.floor((centre + half) / step)
    return np.arange(first, last + 1, dtype=np.float64) * step


def _placements(patch: AerialPatch, window: SearchWindow, cells: int) -> tuple[F64, F64, tuple[int, int, int, int]]:
    """Axes of base positions (pixel corners of the patch) and the crop (top, left, height, width) that they need."""
    column, row = patch.px_from_map(window.centre.xy)
    radius = max(1, math.ceil(window.radius_m / patch.metres_per_px))
    half = cells // 2
    left, top = round(column + 0.5) - radius - half, round(row + 0.5) - radius - half
    count = 2 * radius + 1
    corner = np.arange(count) + half - 0.5
    x_m = patch.map_from_px[0, 0] * (left + corner) + patch.map_from_px[0, 2]
    y_m = patch.map_from_px[1, 1] * (top + corner) + patch.map_from_px[1, 2]
    return x_m, y_m, (top, left, count + cells - 1, count + cells - 1)


def _crop(aerial: AerialCode, crop: tuple[int, int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut features and mask; what lies outside the patch has no imagery."""
    data = aerial.data
    if not isinstance(data, _Features):
        msg = f"aerial code of another matcher: {type(data).__name__}"
        raise ModelError(msg)
    top, left, height, width = crop
    rows, cols = data.mask.shape
    pad = (max(0, -left), max(0, left + width - cols), max(0, -top), max(0, top + height - rows))
    top, left = top + pad[2], left + pad[0]
    area = (..., slice(top, top + height), slice(left, left + width))
    return functional.pad(data.features, pad)[area], functional.pad(data.mask, pad)[area]
