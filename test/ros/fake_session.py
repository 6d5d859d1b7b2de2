# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A session without matching: the last fix, projected, is the pose. All else behaves as the real one should."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from cvloc_ros.buffers import StampBuffer
from cvloc_ros.config import Config
from cvloc_ros.errors import ImageError, ModelError, TransformError
from cvloc_ros.geo.projection import Projection
from cvloc_ros.geo.transforms import TransformTree
from cvloc_ros.session import Session
from cvloc_ros.types import (
    AerialPatch,
    CameraImage,
    Correspondences,
    GeoFix,
    LocalizationResult,
    OdomSample,
    Pose2,
    PoseEstimate,
    PosePrior,
    SearchWindow,
    Status,
    TileState,
)  # fmt: skip

COVARIANCE = np.array([[0.25, 0.05, 0.01], [0.05, 0.36, -0.02], [0.01, -0.02, 0.01]])


class FakeSession(Session):
    """Holds what it was given in public attributes."""

    def __init__(self, config: Config) -> None:
        if config.matcher.device == "cuda":
            msg = "matcher.device is cuda, but there is no CUDA device; set matcher.device to auto"
            raise ModelError(msg)
        self.config = config
        self.projection = Projection.from_config(config.geo) if config.geo.datum else None
        self.transforms = TransformTree()
        self.fixes: StampBuffer[GeoFix] = StampBuffer(60.0)
        self.odometry: StampBuffer[OdomSample] = StampBuffer(60.0)
        self.headings: list = []
        self.filtered: list = []
        self.attitudes: list = []
        self.depths: list = []
        self.masks: list = []
        self.initial: list = []
        self.models: dict = {}
        self.aerial = None
        self.applied: list[Config] = []
        self.localized: list[tuple[CameraImage, ...]] = []
        self.resets = 0
        self.closed = False
        self.last_ns = 0
        self.delay_s = 0.0
        self.threads: set[int] = set()
        self.spoil: Callable[[LocalizationResult], LocalizationResult] = lambda result: result

    @classmethod
    def open(cls, config: Config) -> FakeSession:
        return cls(config)

    def troubles(self) -> dict[str, str]:
        return {"tf conflict": "; ".join(self.transforms.conflicts())}

    def warm_up(self) -> float:
        return 0.0

    def apply(self, config: Config) -> None:
        self.config = config
        self.applied.append(config)

    def set_calibration(self, camera, model) -> None:
        self.models[camera] = model

    def add_transform(self, parent, child, stamp_ns, T_parent_child, *, static) -> str:
        return self.transforms.add(parent, child, stamp_ns, T_parent_child, static=static)

    def add_fix(self, fix: GeoFix) -> str:
        if fix.quality < 0:
            return "no_fix"
        if not np.isfinite([fix.latitude_deg, fix.longitude_deg]).all():
            return "not_finite"
        return self.fixes.add(fix.stamp_ns, fix)

    def add_odom(self, sample: OdomSample) -> str:
        if not math.isfinite(sample.pose.yaw_rad):
            return "not_finite"
        return self.odometry.add(sample.stamp_ns, sample)

    def add_filter_pose(self, sample) -> str:
        self.filtered.append(sample)
        return ""

    def add_heading(self, sample) -> str:
        self.headings.append(sample)
        return ""

    def add_attitude(self, stamp_ns, roll_rad, pitch_rad) -> str:
        self.attitudes.append((stamp_ns, roll_rad, pitch_rad))
        return ""

    def add_depth(self, image) -> str:
        self.depths.append(image)
        return ""

    def add_mask(self, image) -> str:
        self.masks.append(image)
        return ""

    def set_initial_pose(self, stamp_ns, pose, covariance) -> str:
        self.initial.append((stamp_ns, pose, covariance))
        return ""

    def ready(self, stamp_ns: int) -> bool:
        return self.odometry.newest is not None and self.odometry.newest[0] >= stamp_ns

    def localize(self, images: Sequence[CameraImage], age_s: float = 0.0) -> LocalizationResult:
        self.threads.add(threading.get_ident())
        self.localized.append(tuple(images))
        time.sleep(self.delay_s)
        result = dataclasses.replace(self._attempt(images, age_s), cameras=tuple(image.camera for image in images))
        return self.spoil(result)

    def _attempt(self, images: Sequence[CameraImage], age_s: float) -> LocalizationResult:  # noqa: PLR0911
        stamp_ns = images[0].stamp_ns
        if stamp_ns <= self.last_ns:
            return LocalizationResult(Status.OLD_STAMP, stamp_ns)
        if age_s > self.config.estimation.max_latency_s:
            return LocalizationResult(Status.TOO_LATE, stamp_ns, (f"image is {age_s:.1f} s old",))
        for image in images:
            try:
                picture = image.decode()
                if not self.config.cameras[image.camera].mounting:
                    self.transforms.lookup(self.config.frames.base, image.frame_id, stamp_ns)
            except ImageError as err:
                return LocalizationResult(Status.BAD_IMAGE, stamp_ns, (str(err),))
            except TransformError as err:
                return LocalizationResult(Status.NO_TRANSFORM, stamp_ns, (str(err),))
            if self.config.cameras[image.camera].camera_info_topic and image.camera not in self.models:
                return LocalizationResult(Status.NO_CAMERA_INFO, stamp_ns, (f"no camera_info of {image.camera}",))
            model = self.models.get(image.camera)
            if model is not None and picture.shape[:2] != (model.height, model.width):
                return LocalizationResult(Status.BAD_IMAGE, stamp_ns, ("image and calibration differ in size",))
        return self._pose(stamp_ns)

    def _pose(self, stamp_ns: int) -> LocalizationResult:
        newest = self.fixes.newest
        if newest is None or self.projection is None:
            return LocalizationResult(Status.NO_PRIOR, stamp_ns, ("no fix yet",))
        if abs(stamp_ns - newest[0]) > self.config.prior.fix_max_age_s * 1e9:
            return LocalizationResult(Status.STALE_PRIOR, stamp_ns, ("the last fix is too old",))
        self.last_ns = stamp_ns
        xy = self.projection.to_map(newest[1].latitude_deg, newest[1].longitude_deg)
        pose = Pose2(float(xy[0]), float(xy[1]), 0.5)
        estimate = PoseEstimate(pose, COVARIANCE, score=0.7, ambiguity=0.1, coverage=0.9, scale=0.5)
        prior = PosePrior(Pose2(pose.x_m + 1, pose.y_m, 0.4), np.diag([4.0, 4.0, 0.1]), stamp_ns, True, "fix")
        window = SearchWindow(prior.pose, 12.0, 0.3)
        return LocalizationResult(
            Status.OK, stamp_ns, estimate=estimate, prior=prior, window=window, patch=patch(prior.pose),
            matches=matches(pose), timings_s={"patch": 0.001, "match": 0.01},
        )  # fmt: skip

    def reset(self) -> None:
        self.resets += 1
        self.last_ns = 0
        for part in (self.fixes, self.odometry, self.transforms):
            part.clear()

    def close(self) -> None:
        self.closed = True


def patch(centre: Pose2) -> AerialPatch:
    """Make a striped patch of 80 m around a place."""
    rgb = np.zeros((160, 160, 3), np.uint8)
    rgb[::10] = 200
    map_from_px = np.array([[0.5, 0.0, centre.x_m - 40], [0.0, -0.5, centre.y_m + 40]])
    tiles = TileState(tiles=4, cached=3, fetched=1)
    return AerialPatch(rgb, np.ones((160, 160), bool), 0.5, map_from_px, "© Someone", 1.0, ("stripes",), tiles)


def matches(pose: Pose2) -> Correspondences:
    """Make three matched points."""
    ground = np.array([[1.0, 0.0], [2.0, 1.0], [3.0, -1.0]])
    return Correspondences(ground, pose.apply(ground), np.array([1.0, 0.5, 0.2]), ground * 10, np.zeros(3, np.int64))
