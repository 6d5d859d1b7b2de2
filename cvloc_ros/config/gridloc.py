# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of GridLoc."""

from __future__ import annotations

from cvloc_ros.config.section import Section, param


class GridLoc(Section):
    """GridLoc: cross-attention, and a distribution over the cells of a grid with an offset in each."""

    weights: str = param(
        "small", "small: shipped, trained on simulated worlds. Else a file from training; states its geometry; none "
        "are published."
    )
    step_m: float = param(0.5, "Step of the score volume.", unit="m", ge=0.05, le=10)
    yaw_step_deg: float = param(2.0, "Step of the score volume in yaw.", unit="deg", ge=0.1, le=30)
    max_views: int = param(
        4, "Views (the newest) whose distributions are multiplied; published models take one.", ge=1, le=32
    )
    floor: float = param(
        0.01, "Share of the probability that is spread over all poses: how often a view may be wrong altogether.",
        ge=1e-6, le=0.5,
    )  # fmt: skip
