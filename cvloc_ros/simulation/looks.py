# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a day looks like: season, sun, weather. Drive and map have one each, and they are never the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cvloc_ros.errors import ConfigError
from cvloc_ros.types import F64

Season = Literal["spring", "summer", "autumn", "winter", "snow"]


@dataclass(frozen=True, slots=True)
class LookSpec:
    """A day. The sun's azimuth counts counter-clockwise from east; `overcast`, `rain` and `dirt` are 0..1."""

    season: Season = "summer"
    sun_azimuth_deg: float = -60.0
    sun_elevation_deg: float = 42.0
    overcast: float = 0.15
    fog_m: float = 900.0
    """Distance at which two thirds of the light are lost to haze."""
    night: bool = False
    rain: float = 0.0
    dirt: float = 0.0
    wear: float = 0.35
    """How worn the road paint is, 0..1."""
    exposure_s: float = 0.0
    """Exposure time of the cameras; 0 is too short for motion to blur anything (renderer gl)."""

    def __post_init__(self) -> None:
        """Refuse what is no day."""
        faults = [
            text
            for text, good in {
                f"season = {self.season}: one of spring, summer, autumn, winter, snow": self.season
                in ("spring", "summer", "autumn", "winter", "snow"),
                f"sun_elevation_deg = {self.sun_elevation_deg}: must be 2 to 90": 2 <= self.sun_elevation_deg <= 90,
                f"exposure_s = {self.exposure_s}: must be 0 to 0.1": 0 <= self.exposure_s <= 0.1,
                f"fog_m = {self.fog_m}: must be 5 or more": self.fog_m >= 5,
                f"overcast {self.overcast}, rain {self.rain}, dirt {self.dirt}, wear {self.wear}: each 0 to 1": all(
                    0 <= share <= 1 for share in (self.overcast, self.rain, self.dirt, self.wear)
                ),
            }.items()
            if not good
        ]
        if faults:
            raise ConfigError("\n".join(faults))

    @property
    def sun(self) -> F64:
        """Unit vector (3,) towards the sun."""
        azimuth, elevation = np.radians([self.sun_azimuth_deg, self.sun_elevation_deg])
        flat = np.cos(elevation)
        return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


DRIVE_LOOK = LookSpec()
MAP_LOOK = LookSpec(
    season="spring", sun_azimuth_deg=-118.0, sun_elevation_deg=36.0, overcast=0.0, fog_m=9000.0, wear=0.55
)

CONDITIONS: dict[str, LookSpec] = {
    "fair": DRIVE_LOOK,
    "overcast": LookSpec(overcast=0.95, exposure_s=0.004),
    "low_sun": LookSpec(sun_azimuth_deg=200.0, sun_elevation_deg=9.0, season="autumn", exposure_s=0.002),
    "autumn": LookSpec(season="autumn", sun_azimuth_deg=-130.0, sun_elevation_deg=27.0),
    "winter": LookSpec(season="winter", sun_elevation_deg=18.0, overcast=0.4, exposure_s=0.003),
    "snow": LookSpec(season="snow", sun_elevation_deg=20.0, overcast=0.6, exposure_s=0.002),
    "fog": LookSpec(overcast=1.0, fog_m=45.0, season="autumn", exposure_s=0.006),
    "rain": LookSpec(overcast=1.0, fog_m=250.0, rain=0.8, season="autumn", exposure_s=0.008),
    "night": LookSpec(night=True, exposure_s=0.02),
    "dirty": LookSpec(overcast=0.6, dirt=0.8, exposure_s=0.003),
}
"""Named conditions of the drive."""
