# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A few attempts to look at: best, median, worst and one refused of each kind, chosen while the replay runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from cvloc_ros.types import U8, Correspondences, LocalizationResult, Pose2, Status

KEPT = 12
QUALITY = 82
LARGE_VOLUME = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """One attempt: its picture as JPEG, or the result that the picture is drawn of once it is chosen.

    `error_m` is None without truth.
    """

    number: int
    status: Status
    error_m: float | None
    score: float
    jpeg: bytes = b""
    result: LocalizationResult | None = None


@dataclass(slots=True)
class Gallery:
    """Bounded memory: when full, every second exhibit goes, but never the best, the worst or the first of a kind."""

    enabled: bool = True
    _kept: list[Exhibit] = field(default_factory=list)
    _stride: int = 1
    _seen: int = 0
    _all: list[float] = field(default_factory=list)

    def offer(self, number: int, result: LocalizationResult, truth: Pose2 | None) -> None:
        """Keep the attempt if it may be shown."""
        pose = result.estimate or result.candidate
        if not self.enabled or pose is None or not result.views:
            return
        error = None if truth is None else float(np.hypot(*(pose.pose.xy - truth.xy)))
        self._seen += 1
        if result.status is Status.OK:
            self._all.append(-pose.score if error is None else error)
        new_kind = all(exhibit.status is not result.status for exhibit in self._kept)
        if self._seen % self._stride and not new_kind and not self._extreme(result.status, error, pose.score):
            return
        self._kept.append(Exhibit(number, result.status, error, pose.score, result=_light(result)))
        if len(self._kept) > KEPT:
            self._thin_out()

    def keep(self, exhibit: Exhibit) -> None:
        """Take over an exhibit whose picture is drawn already."""
        self._kept.append(exhibit)

    def choose(self) -> list[tuple[str, Exhibit]]:
        """Return (title, exhibit with picture): best, median and worst of the published, then one of each refusal."""
        good = sorted((e for e in self._kept if e.status is Status.OK), key=_badness)
        picked: list[tuple[str, Exhibit]] = []
        if good:
            by = "error" if good[0].error_m is not None else "score"
            middle = float(np.median(self._all or [_badness(e) for e in good]))
            median = min(good, key=lambda exhibit: abs(_badness(exhibit) - middle))
            for title, exhibit in {"best": good[0], "median": median, "worst": good[-1]}.items():
                if exhibit not in [other for _, other in picked]:
                    picked.append((f"published, {title} {by}", exhibit))
        refused: dict[Status, Exhibit] = {}
        for exhibit in self._kept:
            if exhibit.status is not Status.OK:
                refused.setdefault(exhibit.status, exhibit)
        picked.extend((f"refused: {status.value}", exhibit) for status, exhibit in list(refused.items())[:3])
        return [(title, _drawn(exhibit)) for title, exhibit in picked]

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


def _light(result: LocalizationResult) -> LocalizationResult:
    """Drop what the picture does not show: images of older places with their matches, and large score volumes."""
    kept = [index for index, view in enumerate(result.views) if view.stamp_ns == result.stamp_ns]
    kept = kept or list(range(len(result.views)))[-1:]
    large = result.volume is not None and result.volume.scores.numel() > LARGE_VOLUME
    return replace(
        result, views=tuple(result.views[index] for index in kept), volume=None if large else result.volume,
        matches=None if result.matches is None else _of_views(result.matches, kept),
    )  # fmt: skip


def _of_views(matches: Correspondences, kept: Sequence[int]) -> Correspondences:
    """Return the matches of these views, which are then all that there are."""
    use = np.isin(matches.view, kept)
    heights = None if matches.height_m is None else matches.height_m[use]
    return replace(
        matches, ground=matches.ground[use], aerial=matches.aerial[use], weights=matches.weights[use],
        uv=matches.uv[use], view=np.searchsorted(kept, matches.view[use]), height_m=heights,
    )  # fmt: skip


def _drawn(exhibit: Exhibit) -> Exhibit:
    if exhibit.result is None:
        return exhibit
    from cvloc_ros.overlays import overlay

    return replace(exhibit, jpeg=jpeg(overlay(exhibit.result)), result=None)


def _badness(exhibit: Exhibit) -> float:
    return -exhibit.score if exhibit.error_m is None else exhibit.error_m
