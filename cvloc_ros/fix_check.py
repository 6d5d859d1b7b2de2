# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tells a GNSS that disagrees with everything else (jump, spoofing, multipath) from one that is merely inaccurate.

Each fix is compared with two predictions of it, both carried by odometry: from own poses, and from the fixes before.
One that contradicts both has left its own track: GNSS is at fault and is set aside. One that contradicts own poses and
continues the fixes before leaves open who is wrong: the search starts from own poses and covers both places, so that
the imagery decides. A verdict comes and goes only after `prior.gnss_patience_s` of fixes that all say so, and goes only
where they are half as far; no fix bounds the search meanwhile. Setting aside turns into the wider search after
`prior.align_window_s`: wrong own poses cannot shut GNSS out for good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cvloc_ros.config import Prior
from cvloc_ros.types import F64

ASIDE, APART = "aside", "apart"


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """Where the antenna should be at the stamp of a fix: map position (2,) in metres and its covariance (2, 2)."""

    position: F64
    covariance: F64


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A fix as the check needs it: position (2,) and covariance (2, 2) in the map, as far as it is believed."""

    stamp_ns: int
    position: F64
    covariance: F64


Predict = Callable[[Judged], Expected | None]


class FixCheck:
    """The verdict on the fixes so far: "" (they agree), `ASIDE` or `APART`."""

    def __init__(self) -> None:
        """Begin without a verdict."""
        self.clear()

    def clear(self) -> None:
        """Trust GNSS again (own poses are gone, or were never there)."""
        self.verdict = ""
        self.offset: F64 = np.zeros(2)
        """How far the last fix lies from own poses, in map metres (2,)."""
        self.sigma = 0.0
        self.since_ns = 0
        self._wanted = ""
        self._streak: list[int] = []
        self._left_out: set[int] = set()
        self._judged_ns = -1

    def uses(self, stamp_ns: int) -> bool:
        """Tell whether the fix of this stamp may bound the search."""
        return not self.verdict and stamp_ns not in self._left_out

    def accuse(self, fix: Judged, own: Expected) -> None:
        """Doubt GNSS at once: fixes that are each near enough draw the prior away from own poses and imagery."""
        if not self.verdict:
            self.verdict = self._wanted = APART
            self.since_ns, self._streak = fix.stamp_ns, [fix.stamp_ns]
            self.offset, self.sigma = fix.position - own.position, distance_sigma(fix, own)

    def update(self, fixes: Sequence[Judged], by_own: Predict, by_past: Predict, config: Prior) -> None:
        """Judge the fixes (in order of stamps) that are new. A prediction is None where there is none."""
        for fix in fixes:
            if fix.stamp_ns > self._judged_ns:
                self._judged_ns = fix.stamp_ns
                own = by_own(fix)
                if own is not None:
                    self._take(fix, own, by_past, config)
        if fixes:
            self._left_out = {stamp_ns for stamp_ns in self._left_out if stamp_ns >= fixes[0].stamp_ns}

    def text(self, now_ns: int) -> str:
        """Say what is wrong, for people; "" while nothing is."""
        if not self.verdict:
            return ""
        what = {
            ASIDE: "it left its own track and is set aside",
            APART: "which of them is wrong is open, and the search covers both",
        }[self.verdict]
        metres = float(np.hypot(*self.offset))
        return (
            f"gnss disagrees: {metres:.1f} m ({self.sigma:.1f} sigma) from own poses and odometry for "
            f"{(now_ns - self.since_ns) * 1e-9:.0f} s; {what}"
        )

    def _take(self, fix: Judged, own: Expected, by_past: Predict, config: Prior) -> None:
        sigma = distance_sigma(fix, own)
        wanted = ""
        if sigma > config.gnss_gate_sigma / (2.0 if self.verdict else 1.0):
            wanted = ASIDE if self._left_its_track(fix, by_past, config) else APART
        if wanted:
            self.offset, self.sigma = fix.position - own.position, sigma
        if wanted != self._wanted:
            self._wanted, self._streak = wanted, []
        self._streak.append(fix.stamp_ns)
        if self.verdict:
            self._left_out.add(fix.stamp_ns)
        lasts_s = (self._streak[-1] - self._streak[0]) * 1e-9
        if wanted != self.verdict and lasts_s >= config.gnss_patience_s:
            self._change(wanted)

    def _left_its_track(self, fix: Judged, by_past: Predict, config: Prior) -> bool:
        if self.verdict == ASIDE:  # seen when it happened; what came before predicts less and less
            return (fix.stamp_ns - self.since_ns) * 1e-9 <= config.align_window_s
        past = None if self.verdict else by_past(fix)
        return past is not None and distance_sigma(fix, past) > config.gnss_gate_sigma

    def _change(self, verdict: str) -> None:
        if not self.verdict:
            self.since_ns = self._streak[0]
        self.verdict = verdict
        if verdict:
            self._left_out.update(self._streak)
        else:
            self._left_out.difference_update(self._streak)


def distance_sigma(fix: Judged, expected: Expected) -> float:
    """Mahalanobis distance (not squared) of a fix to where it should be."""
    delta = fix.position - expected.position
    return math.sqrt(max(0.0, float(delta @ np.linalg.solve(fix.covariance + expected.covariance, delta))))
