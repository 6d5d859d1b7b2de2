# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a model of ViewBridge is; stored in the header of its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cvloc_ros.matching.fg2.settings import Fg2Settings
from cvloc_ros.matching.layers.settings import ModelSettings
from cvloc_ros.matching.viewbridge.refiner import RefinerSettings

PUBLISHED_PLANE = Fg2Settings(
    "mended", 71.0, 41, front_only=False, height_min_m=-10.0, height_max_m=10.0, heights=11,
    ground_size=(714, 1428), aerial_size=630, align="north",
)  # fmt: skip
"""Sizes of the published model on VIGOR. There heights are counted from the camera, here from the ground: a new model
sets them to what stands on the ground (see `VARIANTS`)."""


@dataclass(frozen=True, slots=True)
class ViewBridgeSettings(ModelSettings):
    """One model: the plane and the lifting of FG² (mended mode), the surface, and the refiner.

    `threshold` and `softness` are those of the Surface Model; threshold 1 pools as FG² does. `adaptive_dustbin` False
    is the constant of FG². `aerial_queries`: a learned map is added to the aerial tokens.
    """

    NAME = "viewbridge"
    TITLE = "ViewBridge"

    plane: Fg2Settings = field(default_factory=Fg2Settings)
    threshold: float = 0.9
    softness: float = 0.05
    renormalise: bool = True
    refiner: RefinerSettings = field(default_factory=RefinerSettings)
    adaptive_dustbin: bool = True
    aerial_queries: bool = True

    def faults(self) -> Sequence[tuple[bool, str]]:
        """See `ModelSettings`."""
        refiner = self.refiner
        return [
            (self.plane.published, "plane.mode must be mended: no released weights need the published one"),
            (not 0.0 < self.threshold <= 1.0, f"threshold {self.threshold} must be above 0 and at most 1"),
            (not 0.0 < self.softness <= 1.0, f"softness {self.softness} must be above 0 and at most 1"),
            (not 1 <= refiner.iterations <= 16, f"refiner.iterations {refiner.iterations} must be 1 to 16"),
            (not 1 <= refiner.hidden <= 64, f"refiner.hidden {refiner.hidden} must be 1 to 64"),
            (not 1 <= refiner.landmarks <= 64, f"refiner.landmarks {refiner.landmarks} must be 1 to 64"),
        ]

    @classmethod
    def _fields(cls, read: dict[str, Any]) -> dict[str, Any]:
        plane = Fg2Settings.from_json(json.dumps(read.pop("plane")))
        return {**read, "plane": plane, "refiner": RefinerSettings(**read.pop("refiner"))}


VARIANTS = {
    "vigor": ViewBridgeSettings(dataclasses.replace(PUBLISHED_PLANE, height_min_m=-1.0, height_max_m=19.0)),
    "car": ViewBridgeSettings(),
}
"""`vigor`: the published sizes, heights from the ground, orientation unknown. `car`: cameras of a vehicle."""
