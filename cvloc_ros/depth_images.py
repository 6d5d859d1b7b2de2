# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images beside the camera images: kept for a moment, found by stamp, checked against the camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cvloc_ros.buffers import StampBuffer
from cvloc_ros.config import Camera, Config
from cvloc_ros.errors import ConfigError, ImageError
from cvloc_ros.types import F32, CameraImage, CameraModel

HISTORY_S = 3.0
"""An image is not worked on later than this after its depth arrived; longer would only cost memory."""

STALE_NS = 1_000_000_000
"""A depth topic that is this far behind an image is not waited for."""


@dataclass(frozen=True, slots=True, eq=False)
class DepthImage:
    """A depth image as it arrived; `decode` yields metres (H, W), NaN where unknown, or raises `ImageError`."""

    camera: str
    stamp_ns: int
    frame_id: str
    decode: Callable[[], F32]


class DepthImages:
    """Depth by camera; `add` and `clear` may be called from any thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        topics = {name: camera.depth_topic for name, camera in config.cameras.items() if camera.depth_topic}
        self._buffers: dict[str, StampBuffer[DepthImage]] = {name: StampBuffer(HISTORY_S) for name in topics}
        self.required = required(config)
        """Whether the matcher has no use for an image without depth."""
        self._troubles: dict[str, str] = {}

    @property
    def trouble(self) -> str:
        """Why the last images of cameras with a depth topic have no depth; empty if they have."""
        return "; ".join(f"camera {name}: {text}" for name, text in self._troubles.items() if text)

    def add(self, image: DepthImage) -> str:
        """Store a depth image; return "" or why it was refused."""
        buffer = self._buffers.get(image.camera)
        return "no_depth_topic" if buffer is None else buffer.add(image.stamp_ns, image)

    def clear(self) -> None:
        """Forget all."""
        for buffer in self._buffers.values():
            buffer.clear()

    def ready(self, stamp_ns: int) -> bool:
        """Tell whether depth has reached the stamp, or will not for a while."""
        for buffer in self._buffers.values():
            newest = buffer.newest
            if newest is None and self.required:
                return False
            if newest is not None and stamp_ns - STALE_NS < newest[0] < stamp_ns:
                return False
        return True

    def at(self, image: CameraImage, camera: CameraModel) -> F32 | str:
        """Return the depth (H, W) of an image in metres, NaN where unknown, or a sentence why there is none."""
        found = self._find(image, camera)
        if image.camera in self._buffers:
            self._troubles[image.camera] = found if isinstance(found, str) else ""
        return found

    def _find(self, image: CameraImage, camera: CameraModel) -> F32 | str:
        settings, buffer = self._config.cameras[image.camera], self._buffers.get(image.camera)
        if buffer is None:
            return f"cameras.{image.camera}.depth_topic is empty"
        nearest = _nearest(buffer, image.stamp_ns, settings)
        if isinstance(nearest, str):
            return nearest
        if not settings.frame_id and nearest.frame_id and nearest.frame_id != image.frame_id:
            frames = f"depth is in frame {nearest.frame_id}, the image in {image.frame_id}"
            return f"{frames}; register it to the image, or set cameras.{image.camera}.frame_id if it is"
        try:
            depth = nearest.decode()
        except ImageError as err:
            return f"{settings.depth_topic}: {err}"
        rows, cols = depth.shape
        if abs(rows * camera.width - cols * camera.height) > max(rows, cols):
            size = f"{cols}x{rows}, the image {camera.width}x{camera.height}"
            return f"{settings.depth_topic}: depth is {size}; both must show the same: register it to the image"
        return depth


def _nearest(buffer: StampBuffer[DepthImage], stamp_ns: int, settings: Camera) -> DepthImage | str:
    pairs = [pair for pair in buffer.bracket(stamp_ns) if pair is not None]
    if not pairs:
        return f"no depth image arrived; check topic {settings.depth_topic}"
    found_ns, nearest = min(pairs, key=lambda pair: abs(pair[0] - stamp_ns))
    off_s = abs(found_ns - stamp_ns) * 1e-9
    if off_s > settings.depth_tolerance_s:
        limit = f"limit {settings.depth_tolerance_s} (depth_tolerance_s)"
        return f"nearest depth of {settings.depth_topic} is {off_s:.3f} s from the image, {limit}"
    return nearest


def required(config: Config) -> bool:
    """Tell whether the configured matcher lifts by depth that comes with the images."""
    return config.matcher.name == "loc2" and config.matcher.depth.source == "measured"


def check(config: Config) -> None:
    """Refuse a matcher that needs depth from topics where none is named.

    Raises:
        ConfigError: so it is.
    """
    if required(config) and not any(camera.depth_topic for camera in config.cameras.values()):
        names = ", ".join(f"cameras.{name}.depth_topic" for name in config.cameras)
        msg = f"matcher.depth.source = measured needs depth images: set {names}, or choose another source"
        raise ConfigError(msg)
