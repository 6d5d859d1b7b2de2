# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sections of the matchers: which one, and the settings of each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cvloc_ros.config.fg2 import Fg2
from cvloc_ros.config.gridloc import GridLoc
from cvloc_ros.config.loc2 import Depth, Loc2
from cvloc_ros.config.section import Section, param
from cvloc_ros.config.viewbridge import ViewBridge


class Classical(Section):
    """The matcher without weights: bird's-eye mosaic against the patch by masked correlation."""

    yaw_step_deg: float = param(1.0, "Step of the yaw search when the yaw is known.", unit="deg", ge=0.1, le=10)
    range_m: float = param(20.0, "The ground is used up to this distance from the vehicle.", unit="m", ge=5, le=100)
    min_area_m2: float = param(25.0, "Least ground with imagery that is compared.", unit="m²", ge=1, le=10000)


class Matching(Section):
    """Which method compares the views with the patch."""

    name: str = param("classical", "Method; see the registry of cvloc_ros.matching.")
    device: Literal["auto", "cpu", "cuda"] = param("auto", "auto: CUDA where there is one; cuda: an error without it.")
    threads: int = param(
        1, "CPU threads of torch; more stall beside other work on few cores. 0 leaves torch's default.", ge=0, le=256
    )
    keyframes: int = param(5, "Views of this many places, the current one included, are matched together.", ge=1, le=50)
    keyframes_min: int = param(3, "Fewest places before an attempt is made.", ge=1, le=50)
    keyframe_spacing_m: float = param(2.0, "A new keyframe is kept after this travelled distance.", unit="m", gt=0,
                                      le=100)
    keyframe_max_age_m: float = param(40.0, "Keyframes further back than this are dropped.", unit="m", gt=0, le=500)
    crops: int = param(
        9, "Squares of imagery that fg2, viewbridge and loc2 compare where the window is wider than a quarter of their "
        "extent; each new one costs a pass of the backbone. 1: one around the middle of the window.", ge=1, le=64,
    )  # fmt: skip
    classical: Classical = Field(default_factory=Classical)
    fg2: Fg2 = Field(default_factory=Fg2)
    gridloc: GridLoc = Field(default_factory=GridLoc)
    loc2: Loc2 = Field(default_factory=Loc2)
    viewbridge: ViewBridge = Field(default_factory=ViewBridge)
    depth: Depth = Field(default_factory=Depth)

    @model_validator(mode="after")
    def _check_keyframes(self) -> Matching:
        if self.keyframes_min > self.keyframes:
            msg = f"keyframes_min {self.keyframes_min} exceeds keyframes {self.keyframes}"
            raise ValueError(msg)
        return self
