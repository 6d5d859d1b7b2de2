# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag to a `Session`, every image, as fast as the matcher is; nothing depends on the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tqdm import tqdm

from cvloc_ros.evaluation.bag import Bag, BagMessage
from cvloc_ros.evaluation.feed import Feed
from cvloc_ros.evaluation.topics import Wiring
from cvloc_ros.session import Session
from cvloc_ros.types import CameraImage, LocalizationResult

OnResult = Callable[["Outcome"], None]


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the bag is played: seconds of log time from its start, and at most so many image sets."""

    start_s: float = 0.0
    duration_s: float = float("inf")
    max_images: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One attempt: the images of one moment, what became of them, and when (log time; seconds of wall clock)."""

    images: tuple[CameraImage, ...]
    result: LocalizationResult
    log_time_ns: int
    wall_s: float


@dataclass(slots=True)
class _ImageSet:
    first_log_ns: int
    images: list[CameraImage] = field(default_factory=list)

    @property
    def stamp_ns(self) -> int:
        return self.images[0].stamp_ns


@dataclass(slots=True)
class Gatherer:
    """Joins images of several cameras that are `tolerance_ns` close; one set holds one image a camera."""

    cameras: tuple[str, ...]
    tolerance_ns: int
    wait_ns: int
    _open: list[_ImageSet] = field(default_factory=list)

    def add(self, image: CameraImage, log_time_ns: int) -> None:
        """Store one image."""
        for found in self._open:
            near = abs(found.stamp_ns - image.stamp_ns) <= self.tolerance_ns
            if near and image.camera not in {other.camera for other in found.images}:
                found.images.append(image)
                return
        self._open.append(_ImageSet(log_time_ns, [image]))

    def due(self, now_ns: int, ready: Callable[[int], bool]) -> Iterator[tuple[CameraImage, ...]]:
        """Yield, oldest first, the sets that need not wait: complete and ready, or waited for long enough."""
        self._open.sort(key=lambda found: found.stamp_ns)
        while self._open:
            oldest = self._open[0]
            waited = now_ns - oldest.first_log_ns >= self.wait_ns
            if not waited and not (len(oldest.images) == len(self.cameras) and ready(oldest.stamp_ns)):
                return
            self._open.pop(0)
            yield tuple(sorted(oldest.images, key=lambda image: self.cameras.index(image.camera)))


def play(bag: Bag, session: Session, wiring: Wiring, feed: Feed, on_result: OnResult, part: Part | None = None,
         *, progress: bool = False) -> int:
    """Feed the session in log-time order and hand every outcome to `on_result`.

    Images wait, in bag time, until odometry and TF have reached their stamp, at most `inputs.wait_s`.

    Returns:
        The number of images (all cameras) that were read.
    """
    part = part or Part()
    inputs = wiring.config.inputs
    gatherer = Gatherer(
        tuple(wiring.config.camera_names), round(inputs.sync_tolerance_s * 1e9), round(inputs.wait_s * 1e9)
    )
    total = sum(bag.topics[topic].count for topic in wiring.topics & set(bag.topics))
    images = attempts = 0
    now_ns = 0
    with tqdm(total=total, unit="msg", disable=None if progress else True, desc="replay") as bar:
        for item in _within(bag, wiring, part):
            bar.update()
            now_ns = item.log_time_ns
            image = feed.handle(item)
            if image is not None:
                gatherer.add(image, now_ns)
                images += 1
            for ready in gatherer.due(now_ns, session.ready):
                on_result(_localize(session, ready, now_ns))
                attempts += 1
                if part.max_images and attempts >= part.max_images:
                    return images
    for ready in gatherer.due(now_ns + gatherer.wait_ns + 1, session.ready):
        on_result(_localize(session, ready, now_ns))
    return images


def _within(bag: Bag, wiring: Wiring, part: Part) -> Iterator[BagMessage]:
    """Yield the chosen part; what a late subscriber would get as well is handed over from the start."""
    lasting = {"/tf_static", wiring.datum, *wiring.infos, *wiring.masks}
    start_ns: int | None = None
    for item in bag.messages(wiring.topics):
        start_ns = item.log_time_ns if start_ns is None else start_ns
        elapsed_s = (item.log_time_ns - start_ns) * 1e-9
        if elapsed_s > part.start_s + part.duration_s:
            return
        if elapsed_s >= part.start_s or item.topic in lasting:
            yield item


def _localize(session: Session, images: tuple[CameraImage, ...], now_ns: int) -> Outcome:
    start = time.perf_counter()
    result = session.localize(images)
    return Outcome(images, result, now_ns, time.perf_counter() - start)
