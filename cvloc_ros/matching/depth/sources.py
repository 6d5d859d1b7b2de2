# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which depth providers there are; networks are imported only when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cvloc_ros.config import Depth
from cvloc_ros.matching.depth.depth_map import DepthProvider
from cvloc_ros.matching.depth.flat_ground import FlatGround
from cvloc_ros.matching.depth.measured import Files, Measured

if TYPE_CHECKING:
    import torch

SOURCES = ("flat_ground", "measured", "files", "depth_anything", "unik3d")


def create(config: Depth, device: torch.device) -> DepthProvider:
    """Make the provider that the configuration names.

    Raises:
        ModelError: its weights, folder or package is missing.
    """
    if config.source == "measured":
        return Measured()
    if config.source == "files":
        return Files(Path(config.folder), config.metres_per_unit)
    if config.source == "depth_anything":
        from cvloc_ros.matching.depth.depth_anything import DepthAnything

        return DepthAnything(Path(config.weights), device)
    if config.source == "unik3d":
        from cvloc_ros.matching.depth.unik3d import UniK3D

        return UniK3D(Path(config.weights), device)
    return FlatGround()
