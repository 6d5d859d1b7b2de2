# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of FG²."""

from __future__ import annotations

from cvloc_ros.config.section import Section, param


class Fg2(Section):
    """FG²: ground features lifted into a plane by selecting heights, matched to the aerial image."""

    weights: str = param(
        "small", "small: shipped, trained on simulated worlds. Else a file from `cvloc weights convert fg2` "
        "or from training; states its geometry."
    )
    backbone_weights: str = param("", "File or folder of the DINOv2 weights; not needed by models with their own.")
    orientation_weights: str = param(
        "", "Second file of weights whose model finds an unknown yaw first; empty: one model does all."
    )
    two_pass_from_deg: float = param(
        30.0, "With orientation_weights: windows with a wider half range of yaw take both passes.", unit="deg", gt=0,
        le=180,
    )
    matches: int = param(2048, "Matches that are drawn from the probabilities.", ge=8, le=65536)
    ransac: bool = param(False, "Keep the matches that agree with the best of 2000 hypotheses, as published.")
    max_views: int = param(8, "Views (the newest) that are lifted into one plane; published models take one.", ge=1,
                           le=32)
    seed: int = param(0, "Seed of the draws; they also depend on the stamp alone, so that a replay repeats them.", ge=0)
