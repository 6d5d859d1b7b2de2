# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The prefetch service: fetches tiles around the vehicle in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cvloc_ros.errors import CvlocError
from cvloc_ros.session import Session


class Prefetch:
    """Runs at most one prefetch at a time; `state` is a sentence for people."""

    def __init__(self, session: Session) -> None:
        """Do nothing yet."""
        self._session = session
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.state = ""

    def start(self) -> tuple[bool, str]:
        """Begin unless one is under way; return whether it began, and a sentence."""
        if self._thread is not None and self._thread.is_alive():
            return False, f"a prefetch is under way: {self.state}"
        fetch: Callable[..., str] | None = getattr(self._session, "prefetch", None)
        if fetch is None:
            return False, "this session cannot prefetch"
        self.state = "started"
        self._thread = threading.Thread(target=self._run, args=(fetch,), name="cvloc-prefetch")
        self._thread.start()
        return True, "started; its state is on /diagnostics, group map"

    def close(self) -> None:
        """Stop and wait."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, fetch: Callable[..., str]) -> None:
        try:
            self.state = fetch(self._stopping.is_set)
        except CvlocError as err:
            self.state = f"failed: {err}"
        except Exception as err:  # noqa: BLE001  shown on /diagnostics; a prefetch must not end the node
            self.state = f"failed: {type(err).__name__}: {err}"
