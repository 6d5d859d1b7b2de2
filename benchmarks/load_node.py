# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped node with a stand-in of a session, watched from within, for `bench_load`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.watched import run
from cvloc_ros.buffers import NewestSlot
from cvloc_ros.config import Config
from cvloc_ros.geo.transforms import TransformTree
from cvloc_ros.ros import node as product
from cvloc_ros.session import Session
from cvloc_ros.types import CameraImage, LocalizationResult, OdomSample, Pose2, PoseEstimate, Status

USED: list[dict[str, int]] = []


class TimedSlot(NewestSlot[Any]):
    """Notes when the set that is taken was put, and the stamp of the newest one at that moment."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        self._put: dict[int, int] = {}
        self._newest = 0

    def put(self, item: Any) -> bool:
        """Store an item; the empty one only wakes the worker."""
        with self._condition:
            if item:
                self._newest = item[0].stamp_ns
                self._put = {self._newest: time.time_ns()}
            return super().put(item)

    def take(self, timeout_s: float | None = None) -> Any:
        """Wait for an item."""
        with self._condition:
            item = super().take(timeout_s)
            if item:
                stamp = item[0].stamp_ns
                times = {"put": self._put.get(stamp, 0), "taken": time.time_ns(), "newest": self._newest}
                USED.append({"stamp": stamp, "cameras": len(item), **times})
            return item


def session_of(work_s: float) -> type[Session]:
    """Make the class of a session that decodes, works for a while and takes the origin for the pose."""

    class Standin(Session):
        def __init__(self, config: Config) -> None:
            self.config, self.projection, self.transforms, self.aerial = config, None, TransformTree(), None
            self._odom_ns = 0
            self._picture = np.zeros((256, 256), np.float32)

        def warm_up(self) -> float:
            return 0.0

        def troubles(self) -> dict[str, str]:
            return {}

        def add_odom(self, sample: OdomSample) -> str:
            self._odom_ns = sample.stamp_ns
            return ""

        def ready(self, stamp_ns: int) -> bool:
            return self._odom_ns >= stamp_ns

        def localize(self, images: Sequence[CameraImage], age_s: float | None = None) -> LocalizationResult:  # noqa: ARG002
            times = USED[-1]
            times["begun"] = time.time_ns()
            for image in images:
                image.decode()
            times["decoded"] = time.time_ns()
            end = time.monotonic() + work_s
            while time.monotonic() < end:  # OpenCV gives the GIL away as the matchers do for most of their time
                cv2.GaussianBlur(self._picture, (15, 15), 3.0)
            times["done"] = time.time_ns()
            estimate = PoseEstimate(Pose2(0.0, 0.0, 0.0), np.eye(3), 1.0, 0.0)
            return LocalizationResult(Status.OK, images[0].stamp_ns, estimate=estimate)

        def close(self) -> None:
            pass

    return Standin


def serve(path: Path, arguments: list[str], work_s: float) -> int:
    """Run until interrupted, then write what was noted."""
    cv2.setNumThreads(1)
    product.NewestSlot = TimedSlot  # type: ignore[misc]
    code, watched = run(arguments, session_of(work_s))
    used = [item for item in USED if "done" in item]
    path.write_text(json.dumps({"used": used, **watched}), encoding="utf-8")
    return code
