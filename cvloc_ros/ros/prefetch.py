# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The prefetch service: fetches tiles around the vehicle in a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cvloc_ros.errors import CvlocError

if TYPE_CHECKING:
    from cvloc_ros.tiles import AerialMap
    from cvloc_ros.types import F64


class Prefetch:
    """Runs at most one prefetch at a time; `state` is a sentence for people."""

    def __init__(self) -> None:
        """Do nothing yet."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.state = ""

    def start(self, aerial: AerialMap | None, centre: F64 | None, radius_m: float) -> tuple[bool, str]:
        """Begin around a map point (2,) unless that cannot be; return whether it began, and a sentence."""
        if self._thread is not None and self._thread.is_alive():
            return False, f"a prefetch is under way: {self.state}"
        if aerial is None or centre is None:
            return False, "the place of the vehicle is not known yet"
        if not aerial.is_network:
            return False, "the map is local: there is nothing to fetch"
        self.state = "started"
        self._thread = threading.Thread(target=self._run, args=(aerial, centre, radius_m), name="cvloc-prefetch")
        self._thread.start()
        return True, f"fetching {radius_m:g} m around the vehicle; its state is on /diagnostics, group map"

    def close(self) -> None:
        """Stop and wait."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _progress(self, done: int, total: int) -> bool:
        self.state = f"{done} of {total} tiles"
        return not self._stopping.is_set()

    def _run(self, aerial: AerialMap, centre: F64, radius_m: float) -> None:
        try:
            result = aerial.prefetch_radius(centre, radius_m, self._progress)
        except CvlocError as err:
            self.state = f"failed: {err}"
        except Exception as err:  # noqa: BLE001  shown on /diagnostics; a prefetch must not end the node
            self.state = f"failed: {type(err).__name__}: {err}"
        else:
            ending = "stopped" if result.stopped else "done"
            there = f"{result.fetched} fetched, {result.cached} there already"
            self.state = f"{ending}: {there}, {result.missing} missing, {result.failed} failed {result.reason}".rstrip()
