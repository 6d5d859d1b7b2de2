# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Aerial imagery: sources, HTTP client, cache, mosaic and patches. Start at `open_map`."""

from __future__ import annotations

from cvloc_ros.tiles.aerial_map import AerialMap
from cvloc_ros.tiles.opening import open_map

__all__ = ["AerialMap", "open_map"]
