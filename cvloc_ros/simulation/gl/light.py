# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a day to the numbers that the shaders want; colours are squared (near linear) RGB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvloc_ros.simulation.looks import LookSpec
from cvloc_ros.types import F64


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Light of one day: directions (3,), colours (3,), haze per metre, exposure."""

    sun: F64
    sun_colour: F64
    sky: F64
    bounce: F64
    haze: F64
    haze_per_m: float
    zenith: F64
    horizon: F64
    hills: F64
    disc: F64
    clouds: float
    exposure: float
    snow: float
    night: float


def light_of(look: LookSpec) -> Light:
    """Mix the light of a day."""
    if look.night:
        return _night(look)
    cloud, low = look.overcast, np.clip(1.0 - look.sun_elevation_deg / 30.0, 0.0, 1.0)
    warm = np.array([1.0, 0.95 - 0.2 * low, 0.88 - 0.42 * low])
    direct = (1.0 - cloud) ** 1.5 * (1.45 - 0.35 * low)
    sky = np.array([0.30, 0.36, 0.46]) * (1 - cloud) + np.array([0.74, 0.76, 0.80]) * cloud
    bounce = np.array([0.20, 0.19, 0.17]) * (1 - cloud) + np.array([0.34, 0.34, 0.33]) * cloud
    zenith = np.array([0.13, 0.30, 0.64]) * (1 - cloud) + np.array([0.58, 0.61, 0.66]) * cloud
    horizon = np.array([0.62, 0.70, 0.78]) * (1 - cloud) * (1 - 0.4 * low) + np.array([0.66, 0.68, 0.70]) * cloud
    horizon = horizon + np.array([0.55, 0.36, 0.16]) * low * (1 - cloud)
    lit = 0.9 * direct * max(float(look.sun[2]), 0.25) + 0.9 * float(sky.mean())
    snowy = 1.0 if look.season == "snow" else 0.0
    return Light(
        sun=look.sun, sun_colour=warm * direct, sky=sky, bounce=bounce + 0.2 * snowy, haze=horizon * 0.95,
        haze_per_m=1.0 / look.fog_m, zenith=zenith, horizon=horizon,
        hills=horizon * 0.62 * (0.7 + 0.3 * snowy) + np.array([0.0, 0.02, 0.0]),
        disc=warm * (1 - cloud), clouds=0.25 + 0.75 * cloud,
        exposure=(1.15 - 0.25 * snowy) / lit, snow=snowy, night=0.0,
    )  # fmt: skip


def _night(look: LookSpec) -> Light:
    dark = np.array([0.012, 0.016, 0.028])
    snowy = 1.0 if look.season == "snow" else 0.0
    return Light(
        sun=np.array([0.3, 0.2, 0.93]), sun_colour=dark * 0.6, sky=dark, bounce=dark * 0.5,
        haze=dark * (1 + 30 / look.fog_m), haze_per_m=1.0 / look.fog_m, zenith=dark * 0.5, horizon=dark * 1.6,
        hills=dark * 0.4, disc=np.zeros(3), clouds=0.3, exposure=2.2, snow=snowy, night=1.0,
    )  # fmt: skip
