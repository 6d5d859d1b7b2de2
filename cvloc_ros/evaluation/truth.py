# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the vehicle really was: poses of base in map from a topic or a TUM file, interpolated at a stamp."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvloc_ros import messages
from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.types import F64, Pose2

MAX_GAP_S = 1.0
"""Between truth poses further apart than this nothing is interpolated."""


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Poses in the map: `stamps_ns` (N,) increasing, `xy` (N, 2) m, `yaw` (N,) rad, unwrapped. `source` for people."""

    stamps_ns: NDArray[np.int64]
    xy: F64
    yaw: F64
    source: str = ""
    frame_id: str = ""

    @classmethod
    def of(cls, samples: Iterable[tuple[int, Pose2]], source: str = "", frame_id: str = "") -> Trajectory:
        """Sort, drop repeated stamps and poses that are not finite."""
        kept = {stamp_ns: pose for stamp_ns, pose in samples if math.isfinite(pose.x_m + pose.y_m + pose.yaw_rad)}
        stamps = sorted(kept)
        return cls(
            np.array(stamps, dtype=np.int64),
            np.array([kept[s].xy for s in stamps], dtype=np.float64).reshape(-1, 2),
            np.unwrap(np.array([kept[s].yaw_rad for s in stamps], dtype=np.float64)),
            source,
            frame_id,
        )

    def __len__(self) -> int:
        """Return the number of poses."""
        return len(self.stamps_ns)

    def at(self, stamp_ns: int, max_gap_s: float = MAX_GAP_S) -> Pose2 | None:
        """Return the pose at a stamp; None outside the trajectory or in a gap."""
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        if after == len(self):
            return None
        if self.stamps_ns[after] == stamp_ns:
            return self._pose(after)
        gap_ns = int(self.stamps_ns[after] - self.stamps_ns[after - 1]) if after else 0
        if not after or gap_ns > max_gap_s * 1e9:
            return None
        share = float(stamp_ns - self.stamps_ns[after - 1]) / gap_ns
        x, y = (1 - share) * self.xy[after - 1] + share * self.xy[after]
        yaw = (1 - share) * self.yaw[after - 1] + share * self.yaw[after]
        return Pose2(float(x), float(y), math.remainder(float(yaw), math.tau))

    def _pose(self, index: int) -> Pose2:
        x, y = map(float, self.xy[index])
        return Pose2(x, y, math.remainder(float(self.yaw[index]), math.tau))


def find(bag: Bag, given: str, topic: str) -> Trajectory | None:
    """Read truth from what is given (a TUM file; `none`: there is to be none), else from a topic of the bag, if any.

    Raises:
        BagError: as `from_tum` and `from_bag`.
    """
    if given == "none":
        return None
    if given:
        return from_tum(given)
    return from_bag(bag, topic) if topic else None


def from_bag(bag: Bag, topic: str) -> Trajectory:
    """Read truth from a topic of PoseWithCovarianceStamped, PoseStamped or Odometry.

    Raises:
        BagError: the topic has another type or no usable pose.
    """
    kind = bag.topics[topic].type.split("/")[-1]
    if kind not in ("PoseWithCovarianceStamped", "PoseStamped", "Odometry"):
        msg = f"{topic} is {kind}; truth is read from PoseWithCovarianceStamped, PoseStamped or Odometry"
        raise BagError(msg)
    samples, frames = [], set()
    for item in bag.messages([topic]):
        frames.add(messages.frame(item.message.header.frame_id))
        samples.append((messages.stamp_ns(item.message), messages.planar_pose(_pose_of(item.message))))
    return _checked(Trajectory.of(samples, f"topic {topic}", ", ".join(sorted(frames))))


def from_tum(path: Path | str) -> Trajectory:
    """Read a TUM file: `t x y z qx qy qz qw` a line, seconds and metres, base in map.

    Raises:
        BagError: the file is missing or a line is malformed.
    """
    samples = []
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        msg = f"--truth {path}: {err}; give a TUM file or `none`"
        raise BagError(msg) from err
    for number, line in enumerate(lines, 1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        try:
            seconds, fraction = (fields[0] + ".").split(".")[:2]
            stamp_ns = int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
            x, y, _, qx, qy, qz, qw = map(float, fields[1:])
        except ValueError as err:
            msg = f"{path}:{number}: {line!r} is not `t x y z qx qy qz qw`"
            raise BagError(msg) from err
        yaw = math.atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))
        samples.append((stamp_ns, Pose2(x, y, yaw)))
    return _checked(Trajectory.of(samples, f"file {Path(path).name}"))


def write_tum(path: Path, poses: Sequence[tuple[int, Pose2]]) -> None:
    """Write poses of base in map as `t x y z qx qy qz qw` (z = 0), for evo and other tools."""
    lines = [
        f"{stamp // 10**9}.{stamp % 10**9:09d} {pose.x_m:.6f} {pose.y_m:.6f} 0 0 0 "
        f"{math.sin(pose.yaw_rad / 2):.9f} {math.cos(pose.yaw_rad / 2):.9f}\n"
        for stamp, pose in poses
    ]
    path.write_text("".join(lines), encoding="utf-8")


def _pose_of(message: Any) -> Any:
    return message.pose.pose if hasattr(message.pose, "pose") else message.pose


def _checked(trajectory: Trajectory) -> Trajectory:
    if not len(trajectory):
        msg = f"truth {trajectory.source}: it holds no usable pose; `--truth none` replays without evaluation"
        raise BagError(msg)
    return trajectory
