# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From images as they arrived to `GroundView`s: calibration, mounting, own-vehicle mask, decoding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cvloc_ros.buffers import StampBuffer
from cvloc_ros.config import Config
from cvloc_ros.depth_images import DepthImages
from cvloc_ros.errors import ImageError
from cvloc_ros.estimation.gates import Refusal
from cvloc_ros.geo import se3
from cvloc_ros.geo.transforms import FrameLookupError, TransformTree
from cvloc_ros.imaging.camera import panorama
from cvloc_ros.imaging.mounting import level
from cvloc_ros.masks import Masks
from cvloc_ros.types import F64, U8, CameraImage, CameraModel, GroundView, Mask, Status

ATTITUDE_MAX_AGE_NS = 100_000_000
BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


class Cameras:
    """Calibrations and masks by camera, and the attitude of base; `set_*` and `add_*` may be called from any thread."""

    def __init__(self, config: Config, transforms: TransformTree) -> None:
        """Read the masks that the configuration names; raises ImageError for one that cannot be read."""
        self._config = config
        self._transforms = transforms
        self._models: dict[str, CameraModel] = {}
        self._attitude: StampBuffer[tuple[float, float]] = StampBuffer(config.inputs.history_s)
        self.depths = DepthImages(config)
        self.masks = Masks(config)
        self.attitude_trouble = ""
        """Why the last image was taken to be level although an IMU is configured; empty if it was not."""
        self._unused = ""

    @property
    def trouble(self) -> str:
        """Why one of the last images could not be used beside the others, or a mask could not; empty if all is well."""
        return "; ".join(text for text in (self._unused, self.masks.trouble) if text)

    def set_calibration(self, camera: str, model: CameraModel) -> None:
        """Set or replace the model of one camera."""
        # An equal model is kept: tables of the bird's-eye view hang on it.
        if self._models.get(camera) != model:
            self._models[camera] = model

    def add_attitude(self, stamp_ns: int, roll_rad: float, pitch_rad: float) -> str:
        """Store roll and pitch of base against the ground; return "" or why they were refused."""
        if not (math.isfinite(roll_rad) and math.isfinite(pitch_rad)):
            return "not_finite"
        return self._attitude.add(stamp_ns, (roll_rad, pitch_rad))

    def clear(self) -> None:
        """Forget attitude and depth; calibrations and masks stay."""
        self._attitude.clear()
        self.depths.clear()

    def views(self, images: Sequence[CameraImage]) -> tuple[list[GroundView], Refusal]:
        """Decode what can be decoded; the refusal tells of the first camera that could not be used."""
        views, refusal = [], (Status.OK, "")
        for image in images:
            view = self._view(image)
            if isinstance(view, GroundView):
                views.append(view)
            elif not refusal[1]:
                refusal = view
        self._unused = refusal[1] if views else ""
        return views, refusal

    def _view(self, image: CameraImage) -> GroundView | Refusal:
        settings = self._config.cameras[image.camera]
        camera = self._models.get(image.camera)
        if camera is None and settings.model != "equirectangular":
            topic = settings.camera_info_topic
            return Status.NO_CAMERA_INFO, f"camera {image.camera}: no calibration arrived; check topic {topic}"
        try:
            T_base_camera = self._mounting(image)
        except FrameLookupError as err:
            return Status.NO_TRANSFORM, f"camera {image.camera}: {err}"
        try:
            rgb = image.decode()
            # A panorama needs no calibration: its size says all.
            camera = camera or panorama(rgb.shape[1], rgb.shape[0])
        except ImageError as err:
            return Status.BAD_IMAGE, f"camera {image.camera}: {err}"
        self.set_calibration(image.camera, camera)
        mask = self.masks.at(image.camera)
        fault = _size_fault(rgb, camera, mask)
        if fault:
            return Status.BAD_IMAGE, f"camera {image.camera}: {fault}"
        depth = self.depths.at(image, camera)
        if isinstance(depth, str) and self.depths.required:
            return Status.NO_DEPTH, f"camera {image.camera}: {depth}"
        measured = None if isinstance(depth, str) else depth
        return GroundView(image.camera, rgb, camera, T_base_camera, image.stamp_ns, valid=mask, depth=measured)

    def _mounting(self, image: CameraImage) -> F64:
        """Pose of the optical frame in base, levelled by the attitude at the stamp where there is one."""
        settings = self._config.cameras[image.camera]
        if settings.mounting:
            x, y, z, roll, pitch, yaw = settings.mounting
            T_base_camera: F64 = se3.from_rpy(roll, pitch, yaw, (x, y, z)) @ BODY_FROM_OPTICAL
        else:
            frame = settings.frame_id or image.frame_id
            T_base_camera = self._transforms.lookup(self._config.frames.base, frame, image.stamp_ns)
        before, after = self._attitude.bracket(image.stamp_ns)
        nearest = min(
            (pair for pair in (before, after) if pair is not None),
            key=lambda pair: abs(pair[0] - image.stamp_ns),
            default=None,
        )
        if nearest is None or abs(nearest[0] - image.stamp_ns) > ATTITUDE_MAX_AGE_NS:
            topic = self._config.inputs.imu_topic
            self.attitude_trouble = topic and f"no attitude from {topic} near the image stamp: cameras not levelled"
            return T_base_camera
        self.attitude_trouble = ""
        return level(T_base_camera, *nearest[1])


def used(views: Sequence[GroundView], images: Sequence[CameraImage]) -> tuple[str, ...]:
    """Name the cameras whose images of this moment are among the views, which hold earlier places as well."""
    given = {(image.camera, image.stamp_ns) for image in images}
    return tuple(view.camera_name for view in views if (view.camera_name, view.stamp_ns) in given)


def _size_fault(rgb: U8, camera: CameraModel, mask: Mask | None) -> str:
    size = f"image is {rgb.shape[1]}x{rgb.shape[0]}"
    if rgb.shape[:2] != (camera.height, camera.width):
        return f"{size}, its calibration is for {camera.width}x{camera.height}"
    if mask is not None and mask.shape != rgb.shape[:2]:
        return f"{size}, its mask_file or mask_topic is {mask.shape[1]}x{mask.shape[0]}"
    if mask is not None and not mask.any():
        return "its mask leaves no pixel"
    return ""
