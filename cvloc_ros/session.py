# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sensor history on one side, `Localizer` on the other: the path that live node and replay share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvloc_ros.types import U8, CameraModel, F64, GeoFix, HeadingSample, LocalizationResult, OdomSample, Pose2

if TYPE_CHECKING:
    from cvloc_ros.config import Config
    from cvloc_ros.geo.projection import Projection
    from cvloc_ros.geo.transforms import TransformTree


@dataclass(frozen=True, slots=True, eq=False)
class CameraImage:
    """An image as it arrived; `decode` yields RGB (H, W, 3) u8 or raises `ImageError`, and is called only when needed."""

    camera: str
    stamp_ns: int
    frame_id: str
    decode: Callable[[], U8]


class Session:
    """All inputs of one vehicle. Not thread-safe but for the `add_*` and `set_*` methods, which only store."""

    config: Config
    projection: Projection | None
    """None until the first fix where `geo.datum_source` is first_fix."""
    transforms: TransformTree

    @classmethod
    def open(cls, config: Config) -> Session:
        """Open map, matcher and buffers. Raises CvlocError with the remedy where one of them cannot be had."""
        raise NotImplementedError

    def warm_up(self) -> float:
        """Run the matcher once on dummy data; return the seconds it took."""
        raise NotImplementedError

    def apply(self, config: Config) -> None:
        """Take over new values of the dynamic keys."""
        raise NotImplementedError

    def set_calibration(self, camera: str, model: CameraModel) -> None:
        """Set or replace the model of one camera (from CameraInfo)."""
        raise NotImplementedError

    def add_transform(self, parent: str, child: str, stamp_ns: int, T_parent_child: F64, *, static: bool) -> None:
        """Store one transform of /tf or /tf_static."""
        raise NotImplementedError

    def add_fix(self, fix: GeoFix) -> str:
        """Store a fix; return "" or the reason why it was refused (no_fix, not_finite, ...)."""
        raise NotImplementedError

    def add_odom(self, sample: OdomSample) -> str:
        """Store odometry of base in odom."""
        raise NotImplementedError

    def add_heading(self, sample: HeadingSample) -> str:
        """Store an absolute heading."""
        raise NotImplementedError

    def add_attitude(self, stamp_ns: int, roll_rad: float, pitch_rad: float) -> str:
        """Store roll and pitch of base against the horizon (from an IMU)."""
        raise NotImplementedError

    def set_initial_pose(self, stamp_ns: int, pose: Pose2, covariance: F64) -> str:
        """Start from this pose of base in map; covariance (3, 3) over x, y, yaw; huge variances mean unknown."""
        raise NotImplementedError

    def ready(self, stamp_ns: int) -> bool:
        """Tell whether odometry and TF have reached the stamp, so that waiting longer gains nothing."""
        raise NotImplementedError

    def localize(self, images: Sequence[CameraImage], age_s: float = 0.0) -> LocalizationResult:
        """Attempt a pose at the stamp of the first image (all images belong together in time).

        `age_s` is how old the image was when work on it began (0 in replay); it counts towards the latency gate.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget history, keyframes and own poses; keep map, matcher and calibration."""
        raise NotImplementedError

    def close(self) -> None:
        """Release map, cache and device."""
        raise NotImplementedError
