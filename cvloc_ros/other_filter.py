# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The prior from a filter that fuses other sensors: by TF, or by an Odometry topic in the frame of the map."""

from __future__ import annotations

import math

import numpy as np

from cvloc_ros.buffers import StampBuffer
from cvloc_ros.config import Config
from cvloc_ros.estimation.gates import Refusal, largest_sigma
from cvloc_ros.geo import se2, se3
from cvloc_ros.geo.transforms import FrameLookupError, TransformTree
from cvloc_ros.odometry import JUMP_M, JUMP_MPS
from cvloc_ros.types import F64, OdomSample, PosePrior, Status

SOURCES = ("tf", "filter")
"""Values of `prior.source` that mean another filter; a prior made from it has the same `source`."""

MAX_GAP_NS = 1_000_000_000


class OtherFilter:
    """Poses of base in map by another filter; interpolated at the stamp, never across a gap or a jump."""

    def __init__(self, config: Config, transforms: TransformTree) -> None:
        """Keep poses of the topic; those of TF are in the tree."""
        self._poses: StampBuffer[OdomSample] = StampBuffer(config.inputs.history_s)
        self._transforms = transforms

    def add(self, sample: OdomSample) -> str:
        """Store a pose of base in map; return "" or why it was refused (not_finite, clock_jump, too_old)."""
        if not np.isfinite([sample.pose.x_m, sample.pose.y_m, sample.pose.yaw_rad]).all():
            return "not_finite"
        return self._poses.add(sample.stamp_ns, sample)

    def clear(self) -> None:
        """Forget the poses."""
        self._poses.clear()

    def reach(self, config: Config) -> int | None:
        """Stamp up to which a prior can be made."""
        if config.prior.source == "tf":
            return self._transforms.latest_stamp(config.frames.map, config.frames.base)
        newest = self._poses.newest
        return newest[0] if newest else None

    def prior(self, stamp_ns: int, config: Config) -> PosePrior | Refusal:
        """Make the prior at the stamp, or say why there is none."""
        made = self._from_tf(stamp_ns, config) if config.prior.source == "tf" else self._from_topic(stamp_ns, config)
        if isinstance(made, PosePrior):
            sigma_m, _ = largest_sigma(made.covariance)
            if not sigma_m <= config.prior.max_sigma_m:
                return Status.WEAK_PRIOR, f"the filter's sigma is {sigma_m:.1f} m, limit {config.prior.max_sigma_m}"
        return made

    def _from_tf(self, stamp_ns: int, config: Config) -> PosePrior | Refusal:
        try:
            T_map_base = self._transforms.lookup(config.frames.map, config.frames.base, stamp_ns)
        except FrameLookupError as err:
            return Status.NO_PRIOR, str(err)
        return PosePrior(se3.to_pose2(T_map_base), floor(config), stamp_ns, yaw_known=True, source="tf")

    def _from_topic(self, stamp_ns: int, config: Config) -> PosePrior | Refusal:
        topic = config.inputs.filter_topic
        before, after = self._poses.bracket(stamp_ns)
        if before is None or after is None:
            if self._poses.newest is None:
                return Status.NO_PRIOR, f"nothing came on {topic}; check inputs.filter_topic"
            return Status.STALE_PRIOR, f"{topic} does not cover the image stamp"
        (t0, first), (t1, last) = before, after
        if t1 - t0 > MAX_GAP_NS:
            return Status.STALE_PRIOR, f"{topic} has a gap of {(t1 - t0) * 1e-9:.1f} s at the image stamp"
        step_m = math.hypot(last.pose.x_m - first.pose.x_m, last.pose.y_m - first.pose.y_m)
        if step_m > JUMP_M + JUMP_MPS * (t1 - t0) * 1e-9:
            return Status.WEAK_PRIOR, f"{topic} jumps by {step_m:.1f} m at the image stamp"
        pose = se2.interpolate(first.pose, last.pose, (stamp_ns - t0) / (t1 - t0) if t1 > t0 else 0.0)
        spread = [floor(config) if item.covariance is None else item.covariance for item in (first, last)]
        covariance = max(spread, key=lambda item: float(np.trace(item[:2, :2]))) + floor(config)
        known = math.sqrt(covariance[2, 2]) <= math.radians(config.prior.yaw_known_deg)
        return PosePrior(pose, covariance, stamp_ns, known, source="filter")


def floor(config: Config) -> F64:
    """Covariance (3, 3) below which no filter is believed: it may be drawn by the same GNSS."""
    sigma_m, sigma_rad = config.prior.fix_sigma_floor_m, math.radians(config.prior.own_sigma_deg)
    return np.diag([sigma_m**2, sigma_m**2, sigma_rad**2])
