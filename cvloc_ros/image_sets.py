# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images of several cameras joined by stamp, for the node as they arrive and for a replay as they were recorded."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from cvloc_ros.types import CameraImage

ImageSet = tuple[CameraImage, ...]
KEPT = 8
"""Unfinished sets that are kept, and finished ones that are remembered."""

EARLIEST = 0.8
"""Share of the shortest recent interval of a camera before which its next image is not expected."""


@dataclass(slots=True, eq=False)
class _Group:
    stamp_ns: int
    since_s: float
    images: dict[str, CameraImage] = field(default_factory=dict)

    @property
    def newest_ns(self) -> int:
        return max(image.stamp_ns for image in self.images.values())


class ImageSets:
    """Joins images whose stamps are within `tolerance_ns`, of cameras that come and go, each at its own rate.

    A set waits at most `patience_s`, and only for cameras whose next image may belong to it: not for those whose own
    rhythm says that it comes later (unless they go with one that is there), nor for those that were given up on, until
    their next image. Not thread-safe. Times `now_s` are of any clock that never goes back.
    """

    def __init__(
        self, names: Sequence[str], tolerance_ns: int, patience_s: float,
        on_late: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Expect images of each name; `on_late` gets the camera of an image that is older than a set in use."""
        self._names = tuple(names)
        self._tolerance_ns = tolerance_ns
        self.patience_s = patience_s
        self._on_late = on_late
        self._pending: list[_Group] = []
        self._used: deque[_Group] = deque(maxlen=KEPT)
        self._stamps: dict[str, deque[int]] = {name: deque(maxlen=5) for name in self._names}
        self._missing: set[str] = set()
        self.incomplete = 0
        """Sets without all cameras."""

    @property
    def deadline_s(self) -> float:
        """When the first unfinished set has waited long enough; infinite where there is none."""
        return min((group.since_s + self.patience_s for group in self._pending), default=math.inf)

    def add(self, image: CameraImage, now_s: float) -> list[ImageSet]:
        """Take an image; return the sets that need not wait, oldest first, images in the order of the names."""
        self._stamps[image.camera].append(image.stamp_ns)
        if self._used and image.stamp_ns <= self._used[-1].newest_ns:
            self._come_late(image, now_s)
            return []
        self._missing.discard(image.camera)
        near = [item for item in self._pending if self._belongs(image, item)]
        group = min(near, key=lambda item: abs(item.stamp_ns - image.stamp_ns), default=None)
        if group is None:
            group = _Group(image.stamp_ns, now_s)
            self._pending.append(group)
        group.images[image.camera] = image
        return self._ready()

    def due(self, now_s: float) -> list[ImageSet]:
        """Give up on cameras that were waited for long enough; return the sets that need not wait then."""
        for group in self._pending:
            if now_s >= group.since_s + self.patience_s:
                self._missing |= self._expected(group)
        return self._ready()

    def clear(self) -> None:
        """Forget all images (after a clock jump)."""
        self._pending.clear()
        self._used.clear()
        self._missing.clear()
        for stamps in self._stamps.values():
            stamps.clear()

    def _belongs(self, image: CameraImage, group: _Group) -> bool:
        return image.camera not in group.images and abs(image.stamp_ns - group.stamp_ns) <= self._tolerance_ns

    def _expected(self, group: _Group) -> set[str]:
        """Cameras whose next image may belong to a group."""
        until_ns = group.stamp_ns + self._tolerance_ns
        others = set(self._names) - set(group.images) - self._missing
        by_rhythm = {name for name in others if self._earliest_ns(name) <= until_ns}
        there = group.images.values()
        return by_rhythm | {name for name in others - by_rhythm if any(self._together(name, image) for image in there)}

    def _earliest_ns(self, name: str) -> float:
        stamps = self._stamps[name]
        if not stamps:
            return -math.inf
        return stamps[-1] + EARLIEST * min((b - a for a, b in pairwise(stamps)), default=1)

    def _together(self, name: str, image: CameraImage) -> bool:
        """Whether a camera went with that of an image until then, as triggered ones do, which have no rhythm."""
        before = [stamp_ns for stamp_ns in self._stamps[image.camera] if stamp_ns < image.stamp_ns]
        if len(before) < 2 or len(self._stamps[name]) < 2:
            return False
        (first, last), (its_first, its_last) = list(self._stamps[name])[-2:], before[-2:]
        off_ns = abs((last - first) - (its_last - its_first))
        return abs(last - its_last) <= self._tolerance_ns and off_ns <= (1.0 - EARLIEST) * (its_last - its_first)

    def _come_late(self, image: CameraImage, now_s: float) -> None:
        """A camera is back if its image would have been in time had its set waited."""
        self._on_late(image.camera)
        for group in self._used:
            if self._belongs(image, group) and now_s - group.since_s <= self.patience_s:
                self._missing.discard(image.camera)

    def _ready(self) -> list[ImageSet]:
        sets = []
        while ready := [item for item in self._pending if not self._expected(item)] or self._pending[:-KEPT]:
            sets.append(self._release(min(ready, key=lambda item: item.stamp_ns)))
        return sets

    def _release(self, group: _Group) -> ImageSet:
        until_ns = group.newest_ns
        self._pending.remove(group)
        for item in self._pending:
            for name in [name for name, image in item.images.items() if image.stamp_ns <= until_ns]:
                self._on_late(name)
                del item.images[name]
        self._pending = [item for item in self._pending if item.images]
        self._used.append(group)
        self.incomplete += len(group.images) < len(self._names)
        return tuple(group.images[name] for name in self._names if name in group.images)
