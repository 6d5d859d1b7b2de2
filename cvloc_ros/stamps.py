# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Order of the stamps of one topic."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["", "zero_stamp", "old_stamp", "clock_jump"]
JUMP_NS = 2_000_000_000
"""A stamp this much before its predecessor means that the clock went back (a bag that starts again)."""

WHY = {"zero_stamp": "stamp is 0: the driver does not stamp", "old_stamp": "stamp is not newer than the last"}
"""Verdicts for which an image is not tried, for people."""


class StampGuard:
    """Judges the stamps of several topics, each against its own newest one."""

    def __init__(self) -> None:
        """Start without history."""
        self._newest: dict[str, int] = {}

    def check(self, topic: str, stamp_ns: int) -> Verdict:
        """Return "" for a stamp that moves on, else what is wrong; a stamp that is refused leaves no trace."""
        if stamp_ns == 0:
            return "zero_stamp"
        newest = self._newest.get(topic)
        if newest is not None and stamp_ns <= newest:
            return "clock_jump" if newest - stamp_ns > JUMP_NS else "old_stamp"
        self._newest[topic] = stamp_ns
        return ""

    def clear(self) -> None:
        """Forget the history (after a clock jump)."""
        self._newest.clear()
