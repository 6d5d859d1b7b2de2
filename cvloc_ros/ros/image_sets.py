# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images of several cameras joined by stamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cvloc_ros.types import CameraImage

ImageSet = tuple[CameraImage, ...]
PENDING = 8
"""Unfinished sets that are kept."""


@dataclass(slots=True, eq=False)
class _Pending:
    stamp_ns: int
    since_s: float
    images: dict[str, CameraImage] = field(default_factory=dict)


class ImageSets:
    """Joins images whose stamps are within `tolerance_ns`; gives up on a missing camera after `patience_s`.

    A camera that was given up on is not waited for again until its next image. Not thread-safe. Times `now_s` are
    of any clock that never goes back.
    """

    def __init__(self, names: Sequence[str], tolerance_ns: int, patience_s: float) -> None:
        """Expect one image of each name in a set."""
        self._names = tuple(names)
        self._tolerance_ns = tolerance_ns
        self._patience_s = patience_s
        self._pending: list[_Pending] = []
        self._missing: set[str] = set()
        self.incomplete = 0
        """Sets that were used without all cameras."""

    def add(self, image: CameraImage, now_s: float) -> ImageSet | None:
        """Take an image; return the set that it completes, images in the order of the names."""
        self._missing.discard(image.camera)
        group = next((item for item in self._pending if self._belongs(image, item)), None)
        if group is None:
            group = _Pending(image.stamp_ns, now_s)
            self._pending.append(group)
            del self._pending[:-PENDING]
        group.images[image.camera] = image
        if set(self._names) - set(group.images) <= self._missing:
            return self._release(group)
        return None

    def due(self, now_s: float) -> ImageSet | None:
        """Return the newest unfinished set that has waited long enough."""
        late = [item for item in self._pending if now_s - item.since_s >= self._patience_s]
        if not late:
            return None
        newest = max(late, key=lambda item: item.stamp_ns)
        self._missing = set(self._names) - set(newest.images)
        return self._release(newest)

    def clear(self) -> None:
        """Forget unfinished sets (after a clock jump)."""
        self._pending.clear()
        self._missing.clear()

    def _belongs(self, image: CameraImage, group: _Pending) -> bool:
        return image.camera not in group.images and abs(image.stamp_ns - group.stamp_ns) <= self._tolerance_ns

    def _release(self, group: _Pending) -> ImageSet:
        self._pending = [item for item in self._pending if item.stamp_ns > group.stamp_ns]
        self.incomplete += len(group.images) < len(self._names)
        return tuple(group.images[name] for name in self._names if name in group.images)
