# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Weights and inputs made from formulas, so that numbers can be compared between programs without any file.

Tests load it with the fixture `formula`; it must not import anything of torch at import time but arrays.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

_RING = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)])


def rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode("ascii")))


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Value of one key of a state dict, by its published name."""
    parts = key.split(".")
    leaf, parent = parts[-1], parts[-2] if len(parts) > 1 else ""
    if leaf == "num_batches_tracked":
        return torch.tensor(0)
    if leaf in ("grd_grid_queries", "running_var"):
        u = rng(key).random(shape)
        return _f32(u if leaf == "grd_grid_queries" else 1 + 0.2 * u)
    n = rng(key).standard_normal(shape)
    plain = {
        "dustbin_score": 1 + 0.1 * n,
        **dict.fromkeys(("cls_token", "pos_embed", "mask_token"), 0.02 * n),
        "gamma": 0.2 * (1 + 0.1 * n),
        "running_mean": 0.1 * n,
    }
    if leaf in plain:
        return _f32(plain[leaf])
    if "norm" in parent or parent.startswith("bn"):
        return _f32(1 + 0.1 * n if leaf == "weight" else 0.1 * n)
    if leaf == "bias":
        ring = parent == "sampling_offsets"
        return _f32((_RING[:, None] * np.arange(1, 5)[None, :, None]).ravel() if ring else 0.02 * n)
    gain = {"sampling_offsets": 0.5, "projector": 6.0, "qkv": 2.0}.get(parent, 2.0 if n.ndim == 4 else 1.0)
    centred = n - n.mean(axis=tuple(range(1, n.ndim)), keepdims=True)
    return _f32(gain * centred / np.sqrt(np.prod(shape[1:])))


def weights(shapes: Mapping[str, Iterable[int]]) -> dict[str, torch.Tensor]:
    return {key: weight(key, tuple(shape)) for key, shape in shapes.items()}


def normal(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return _f32(rng(name).standard_normal(shape))


def uniform(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return _f32(rng(name).random(shape))


def image(name: str, height: int, width: int) -> torch.Tensor:
    """Picture (1, 3, height, width) in 0..1: 16 waves in each channel."""
    draw = rng(name)
    f = 0.03 * draw.standard_normal((3, 16, 2))
    phi = 2 * np.pi * draw.random((3, 16))
    a = draw.random((3, 16))
    y, x = np.arange(height)[:, None], np.arange(width)[None, :]
    planes = [
        sum(a[c, k] * np.cos(2 * np.pi * (f[c, k, 0] * y + f[c, k, 1] * x) + phi[c, k]) for k in range(16))
        for c in range(3)
    ]
    return _f32(np.clip(0.5 + 0.15 * np.stack(planes), 0, 1))[None]


class Recorded:
    """The recorded numbers of one file."""

    def __init__(self, path: Path) -> None:
        self.arrays = np.load(path)

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def deviation(self, name: str, tensor: torch.Tensor, *, relative: bool = False) -> tuple[float, float]:
        """Largest and rms difference of a tensor from the recorded sample of it, of the run in its own precision."""
        index = torch.from_numpy(self.arrays[f"{name}/idx"]).long()
        value = torch.from_numpy(self.arrays[f"{name}/{'ref64' if tensor.dtype == torch.float64 else 'val'}"])
        difference = tensor.detach().reshape(-1)[index] - value
        if relative:
            difference = difference / value
        return float(difference.abs().max()), float(difference.pow(2).mean().sqrt())

    def agree(self, name: str, tensor: torch.Tensor, largest: float, rms: float, *, relative: bool = False) -> None:
        found = self.deviation(name, tensor, relative=relative)
        assert found[0] <= largest and found[1] <= rms, f"{name}: max, rms {found}; {largest}, {rms} accepted"


def _f32(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, dtype=np.float64).astype(np.float32))
