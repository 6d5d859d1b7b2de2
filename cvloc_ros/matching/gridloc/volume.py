# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The head's distribution of the camera's pose as a score volume of base on axes of the map."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cvloc_ros.matching.gridloc.network import Head
from cvloc_ros.matching.gridloc.settings import GridLocSettings
from cvloc_ros.matching.layers.aerial import Crop
from cvloc_ros.types import F64, Pose2, ScoreVolume, SearchWindow

_PEAK_CELLS = 2.0
"""A place at the border of cells is a class of each of them: those next to each other are no two places."""


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """Axes of the volume, ascending: map metres and yaws of base; `centre_rad` and `half_rad` are the window's."""

    x_m: F64
    y_m: F64
    yaw_rad: F64
    centre_rad: float
    half_rad: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one view gave: the head of one item, the crop it refers to, which of its cells have imagery (cells²,).

    `camera` is the pose of the camera in base at the reference stamp, its yaw the direction that it looks in.
    """

    head: Head
    crop: Crop
    imagery: Tensor
    camera: Pose2


def axes(window: SearchWindow, step_m: float, yaw_step_rad: float) -> Axes:
    """Lay axes on whole multiples of the steps, so that the same poses are scored whatever the window is."""
    centre, half = window.centre, window.yaw_half_rad
    x_m, y_m = (_multiples(value, window.radius_m, step_m) for value in (centre.x_m, centre.y_m))
    if half >= math.pi - yaw_step_rad / 2:
        count = max(round(math.tau / yaw_step_rad), 1)
        yaw = np.asarray(np.remainder(np.arange(count) * math.tau / count + math.pi, math.tau) - math.pi)
        return Axes(x_m, y_m, np.sort(yaw), centre.yaw_rad, math.pi)
    return Axes(x_m, y_m, _multiples(centre.yaw_rad, half, yaw_step_rad), centre.yaw_rad, half)


def volume(seen: list[Seen], on: Axes, settings: GridLocSettings, floor: float, device: torch.device) -> ScoreVolume:
    """Multiply the distributions of all views.

    Each class is a normal distribution around its place, with the spread of the offsets (not stated by the source;
    chosen because the maximum is then the cell with its offset, as published, and likelihoods between cells are
    smooth). `floor` is the share that is spread evenly over all poses. The score of a pose is the share of their belief
    that the views put within about a cell and two bins of it: 1 where all are sure of it.

    A model of the location alone says nothing about the yaw. The layers then stand for the window: a normal
    distribution with the standard deviation of the window's even one, so that the pose has the prior's yaw and its
    covariance tells how little that says.
    """
    shape = (len(on.yaw_rad), len(on.y_m), len(on.x_m))
    log_likelihood = torch.zeros(shape, device=device)
    scores = torch.zeros(shape, device=device)
    overlap = torch.zeros(shape, device=device)
    for part in seen:
        density = _density(part, on, settings, device)
        near = _density(part, on, dataclasses.replace(settings, sigma_cells=1.0, sigma_bins=2.0), device)
        covered = _covered(part, on, settings, device)
        likelihood = torch.log((1.0 - floor) * density + floor * _even(settings))
        log_likelihood += torch.where(covered, likelihood, -torch.inf)
        scores += near / len(seen)
        overlap += covered / len(seen)
    if not seen:
        log_likelihood.fill_(-torch.inf)
    elif not settings.yaw_bins:
        away = np.remainder(on.yaw_rad - on.centre_rad + math.pi, math.tau) - math.pi
        spread = max(on.half_rad / math.sqrt(3.0), 1e-6)
        log_likelihood += _to(-0.5 * (away / spread) ** 2, device)[:, None, None]
    return ScoreVolume(torch.nan_to_num(log_likelihood, nan=-torch.inf, neginf=-torch.inf), scores, overlap,
                       on.x_m, on.y_m, on.yaw_rad, _PEAK_CELLS * settings.grid.cell_m)  # fmt: skip


def _density(part: Seen, on: Axes, settings: GridLocSettings, device: torch.device) -> Tensor:
    """Density (yaw, y, x) over the largest that a head can give."""
    grid, head = settings.grid, part.head
    logits = (head.logits[0] / settings.temperature).masked_fill(~part.imagery[:, None], -torch.inf)
    share = torch.nan_to_num(torch.softmax(logits.double().flatten(), 0)).view_as(logits)
    cell = torch.arange(share.shape[0], device=device)
    which = torch.arange(share.shape[1], device=device).expand(share.shape)
    centres, _ = grid.decode(cell, head.offset[0].double(), which[:, 0], head.turn[0, :, 0].double())
    _, heading = grid.decode(cell[:, None].expand(share.shape), head.offset[0, :, None].double(), which,
                             head.turn[0].double())  # fmt: skip
    places = _to(part.crop.to_map(centres.cpu().numpy()), device)
    yaw = on.yaw_rad + part.camera.yaw_rad
    if settings.yaw_bins:
        facing = part.crop.turn_rad + math.pi / 2 - heading
        away = torch.remainder(_to(yaw, device)[:, None, None] - facing + math.pi, math.tau) - math.pi
        likely = torch.exp(-0.5 * (away / (settings.sigma_bins * grid.bin_rad)) ** 2)
        weight = (likely * share).sum(2)
    else:
        weight = share.sum(1).expand(len(yaw), -1)
    lever = _lever(part.camera, on)
    sigma_m = settings.sigma_cells * grid.cell_m
    x, y = (
        torch.exp(-0.5 * ((_to(axis, device) + shift[:, None, None] - place[:, None]) / sigma_m) ** 2)
        for axis, shift, place in zip((on.x_m, on.y_m), _to(lever, device).T, places.T, strict=True)
    )
    density: Tensor = ((y * weight[..., None]).transpose(1, 2) @ x).float()
    return density


def _covered(part: Seen, on: Axes, settings: GridLocSettings, device: torch.device) -> Tensor:
    """Whether the camera stands on imagery (yaw, y, x)."""
    c, s = math.cos(part.crop.turn_rad), math.sin(part.crop.turn_rad)
    lever = _lever(part.camera, on)
    x = _to(on.x_m - part.crop.x_m, device)[None, None] + _to(lever[:, 0], device)[:, None, None]
    y = _to(on.y_m - part.crop.y_m, device)[None, :, None] + _to(lever[:, 1], device)[:, None, None]
    grid = settings.grid
    row = torch.floor((s * x - c * y) / grid.cell_m + grid.cells / 2)
    col = torch.floor((c * x + s * y) / grid.cell_m + grid.cells / 2)
    within = (row >= 0) & (row < grid.cells) & (col >= 0) & (col < grid.cells)
    index = torch.where(within, row * grid.cells + col, 0).long()
    return within & part.imagery[index]


def _even(settings: GridLocSettings) -> float:
    """Density of the even distribution over the grid, over the largest that a head can give."""
    share = math.tau * (settings.sigma_cells / settings.cells) ** 2
    if settings.yaw_bins:
        share *= math.sqrt(math.tau) * settings.sigma_bins / settings.yaw_bins
    return min(share, 1.0)


def _lever(camera: Pose2, on: Axes) -> F64:
    """From base to the camera (yaw, 2), map metres."""
    c, s = np.cos(on.yaw_rad), np.sin(on.yaw_rad)
    return np.stack([c * camera.x_m - s * camera.y_m, s * camera.x_m + c * camera.y_m], -1)


def _multiples(centre: float, half: float, step: float) -> F64:
    first, last = math.ceil((centre - half) / step), math.floor((centre + half) / step)
    if last < first:
        return np.array([centre])
    return np.arange(first, last + 1, dtype=np.float64) * step


def _to(values: F64, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)
