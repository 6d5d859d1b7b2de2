# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Does odometry, and the heading if there is one, tell of the same drive as GNSS? Finds turned axes and wrong units."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cvloc_ros.evaluation.doctor.check import Check, ok, warn
from cvloc_ros.evaluation.doctor.survey import Survey
from cvloc_ros.geo.projection import Projection
from cvloc_ros.types import F64

ENOUGH_M = 20.0
"""A drive must extend so far, and six times the error of GNSS, before the two can be compared."""

STEP_M = 1.0
SCALE_ERROR = 0.1
ANGLE_DEG = 20.0
MIRRORED = 0.5
"""The mirrored path must fit this much better before it is believed."""


def check_motion(survey: Survey) -> Iterator[Check]:
    """Compare the drives; the vehicle must have moved and turned for all that can be found."""
    usable = [fix for fix in survey.fixes if fix.quality >= 0 and np.isfinite(fix.latitude_deg + fix.longitude_deg)]
    track = np.array([(s.stamp_ns * 1e-9, *s.pose.xy, s.pose.yaw_rad) for s in survey.track]).reshape(-1, 4)
    track = track[np.isfinite(track).all(axis=1)]
    if len(usable) < 3 or len(track) < 2:
        return
    yield from _own_direction(track)
    plane = Projection("local_enu", usable[0].latitude_deg, usable[0].longitude_deg)
    places = np.array([plane.to_map(fix.latitude_deg, fix.longitude_deg) for fix in usable])
    times = np.array([fix.stamp_ns * 1e-9 for fix in usable])
    shared = (times >= track[0, 0]) & (times <= track[-1, 0])
    sigma_m = float(np.sqrt(np.median([np.trace(fix.covariance_m2) / 2 for fix in usable])))
    extent_m = float(np.linalg.norm(np.ptp(places[shared], axis=0))) if shared.any() else 0.0
    least_m = max(ENOUGH_M, 6.0 * sigma_m)
    if shared.sum() < 3 or extent_m < least_m:
        yield ok("motion", f"moved {extent_m:.0f} m: drive {least_m:.0f} m with a bend, to compare odometry and GNSS")
        return
    yield from _paths(track, times[shared], places[shared], extent_m, sigma_m, survey)


def _own_direction(track: F64) -> Iterator[Check]:
    """Odometry's x axis must point where it moves."""
    steps, last = [], 0
    for index in range(1, len(track)):
        if np.hypot(*(track[index, 1:3] - track[last, 1:3])) >= STEP_M:
            steps.append((last, index))
            last = index
    if len(steps) < 5:
        return
    first, then = np.array(steps).T
    moved = track[then, 1:3] - track[first, 1:3]
    middle = np.angle(np.exp(1j * track[first, 3]) + np.exp(1j * track[then, 3]))
    off_deg = _median_angle_deg(np.arctan2(moved[:, 1], moved[:, 0]) - middle)
    if abs(off_deg) > ANGLE_DEG:
        yield warn(
            "odometry", f"it moves {off_deg:.0f} degrees from where its x axis points",
            "x must point forward (REP-103); check its frames, unless the vehicle drove backwards",
        )


def _paths(track: F64, times: F64, places: F64, extent_m: float, sigma_m: float, survey: Survey) -> Iterator[Check]:
    """Fit the odometry's path to that of GNSS: turned, scaled, and also mirrored."""
    there = places @ [1, 1j]
    own = np.interp(times, track[:, 0], track[:, 1]) + 1j * np.interp(times, track[:, 0], track[:, 2])
    turn, misfit_m = _fit(own, there)
    _, mirrored_m = _fit(own.conj(), there)
    allowed_m = 3.0 * sigma_m + 0.03 * extent_m
    if misfit_m > allowed_m and mirrored_m < MIRRORED * misfit_m:
        yield warn("odometry", "it turns left where GNSS turns right", "yaw must grow to the left (REP-103)")
    elif misfit_m > allowed_m:
        yield warn("odometry", f"its path is {misfit_m:.1f} m from that of GNSS", "check its yaw rate, and its stamps")
    elif abs(abs(turn) - 1.0) > SCALE_ERROR + 2.0 * sigma_m / extent_m:
        yield warn(
            "odometry", f"its distances are {1 / max(abs(turn), 1e-6):.2f} times those of GNSS",
            "check wheel radius and units (m/s)",
        )
    else:
        text = f"odometry and GNSS agree to {misfit_m:.1f} m over {extent_m:.0f} m"
        yield ok("motion", f"{text}, scale {1 / abs(turn):.3f}")
    if survey.headings and misfit_m <= allowed_m:
        yield from _heading(track, float(np.angle(turn)), survey)


def _fit(own: F64, there: F64) -> tuple[complex, float]:
    """Return the factor that turns and scales one path of complex points onto another, and what is left (RMS, m)."""
    a, b = own - own.mean(), there - there.mean()
    turn = complex(np.vdot(a, b) / max(float(np.vdot(a, a).real), 1e-9))
    return turn, float(np.sqrt(np.mean(np.abs(b - turn * a) ** 2)))


def _heading(track: F64, yaw_of_odom_rad: float, survey: Survey) -> Iterator[Check]:
    times = np.array([sample.stamp_ns * 1e-9 for sample in survey.headings])
    yaw = np.interp(times, track[:, 0], np.unwrap(track[:, 3])) + yaw_of_odom_rad
    off_deg = _median_angle_deg(np.array([sample.yaw_rad for sample in survey.headings]) - yaw)
    if abs(off_deg) > ANGLE_DEG:
        yield warn(
            "heading", f"it is {off_deg:.0f} degrees from the direction of the drive",
            "it must be ENU: 0 is east, counter-clockwise (REP-103), not a compass's; check the mounting of the sensor",
        )
    else:
        yield ok("heading", f"{off_deg:+.1f} degrees from the direction of the drive")


def _median_angle_deg(angles_rad: F64) -> float:
    centre = np.angle(np.exp(1j * angles_rad).mean())
    return float(np.degrees(centre + np.median(np.angle(np.exp(1j * (angles_rad - centre))))))
