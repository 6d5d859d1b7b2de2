# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag to a `Session`, every image, as fast as the matcher is; nothing depends on the wall clock."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tqdm import tqdm

from cvloc_ros import messages
from cvloc_ros.config import Config
from cvloc_ros.evaluation.bag import Bag, BagMessage
from cvloc_ros.evaluation.feed import Feed
from cvloc_ros.evaluation.topics import Wiring
from cvloc_ros.image_sets import ImageSet, ImageSets
from cvloc_ros.session import Session
from cvloc_ros.stamps import WHY, StampGuard
from cvloc_ros.types import CameraImage, LocalizationResult, Status

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

    images: ImageSet
    result: LocalizationResult
    log_time_ns: int
    wall_s: float


class _Arrivals:
    """Image sets as the node forms them, with log time as the clock. Each is kept until its turn: none is too late."""

    def __init__(self, config: Config, session: Session, on_late: Callable[[str], None]) -> None:
        inputs = config.inputs
        self._wait_s, self._session = inputs.wait_s, session
        self._sets = ImageSets(config.camera_names, round(inputs.sync_tolerance_s * 1e9), inputs.wait_s, on_late)
        self._guard = StampGuard()
        self._formed: deque[tuple[float, ImageSet]] = deque()

    def let_pass(self, now_s: float) -> None:
        """Give up on cameras as the node would have done before this time."""
        while (at_s := self._sets.deadline_s) <= now_s:
            self._form(at_s, self._sets.due(at_s))

    def add(self, image: CameraImage, header_ns: int, now_s: float) -> str:
        """Take an image; return "" or why it is not even tried."""
        verdict = self._guard.check(image.camera, header_ns)
        if verdict == "clock_jump":
            self._guard.clear()
            self._sets.clear()
            self._guard.check(image.camera, header_ns)
        elif verdict:
            return f"image {image.camera}: {WHY[verdict]}"
        self._form(now_s, self._sets.add(image, now_s))
        return ""

    def due(self, now_s: float) -> Iterator[ImageSet]:
        """Yield, oldest first, the sets whose stamp odometry, TF and depth have reached, or that waited long enough."""
        while self._formed:
            since_s, images = self._formed[0]
            if now_s < since_s + self._wait_s and not self._session.ready(images[0].stamp_ns):
                return
            self._formed.popleft()
            yield images

    def rest(self) -> Iterator[ImageSet]:
        """Yield what is left when the bag ends."""
        self._form(math.inf, self._sets.due(math.inf))
        return self.due(math.inf)

    def _form(self, now_s: float, sets: list[ImageSet]) -> None:
        self._formed += [(now_s, images) for images in sets]


def play(bag: Bag, session: Session, wiring: Wiring, feed: Feed, on_result: OnResult, part: Part | None = None,
         *, progress: bool = False) -> int:
    """Feed the session in log-time order and hand every outcome to `on_result`.

    Images wait, in log time, for those of other cameras and then for odometry and TF to reach their stamp, as in the
    node: at most `inputs.wait_s` each. Images that come too late for their set are counted in `feed.refused`.

    Returns:
        The number of images (all cameras) that were read.
    """
    part = part or Part()
    arrivals = _Arrivals(wiring.config, session, lambda name: feed.refused.update([(f"image of {name}", "late")]))
    total = sum(bag.topics[topic].count for topic in wiring.topics & set(bag.topics))
    images = attempts = 0
    now_ns = 0
    with tqdm(total=total, unit="msg", disable=None if progress else True, desc="replay") as bar:
        for item in _within(bag, wiring, part):
            bar.update()
            now_ns = item.log_time_ns
            arrivals.let_pass(now_ns * 1e-9)
            image = feed.handle(item)
            if image is not None:
                images += 1
                why = arrivals.add(image, messages.stamp_ns(item.message), now_ns * 1e-9)
                if why:
                    refused = LocalizationResult(Status.OLD_STAMP, image.stamp_ns, (why,))
                    on_result(Outcome((image,), refused, now_ns, 0.0))
            for ready in arrivals.due(now_ns * 1e-9):
                on_result(_localize(session, ready, now_ns))
                attempts += 1
                if part.max_images and attempts >= part.max_images:
                    return images
    for ready in arrivals.rest():
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


def _localize(session: Session, images: ImageSet, now_ns: int) -> Outcome:
    start = time.perf_counter()
    result = session.localize(images)
    return Outcome(images, result, now_ns, time.perf_counter() - start)
