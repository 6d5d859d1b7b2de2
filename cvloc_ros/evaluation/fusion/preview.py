# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a filter would make of the poses of a replay, with and without GNSS: a preview of robot_localization."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cvloc_ros.config import Config
from cvloc_ros.evaluation.attempts import Attempt
from cvloc_ros.evaluation.feed import Feed, lever_arm
from cvloc_ros.evaluation.fusion.filter import Absolute
from cvloc_ros.evaluation.fusion.tracks import GATE_SIGMA, Drive, Outages, Track, run_track
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.history import fix_covariance
from cvloc_ros.odometry import OdometryTrack
from cvloc_ros.types import F64, Pose2

LENGTHS_S = (10.0, 30.0, 60.0)
MARGIN_S = 10.0
MAX_POINTS = 500
TRACKS: Mapping[str, tuple[str, ...]] = {
    "odometry": (),
    "odometry + GNSS": ("gnss",),
    "odometry + poses": ("poses",),
    "odometry + GNSS + poses": ("gnss", "poses"),
}
STARTS = {"poses": "first published pose", "prior": "first prior with a known yaw"}
NOTE = (
    "A preview of what robot_localization makes of the poses, not a replacement: a planar Kalman filter without states "
    "for the scale of the odometry, for its gyro bias or for the correlated errors of GNSS and imagery. Late "
    "measurements are applied at their stamp. Each track is judged at every odometry sample with what had arrived by "
    "then; a pose arrives when its images were complete, plus the time that its own localization took on this machine."
)
DEFINITIONS = {
    "median, p95, max, final": "horizontal error in metres over the drive or the outage; final: at its end",
    "nees_mean": "normalised error squared over x, y, yaw of the track; 3 is ideal, more is overconfident",
    "fused, rejected, too_late": "measurements that the track rests on; outside the gate (gate_sigma); older when they "
    "arrived than history_s",
    "outages_s": "beginning and length in seconds of log time since the start of what was replayed",
}


def preview(
    attempts: Sequence[Attempt], feed: Feed, truth: Trajectory | None, config: Config, outages: Outages = ()
) -> dict[str, Any]:
    """Fuse what a replay took in and published, for JSON; with `left_out` alone where that cannot be done.

    `outages` are those that the replay was made with: the localizer had no GNSS in them either. Without any, GNSS is
    taken from the filter alone, for each of `LENGTHS_S` that the middle of the drive has room for.
    """
    drive = _drive(attempts, feed, truth, config)
    if isinstance(drive, str):
        return {"left_out": [drive]}
    sources = {one.source for one in drive.measured}
    names = [name for name, wanted in TRACKS.items() if sources.issuperset(wanted)]
    whole = {name: run_track(drive, TRACKS[name]) for name in names}
    times = whole["odometry"].t_s
    if not len(times):
        return {"left_out": ["truth and odometry have no time in common after the first pose"]}
    cases, left_out = [outages], list[str]()
    if "gnss" not in sources:
        cases, left_out = [()], ["GNSS outages: no fix was taken in this drive"]
    elif not outages:
        placed, left_out = _place(drive, times)
        cases = [(), *placed]
    without = {name: track for name, track in whole.items() if "gnss" not in TRACKS[name]}
    tracks = [
        {name: without.get(name) or run_track(drive, TRACKS[name], case) for name in names} if case else whole
        for case in cases
    ]
    return {
        "note": NOTE,
        "gnss_missing_for": "localizer and the filter" if outages else "filter only; the localizer had it",
        "start": f"{STARTS[drive.start.source]}, {drive.seconds(drive.start.arrival_ns):.1f} s after the start",
        "history_s": drive.history_s,
        "gate_sigma": GATE_SIGMA,
        "left_out": left_out,
        "definitions": DEFINITIONS,
        "scenarios": [_scenario(case, found) for case, found in zip(cases, tracks, strict=True)],
        "series": _series(times, tracks),
    }


def _scenario(outages: Outages, tracks: Mapping[str, Track]) -> dict[str, Any]:
    named = " and ".join(f"{length:g} s" for _, length in outages)
    return {
        "name": f"without GNSS for {named}" if outages else "no outage",
        "outages_s": [[round(start, 3), round(length, 3)] for start, length in outages],
        "tracks": {
            name: {
                "whole": track.within(),
                "during": [track.within(start, length) for start, length in outages],
                **track.counts,
            }
            for name, track in tracks.items()
        },
    }


