# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a replay leaves behind, for metrics and report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cvloc_ros.config import Config
from cvloc_ros.evaluation.attempts import Judged
from cvloc_ros.evaluation.gallery import Gallery
from cvloc_ros.evaluation.mosaic import PatchMosaic
from cvloc_ros.evaluation.truth import Trajectory


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """All that the report is made of."""

    config: Config
    judged: list[Judged]
    metrics: Mapping[str, Any]
    conditions: Mapping[str, str]
    truth: Trajectory | None
    gnss: Trajectory | None
    mosaic: PatchMosaic
    gallery: Gallery
    fusion: Mapping[str, Any] = field(default_factory=dict)
    """What a planar filter makes of the poses; empty where it was not asked for."""
