# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The one thread that owns the session's work, and with it torch and the GPU."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from cvloc_ros.buffers import NewestSlot
from cvloc_ros.config import Config
from cvloc_ros.image_sets import ImageSet
from cvloc_ros.ros import memory
from cvloc_ros.session import Session
from cvloc_ros.types import LocalizationResult, Status

POLL_S = 0.005
IDLE_S = 0.2


class Logger(Protocol):
    """What the worker needs of a logger."""

    def error(self, message: str) -> Any:
        """Log an error."""
        ...


class Worker:
    """Takes the newest image set, waits a bounded time for odometry and TF, localizes and hands the result on.

    `config` is asked before each attempt, so that dynamic parameters take effect at the next frame; `now_ns` is the
    ROS clock; `publish` and `cleared` (after a reset of the session) run in this thread.
    """

    def __init__(
        self, session: Session, slot: NewestSlot[ImageSet], config: Callable[[], Config], now_ns: Callable[[], int],
        publish: Callable[[LocalizationResult], None], cleared: Callable[[], None], log: Logger,
    ) -> None:  # fmt: skip
        """Prepare; nothing runs until `start`."""
        self._session, self._slot, self._config, self._now_ns = session, slot, config, now_ns
        self._publish, self._cleared, self._log = publish, cleared, log
        self._applied = session.config
        self._stopping = threading.Event()
        self._reset = threading.Event()
        self._refused: deque[LocalizationResult] = deque(maxlen=100)
        self._trimmed_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="cvloc-worker")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the attempt under way, and wait for it."""
        self._stopping.set()
        self._slot.close()
        if self._thread.is_alive():
            self._thread.join()

    def request_reset(self) -> bool:
        """Let the session forget its history before the next attempt; False where that is asked for already."""
        if self._reset.is_set():
            return False
        self._reset.set()
        self._slot.clear()
        self._slot.put(())
        return True

    def report(self, result: LocalizationResult) -> None:
        """Have a result published that needs no work, such as that of an image with a bad stamp."""
        self._refused.append(result)

    def _run(self) -> None:
        while not self._stopping.is_set():
            images = self._slot.take(IDLE_S)
            self._guarded("reset or change of parameters", self._prepare)
            if images:
                self._guarded("attempt", self._handle, images)
                self._tidy()

    def _guarded(self, what: str, step: Callable[..., None], *arguments: ImageSet) -> None:
        try:
            step(*arguments)
        except Exception:  # noqa: BLE001  the thread must outlive any fault; the fault is shown
            if not self._stopping.is_set():
                self._log.error(f"{what} failed:\n{traceback.format_exc()}")

    def _handle(self, images: ImageSet) -> None:
        result = self._attempt(images)
        if result.estimate is not None and self._reset.is_set():
            # After the clock went back, a filter would take this for a pose of the future.
            result = result.refused(Status.OLD_STAMP, "clock or history were reset during the attempt")
        self._publish(result)

    def _tidy(self) -> None:
        """Give free memory back now and then, after a pose has been told."""
        now_s = time.monotonic()
        if now_s - self._trimmed_s >= memory.TRIM_S:
            self._trimmed_s = now_s
            memory.trim()

    def _prepare(self) -> None:
        if self._reset.is_set():
            self._session.reset()
            self._cleared()
            self._reset.clear()
        while self._refused:
            self._publish(self._refused.popleft())
        config = self._config()
        if config is not self._applied:
            self._applied = config  # first: what cannot be applied is told once, not at every frame
            self._session.apply(config)

    def _attempt(self, images: ImageSet) -> LocalizationResult:
        stamp_ns = images[0].stamp_ns
        self._wait_for(stamp_ns)
        age_s = max(self._now_ns() - stamp_ns, 0) * 1e-9
        try:
            return self._session.localize(images, age_s)
        except Exception as err:  # noqa: BLE001  a fault of one frame is a status, and the next frame is tried
            self._log.error(f"attempt failed:\n{traceback.format_exc()}")
            return LocalizationResult(Status.ERROR, stamp_ns, (f"{type(err).__name__}: {err}",))

    def _wait_for(self, stamp_ns: int) -> None:
        deadline = time.monotonic() + self._applied.inputs.wait_s
        while not self._session.ready(stamp_ns) and time.monotonic() < deadline:
            if self._stopping.wait(POLL_S) or self._reset.is_set():
                return