def _series(times: F64, tracks: Sequence[Mapping[str, Track]]) -> dict[str, Any]:
    step = max(1, math.ceil(len(times) / MAX_POINTS))
    return {
        "t_s": [round(float(t), 2) for t in times[::step]],
        "error_m": [
            {name: [round(float(e), 2) for e in track.position_m[::step]] for name, track in found.items()}
            for found in tracks
        ],
    }


def _place(drive: Drive, times: F64) -> tuple[list[Outages], list[str]]:
    """Put an outage of each length into the middle of the odometry, the same place for whatever is compared.

    It must begin `MARGIN_S` after the first pose, so that the filter has settled, and end as long before the end.
    """
    placed, left_out = list[Outages](), list[str]()
    middle_s = (drive.seconds(drive.odometry[0][0]) + drive.seconds(drive.odometry[-1][0])) / 2
    room_s = 2 * min(middle_s - float(times[0]), float(times[-1]) - middle_s) - 2 * MARGIN_S
    for length in LENGTHS_S:
        if length <= room_s:
            placed.append(((middle_s - length / 2, length),))
        else:
            left_out.append(
                f"GNSS outage of {length:g} s: around the middle of the drive {max(room_s, 0.0):.1f} s are left, "
                f"{MARGIN_S:g} s after the first pose and {MARGIN_S:g} s before the end"
            )
    return placed, left_out


def _drive(
    attempts: Sequence[Attempt], feed: Feed, truth: Trajectory | None, config: Config
) -> Drive | str:
    """Gather what the filter needs, or tell what is missing."""
    if truth is None:
        return "no truth to compare a filter with"
    if not feed.odometry:
        return "no odometry for a filter to go by"
    track = OdometryTrack(history_s=1e9)
    for sample in feed.odometry:
        track.add(sample)
    if track.restarts:
        return f"the odometry was restarted during the drive ({track.restarts}×); a filter would have to be as well"
    poses = [_pose(attempt) for attempt in attempts if attempt.estimate is not None]
    start = next((one for one in [*poses, *_known_priors(attempts)] if track.at(one.stamp_ns)), None)
    point = track.at(start.stamp_ns) if start else None
    if start is None or point is None:
        return "no pose and no prior with a known yaw to start a filter from"
    measured = [one for one in [*poses, *_fixes(feed, config)] if one.stamp_ns > start.stamp_ns]
    return Drive(
        list(zip(feed.odometry_at_ns, feed.odometry, strict=True)), measured, truth, start, point.pose,
        feed.start_ns or 0, 2 * config.estimation.max_latency_s, config.prior,
    )


def _pose(attempt: Attempt) -> Absolute:
    estimate = attempt.estimate
    if estimate is None:
        msg = f"attempt {attempt.number} published nothing"
        raise ValueError(msg)
    arrival_ns = attempt.log_time_ns + round(attempt.wall_s * 1e9)
    return Absolute(attempt.stamp_ns, arrival_ns, "poses", estimate.pose, estimate.covariance)


def _known_priors(attempts: Sequence[Attempt]) -> list[Absolute]:
    return [
        Absolute(a.stamp_ns, a.log_time_ns, "prior", a.prior.pose, a.prior.covariance)
        for a in attempts if a.prior is not None and a.prior.yaw_known
    ]  # fmt: skip


def _fixes(feed: Feed, config: Config) -> list[Absolute]:
    """Give the fixes that were taken as positions of the antenna in map, as uncertain as the localizer takes them."""
    session, found = feed.session, list[Absolute]()
    if session.projection is None:
        return found
    for arrival_ns, fix in zip(feed.fixes_at_ns, feed.fixes, strict=True):
        place = np.ravel(session.projection.to_map(fix.latitude_deg, fix.longitude_deg))
        lever = lever_arm(session, config.frames.base, fix)
        covariance = fix_covariance(fix.covariance_m2, config)
        found.append(Absolute(fix.stamp_ns, arrival_ns, "gnss", Pose2.at(place, 0.0), covariance, lever))
    return found
