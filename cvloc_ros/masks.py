# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which pixels of each camera may be used: a file for what never moves, a topic for what does (trailer, wiper)."""

from __future__ import annotations

from cvloc_ros.config import Config
from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.own_vehicle import load_mask, mask_of
from cvloc_ros.types import CameraImage, Mask


class Masks:
    """Masks by camera. `add` may be called from any thread; `at`, which decodes, belongs to one.

    A mask that came by topic holds until the next one, whatever their stamps: its publisher marks all that may be in
    view until then.
    """

    def __init__(self, config: Config) -> None:
        """Read the files that the configuration names; raises ImageError for one that cannot be read."""
        self._config = config
        self._fixed = {name: load_mask(camera.mask_file) for name, camera in config.cameras.items() if camera.mask_file}
        self._arrived: dict[str, CameraImage] = {}
        self._moving: dict[str, tuple[CameraImage, Mask | None]] = {}
        self._troubles = {
            name: f"no mask arrived on {camera.mask_topic} yet"
            for name, camera in config.cameras.items() if camera.mask_topic
        }  # fmt: skip

    @property
    def trouble(self) -> str:
        """What is wrong with the masks that come by topic; empty if nothing is."""
        return "; ".join(f"camera {name}: {text}" for name, text in self._troubles.items() if text)

    def add(self, image: CameraImage) -> str:
        """Store a mask as it arrived; return "" or why it was refused."""
        if not self._config.cameras[image.camera].mask_topic:
            return "no_mask_topic"
        self._arrived[image.camera] = image
        return ""

    def at(self, camera: str) -> Mask | None:
        """Return the pixels (H, W) that may be used, True, by file and topic together; None where all may.

        A mask that cannot be used is told by `trouble`, and the one before it stays.
        """
        arrived, (before, mask) = self._arrived.get(camera), self._moving.get(camera, (None, self._fixed.get(camera)))
        if arrived is None or arrived is before:
            return mask
        try:
            mask, self._troubles[camera] = self._joined(arrived), ""
        except ImageError as err:
            self._troubles[camera] = f"{self._config.cameras[camera].mask_topic}: {err}"
        self._moving[camera] = arrived, mask
        return mask

    def _joined(self, image: CameraImage) -> Mask:
        moving, fixed = mask_of(image.decode()[..., 0], "mask"), self._fixed.get(image.camera)
        if fixed is None:
            return moving
        if fixed.shape != moving.shape:
            sizes = f"{moving.shape[1]}x{moving.shape[0]} px, mask_file {fixed.shape[1]}x{fixed.shape[0]}"
            msg = f"mask has {sizes}; both must have the size of the camera's images"
            raise ImageError(msg)
        return moving & fixed
