# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tree of coordinate frames fed by /tf and /tf_static; the semantics are stricter than those of tf2.

A transform is interpolated at the stamp that is asked for, or it is refused with a reason: there is no "latest",
no extrapolation and no identity for frames that nobody connected.
"""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from cvloc_ros.errors import TransformError
from cvloc_ros.geo import se3

if TYPE_CHECKING:
    from cvloc_ros.types import F64

ALWAYS_NS = 2**63 - 1
"""Returned by `TransformTree.latest_stamp` for a chain of static transforms."""

Reason = Literal["unknown_frame", "not_connected", "too_early", "not_yet", "conflict"]


class FrameLookupError(TransformError):
    """A lookup was refused; `reason` is machine-readable, `missing_s` the time missing to the known history."""

    def __init__(self, reason: Reason, text: str, missing_s: float = 0.0) -> None:
        """Keep the reason beside the text."""
        super().__init__(text)
        self.reason: Reason = reason
        self.missing_s = missing_s


@dataclass(slots=True, eq=False)
class _Edge:
    """All that is known of one child: its parent and its history (one entry when static)."""

    parent: str
    static: bool
    stamps: list[int] = field(default_factory=list)
    values: list[F64] = field(default_factory=list)

    def insert(self, stamp_ns: int, value: F64, history_ns: int, jump_ns: int) -> str:
        """Store in order of stamps; return "" or the reason against it."""
        if self.static:
            self.stamps, self.values = [stamp_ns], [value]
            return ""
        late_ns = self.stamps[-1] - stamp_ns if self.stamps else 0
        if late_ns > min(history_ns, jump_ns):
            return "clock_jump" if late_ns > jump_ns else "too_old"
        index = bisect.bisect_left(self.stamps, stamp_ns)
        if index < len(self.stamps) and self.stamps[index] == stamp_ns:
            self.values[index] = value
            return ""
        self.stamps.insert(index, stamp_ns)
        self.values.insert(index, value)
        stale = bisect.bisect_left(self.stamps, self.stamps[-1] - history_ns)
        del self.stamps[:stale], self.values[:stale]
        return ""

    def at(self, stamp_ns: int) -> F64:
        """Interpolate; the stamp is known to be within the history."""
        if self.static:
            return self.values[0]
        after = bisect.bisect_left(self.stamps, stamp_ns)
        if self.stamps[after] == stamp_ns:
            return self.values[after]
        t0, t1 = self.stamps[after - 1], self.stamps[after]
        return se3.interpolate(self.values[after - 1], self.values[after], (stamp_ns - t0) / (t1 - t0))


class TransformTree:
    """Thread-safe history of transforms between named frames; a leading slash of a name is ignored."""

    def __init__(self, history_s: float = 60.0, jump_s: float = 2.0) -> None:
        """Keep each dynamic transform up to `history_s` before its newest; over `jump_s` before is a clock jump."""
        self._history_ns = round(history_s * 1e9)
        self._jump_ns = round(jump_s * 1e9)
        self._lock = threading.Lock()
        self._edges: dict[str, _Edge] = {}
        self._conflicts: dict[str, str] = {}

    def add(self, parent: str, child: str, stamp_ns: int, T_parent_child: F64, *, static: bool) -> str:
        """Store one transform (4, 4).

        Returns "" or why it was refused: "empty_name", "self_parent", "not_finite", "not_rigid", "loop",
        "older_parent" (another parent is newer), "too_old" (before the history that is kept) or "clock_jump" (far
        before the newest of the same child: `clear`, then add again).
        """
        parent, child = _clean(parent), _clean(child)
        value = np.array(T_parent_child, dtype=np.float64)
        fault = _fault(parent, child, value)
        if fault:
            return fault
        value.flags.writeable = False
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.static != static:
                if self._is_ancestor(child, parent):
                    return "loop"
                if edge is not None:
                    self._note_conflict(child, edge, parent, static=static)
                    if not static and not edge.static and stamp_ns < edge.stamps[-1]:
                        return "older_parent"
                edge = self._edges[child] = _Edge(parent, static)
            return edge.insert(stamp_ns, value, self._history_ns, self._jump_ns)

    def lookup(self, target: str, source: str, stamp_ns: int) -> F64:
        """Return `T_target_source` (4, 4) at the stamp.

        Raises:
            FrameLookupError: with `reason` unknown_frame, not_connected, too_early, not_yet or conflict.
        """
        target, source = _clean(target), _clean(source)
        with self._lock:
            up_source, up_target = self._chain(target, source)
            for child in (*up_source, *up_target):
                self._check_time(child, stamp_ns, f"{target} <- {source}")
            T_top_source = self._climb(up_source, stamp_ns)
            T_top_target = self._climb(up_target, stamp_ns)
        return se3.inverse(T_top_target) @ T_top_source

    def latest_stamp(self, target: str, source: str) -> int | None:
        """Newest stamp at which `lookup` can succeed; `ALWAYS_NS` for a static chain, None for no chain."""
        with self._lock:
            try:
                up_source, up_target = self._chain(_clean(target), _clean(source))
            except FrameLookupError:
                return None
            edges = [self._edges[child] for child in (*up_source, *up_target)]
            return min((edge.stamps[-1] for edge in edges if not edge.static), default=ALWAYS_NS)

    def frames(self) -> dict[str, str]:
        """Return the parent of every child frame."""
        with self._lock:
            return {child: edge.parent for child, edge in self._edges.items()}

    def conflicts(self) -> tuple[str, ...]:
        """Sentences about frames whose parent changed: usually two nodes publish the same transform."""
        with self._lock:
            return tuple(self._conflicts.values())

    def clear(self) -> None:
        """Forget all dynamic transforms and conflicts (after a clock jump); static ones stay."""
        with self._lock:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static}
            self._conflicts.clear()

    def _is_ancestor(self, frame: str, of: str) -> bool:
        while of != frame:
            edge = self._edges.get(of)
            if edge is None:
                return False
            of = edge.parent
        return True

    def _note_conflict(self, child: str, edge: _Edge, parent: str, *, static: bool) -> None:
        kinds = {True: "static", False: "dynamic"}
        self._conflicts[child] = (
            f"frame {child} is published twice: under {edge.parent} ({kinds[edge.static]}) and under {parent} "
            f"({kinds[static]}); only one node may publish it: turn the TF output of the other off"
        )

    def _upwards(self, frame: str) -> list[str]:
        path = [frame]
        while path[-1] in self._edges:
            path.append(self._edges[path[-1]].parent)
        return path

    def _chain(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """Children to climb from source and from target up to their lowest common ancestor."""
        if target == source:
            return [], []
        known = set(self._edges) | {edge.parent for edge in self._edges.values()}
        for frame in (target, source):
            if frame not in known:
                shown = ", ".join(sorted(known)[:20]) or "none"
                text = f"frame {frame} is unknown; known frames: {shown}. Publish it on /tf or /tf_static, or rename it"
                raise FrameLookupError(reason="unknown_frame", text=text)
        from_source, from_target = self._upwards(source), self._upwards(target)
        common = set(from_target)
        top = next((frame for frame in from_source if frame in common), None)
        if top is None:
            text = (
                f"frames {target} and {source} are in separate trees, with roots {from_target[-1]} and "
                f"{from_source[-1]}; publish the transform that joins them"
            )
            raise FrameLookupError(reason="not_connected", text=text)
        return from_source[: from_source.index(top)], from_target[: from_target.index(top)]

    def _check_time(self, child: str, stamp_ns: int, what: str) -> None:
        edge = self._edges[child]
        if edge.static or edge.stamps[0] <= stamp_ns <= edge.stamps[-1]:
            return
        if child in self._conflicts:
            raise FrameLookupError(reason="conflict", text=f"{what}: {self._conflicts[child]}")
        link = f"{what}: {edge.parent} -> {child}"
        if stamp_ns < edge.stamps[0]:
            missing_s = (edge.stamps[0] - stamp_ns) * 1e-9
            text = f"{link} begins {missing_s:.3f} s after the stamp; start it earlier or keep a longer history"
            raise FrameLookupError(reason="too_early", text=text, missing_s=missing_s)
        missing_s = (stamp_ns - edge.stamps[-1]) * 1e-9
        text = f"{link} ends {missing_s:.3f} s before the stamp; wait longer, or check its publisher and clock"
        raise FrameLookupError(reason="not_yet", text=text, missing_s=missing_s)

    def _climb(self, children: list[str], stamp_ns: int) -> F64:
        transform = np.eye(4)
        for child in children:
            transform = self._edges[child].at(stamp_ns) @ transform
        return transform


def _clean(frame: str) -> str:
    return frame.strip().lstrip("/")


def _fault(parent: str, child: str, value: F64) -> str:
    if not parent or not child:
        return "empty_name"
    if parent == child:
        return "self_parent"
    if not np.isfinite(value).all():
        return "not_finite"
    return "" if se3.is_rigid(value) else "not_rigid"
