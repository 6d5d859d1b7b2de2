# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of image pixels from one interface: measured, estimated by a network, or that of a flat road."""

from cvloc_ros.matching.depth.depth_map import DepthMap, DepthProvider
from cvloc_ros.matching.depth.sources import SOURCES, create

__all__ = ["SOURCES", "DepthMap", "DepthProvider", "create"]
