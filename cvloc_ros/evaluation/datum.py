# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the map of the truth lies, when nobody says: a guess that is told as one, or none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cvloc_ros import messages
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.topics import Wiring
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.geo.projection import Projection
from cvloc_ros.odometry import OdometryTrack
from cvloc_ros.types import GeoFix, Pose2

DECIMALS = 4
"""People write a datum with few decimals; four are a grid of about 11 m by 7 m (at 48 degrees)."""
WITHIN_M = 1.5
FIXES = 10


@dataclass(frozen=True, slots=True)
class Guess:
    """Origin of the truth's map: the position with `DECIMALS` decimals next to what GNSS and truth say together."""

    latitude_deg: float
    longitude_deg: float
    off_m: float
    fixes: int

    def __str__(self) -> str:
        """Say it plainly, with the remedy."""
        return (
            f"datum {self.latitude_deg:.{DECIMALS}f}, {self.longitude_deg:.{DECIMALS}f} is a guess: nobody stated one, "
            f"and this is the only position with {DECIMALS} decimals that {self.fixes} GNSS fixes and the truth allow "
            f"({self.off_m:.1f} m from their median); errors are worth as much as the guess: give --datum to be sure"
        )


def guess_datum(bag: Bag, wiring: Wiring, truth: Trajectory) -> Guess | None:
    """Compare GNSS with the truth, carried to the fixes by odometry; None unless the answer is a round position.

    The map axes are taken to point east and north. GNSS alone gives the origin to a metre or two only, which would
    spoil every error: so nothing is guessed where no round position is near.
    """
    fixes, track = _read(bag, wiring)
    usable = [fix for fix in fixes if fix.quality >= 0 and np.isfinite(fix.latitude_deg + fix.longitude_deg)]
    if not usable:
        return None
    tentative = Projection("local_enu", usable[0].latitude_deg, usable[0].longitude_deg)
    offsets = []
    for fix in usable:
        pose = _pose(truth, track, fix.stamp_ns)
        if pose is not None:
            offsets.append(tentative.to_map(fix.latitude_deg, fix.longitude_deg) - pose.xy)
    if len(offsets) < FIXES:
        return None
    origin = np.median(offsets, axis=0)
    latitude, longitude = (round(float(value), DECIMALS) for value in tentative.to_geodetic(origin))
    off_m = float(np.hypot(*(tentative.to_map(latitude, longitude) - origin)))
    return Guess(latitude, longitude, off_m, len(offsets)) if off_m <= WITHIN_M else None


def _read(bag: Bag, wiring: Wiring) -> tuple[list[GeoFix], OdometryTrack]:
    fixes, track = [], OdometryTrack(history_s=1e6)
    for item in bag.messages([topic for topic in (wiring.fix, wiring.odom) if topic]):
        if item.topic == wiring.fix:
            fixes.append(messages.fix(item.message))
        else:
            track.add(messages.odometry(item.message))
    return fixes, track


def _pose(truth: Trajectory, track: OdometryTrack, stamp_ns: int) -> Pose2 | None:
    """True pose at a stamp: interpolated, or the nearest one carried there by odometry."""
    pose = truth.at(stamp_ns)
    if pose is not None:
        return pose
    nearest = int(truth.stamps_ns[np.argmin(np.abs(truth.stamps_ns - stamp_ns))])
    then, now, known = track.at(nearest), track.at(stamp_ns), truth.at(nearest)
    if then is None or now is None or known is None:
        return None
    return known @ then.pose.inverse() @ now.pose
