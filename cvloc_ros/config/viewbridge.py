# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of ViewBridge."""

from __future__ import annotations

from cvloc_ros.config.section import Section, param


class ViewBridge(Section):
    """ViewBridge: FG²'s lifting up to the visible surface, matched by refined similarities."""

    weights: str = param(
        "small", "small: shipped, trained on simulated worlds. Else a file from training; states its geometry."
    )
    backbone_weights: str = param("", "File or folder of the DINOv2 weights; not needed by models with their own.")
    matches: int = param(2048, "Matches that are drawn from the probabilities.", ge=8, le=65536)
    inlier_m: float = param(
        0.0, "Matches this close to the best pose agree with it (RANSAC). 0, as published: all of them do.", unit="m",
        ge=0, le=50,
    )  # fmt: skip
    max_views: int = param(8, "Views (the newest) that are lifted into one plane.", ge=1, le=32)
    seed: int = param(0, "Seed of the draws; they also depend on the stamp alone, so that a replay repeats them.", ge=0)
