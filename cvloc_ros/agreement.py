# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""After a start without a heading or a gap: poses are believed only once several in a row tell the same story."""

from __future__ import annotations

from cvloc_ros.config import Config
from cvloc_ros.estimation.gates import innovation_sigma
from cvloc_ros.estimation.prior import drift_covariance
from cvloc_ros.geo import se2
from cvloc_ros.odometry import TrackPoint
from cvloc_ros.types import PoseEstimate, PosePrior

WITHOUT_HEADING = "after a start without heading"
_SIGMA = 3.4  # 99 % of three degrees of freedom


class Agreement:
    """Counts consecutive candidates that agree with the one before, carried by odometry."""

    def __init__(self) -> None:
        self._last: tuple[TrackPoint, PoseEstimate] | None = None
        self._count = 0

    def clear(self) -> None:
        """Begin anew."""
        self._last, self._count = None, 0

    def add(self, point: TrackPoint, estimate: PoseEstimate, config: Config, why: str = "") -> str:
        """Take the next candidate; return "" once enough agree, else how far the agreement is and why it is needed."""
        agrees = self._last is not None and _agrees(*self._last, point, estimate, config)
        if not agrees or self._last is None:
            self._last, self._count = (point, estimate), 1
        elif point.travelled_m - self._last[0].travelled_m >= config.matcher.keyframe_spacing_m:
            # Nearer ones share their views, and so their errors.
            self._last, self._count = (point, estimate), self._count + 1
        if self._count >= config.estimation.agreement:
            return ""
        wanted = config.estimation.agreement
        return f"{self._count} of {wanted} consecutive candidates agree {why or WITHOUT_HEADING}"


def _agrees(then: TrackPoint, before: PoseEstimate, here: TrackPoint, estimate: PoseEstimate, config: Config) -> bool:
    motion = then.pose.inverse() @ here.pose
    travelled, elapsed_s = here.travelled_m - then.travelled_m, (here.stamp_ns - then.stamp_ns) * 1e-9
    drift = drift_covariance(travelled, elapsed_s, config.prior)
    predicted, covariance = se2.compose(before.pose, before.covariance, motion, drift)
    expected = PosePrior(predicted, covariance, here.stamp_ns, yaw_known=True, source="agreement")
    return innovation_sigma(estimate.pose, estimate.covariance, expected) < _SIGMA
