# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masked normalised correlation of a vector-valued ground raster with an aerial one, over x, y and yaw, by FFT.

For every offset the score is the cosine between the ground features and the aerial features under them, both weighted
by the ground mask and restricted to cells where both exist (masked normalised cross-correlation: Padfield, "Masked
Object Registration in the Fourier Domain", IEEE TIP 2012, without the means, which are zero for gradients).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

_HALF = 2  # the normalisers vary slowly: they are correlated on cells twice as wide


@dataclass(frozen=True, slots=True, eq=False)
class AerialSpectra:
    """Aerial side of the correlation: raster shape and spectra of masked features, energy and mask."""

    shape: tuple[int, int]
    features: torch.Tensor
    energy_and_mask: torch.Tensor


def fast_length(length: int) -> int:
    """Smallest even number of at least `length` whose only prime factors are 2, 3 and 5."""
    size = length + length % 2
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def spectra(features: torch.Tensor, mask: torch.Tensor) -> AerialSpectra:
    """Transform the aerial side once for all yaws: features (2, H, W), mask (H, W)."""
    height, width = mask.shape
    full = (fast_length(height), fast_length(width))
    coarse = (full[0] // _HALF, full[1] // _HALF)
    energy_and_mask = pool(torch.stack([(features**2).sum(0) * mask, mask]))
    return AerialSpectra(
        (height, width),
        torch.fft.rfft2(features * mask, s=full),
        torch.fft.rfft2(energy_and_mask, s=(fast_length(coarse[0]), fast_length(coarse[1]))),
    )


def pool(raster: torch.Tensor) -> torch.Tensor:
    """Average cells (..., H, W) two by two; an odd last row or column is averaged with nothing."""
    shape = raster.shape
    flat = raster.reshape(-1, 1, *shape[-2:])
    pooled = functional.avg_pool2d(flat, _HALF, ceil_mode=True, count_include_pad=False)
    return pooled.reshape(*shape[:-2], *pooled.shape[-2:])


def rotate(features: torch.Tensor, weight: torch.Tensor, yaws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn a ground raster counter-clockwise about its centre, its vectors with it.

    Args:
        features: (2, n, n), along +x and +y of base.
        weight: (n, n).
        yaws: (Y,) rad.

    Returns:
        features (Y, 2, n, n) along +x and +y of the map, weights (Y, n, n).
    """
    c, s = torch.cos(yaws), torch.sin(yaws)
    zero = torch.zeros_like(c)
    # grid_sample wants where each output cell comes from, in (right, down) coordinates.
    theta = torch.stack([torch.stack([c, -s, zero], -1), torch.stack([s, c, zero], -1)], -2)
    size = [len(yaws), 3, *weight.shape]
    grid = functional.affine_grid(theta, size, align_corners=False)
    stack = torch.cat([features, weight[None]]).expand(size)
    turned = functional.grid_sample(stack, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    x, y = turned[:, 0], turned[:, 1]
    c, s = c[:, None, None], s[:, None, None]
    return torch.stack([c * x - s * y, s * x + c * y], 1), turned[:, 2]


def correlate(ground: torch.Tensor, weight: torch.Tensor, aerial: AerialSpectra) -> tuple[torch.Tensor, torch.Tensor]:
    """Score every placement of the ground raster inside the aerial one.

    Args:
        ground: (Y, 2, n, n) features, already turned.
        weight: (Y, n, n) trust in each cell, 0..1.
        aerial: Spectra of a raster (H, W) with H, W >= n.

    Returns:
        scores (Y, H-n+1, W-n+1) in -1..1 and evidence (same shape): trusted ground cells with imagery under them.
    """
    n = weight.shape[-1]
    rows, cols = aerial.shape[0] - n + 1, aerial.shape[1] - n + 1
    size = _size(aerial.features)
    spectrum = torch.fft.rfft2(ground * weight[:, None], s=size)
    cross = _back((spectrum.conj() * aerial.features).sum(1), size, rows, cols)
    coarse = _size(aerial.energy_and_mask)
    sums = pool(torch.stack([(ground**2).sum(1) * weight, weight], 1))
    own, mask = torch.fft.rfft2(sums, s=coarse).conj().unbind(1)
    energy, imagery = aerial.energy_and_mask
    products = torch.stack([own * imagery, mask * energy, mask * imagery], 1)
    # A coarse lag k stands for the fine lag 2 k (both rasters are pooled from their first cell on).
    slow = _back(products, coarse, rows // _HALF + 2, cols // _HALF + 2) * _HALF**2
    slow = functional.interpolate(
        slow,
        size=((slow.shape[2] - 1) * _HALF + 1, (slow.shape[3] - 1) * _HALF + 1),
        mode="bilinear",
        align_corners=True,
    )[:, :, :rows, :cols]
    ground_energy, aerial_energy, evidence = slow.clamp_min(0.0).unbind(1)
    scores = cross / torch.sqrt(ground_energy * aerial_energy + 1.0)
    return scores.clamp(-1.0, 1.0), evidence


def _back(spectrum: torch.Tensor, size: tuple[int, int], rows: int, cols: int) -> torch.Tensor:
    """Inverse real transform of which only the first rows and columns are wanted."""
    some = torch.fft.ifft(spectrum, dim=-2)[..., :rows, :]
    back: torch.Tensor = torch.fft.irfft(some, n=size[1])
    return back[..., :cols]


def _size(spectrum: torch.Tensor) -> tuple[int, int]:
    return spectrum.shape[-2], (spectrum.shape[-1] - 1) * 2
