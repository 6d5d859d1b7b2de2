# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a few attempts, kept while the replay runs: best, median, worst and one refused of each kind."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from cvloc_ros.types import U8, LocalizationResult, Pose2, Status

KEPT = 48
QUALITY = 82


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """One overlay as JPEG with what it shows. `error_m` is None without truth."""

    number: int
    status: Status
    error_m: float | None
    score: float
    jpeg: bytes


@dataclass(slots=True)
class Gallery:
    """Bounded memory: when full, every second exhibit goes, but never the best, the worst or the first of a kind."""

    enabled: bool = True
    _kept: list[Exhibit] = field(default_factory=list)
    _stride: int = 1
    _seen: int = 0

    def offer(self, number: int, result: LocalizationResult, truth: Pose2 | None) -> None:
        """Draw the attempt if it may be shown."""
        pose = result.estimate or result.candidate
        if not self.enabled or pose is None or not result.views:
            return
        error = None if truth is None else float(np.hypot(*(pose.pose.xy - truth.xy)))
        self._seen += 1
        new_kind = all(exhibit.status is not result.status for exhibit in self._kept)
        if self._seen % self._stride and not new_kind and not self._extreme(result.status, error, pose.score):
            return
        from cvloc_ros.overlays import overlay

        self._kept.append(Exhibit(number, result.status, error, pose.score, jpeg(overlay(result))))
        if len(self._kept) > KEPT:
            self._thin_out()

    def choose(self) -> list[tuple[str, Exhibit]]:
        """Return (title, exhibit): best, median and worst of the published, then one of each refusal."""
        good = sorted((e for e in self._kept if e.status is Status.OK), key=_badness)
        picked: list[tuple[str, Exhibit]] = []
        if good:
            by = "error" if good[0].error_m is not None else "score"
            places = {f"best {by}": 0, f"median {by}": len(good) // 2, f"worst {by}": len(good) - 1}
            for title, place in places.items():
                if good[place] not in [exhibit for _, exhibit in picked]:
                    picked.append((f"published, {title}", good[place]))
        refused: dict[Status, Exhibit] = {}
        for exhibit in self._kept:
            if exhibit.status is not Status.OK:
                refused.setdefault(exhibit.status, exhibit)
        picked.extend((f"refused: {status.value}", exhibit) for status, exhibit in list(refused.items())[:3])
        return picked

    def _extreme(self, status: Status, error_m: float | None, score: float) -> bool:
        same = [_badness(e) for e in self._kept if e.status is status]
        value = -score if error_m is None else error_m
        return status is Status.OK and bool(same) and (value < min(same) or value > max(same))

    def _thin_out(self) -> None:
        good = [e for e in self._kept if e.status is Status.OK]
        firsts = {e.status: e for e in reversed(self._kept)}
        safe = {id(e) for e in firsts.values()}
        if good:
            safe |= {id(min(good, key=_badness)), id(max(good, key=_badness))}
        self._kept = [e for index, e in enumerate(self._kept) if index % 2 == 0 or id(e) in safe]
        self._stride *= 2


def jpeg(rgb: U8, max_width: int = 1400) -> bytes:
    """Encode a picture (H, W, 3), at most `max_width` wide."""
    if rgb.shape[1] > max_width:
        height = round(rgb.shape[0] * max_width / rgb.shape[1])
        rgb = np.asarray(cv2.resize(rgb, (max_width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    done, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes() if done else b""


def _badness(exhibit: Exhibit) -> float:
    return -exhibit.score if exhibit.error_m is None else exhibit.error_m
