# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every data set yields, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cvloc_ros.errors import CvlocError
from cvloc_ros.types import AerialPatch, Correspondences, GroundView, Pose2


class DatasetError(CvlocError):
    """A data set is missing, incomplete or not in its published form."""


class SampleError(CvlocError):
    """One sample cannot be used: its image is missing or damaged. The others can."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Ground views, the aerial patch around them, and the true pose of base in map.

    The patch need not be centred on the vehicle. Depth, where a data set has it, is in the views. `matches` are true
    pairs of points, where they are known. `start` is the pose that a published test searches from. `name` is unique in
    the data set `source` and names files where there are any. `seed` is that of the simulated world, -1 for recorded
    data.
    """

    name: str
    source: str
    views: tuple[GroundView, ...]
    patch: AerialPatch
    pose: Pose2
    matches: Correspondences | None = None
    seed: int = -1
    start: Pose2 | None = None


class Samples(Protocol):
    """Samples by number. The same number always gives the same sample."""

    name: str
    streamed: bool
    """Made when asked for, cheaply only in rising order: never shuffle."""

    def __len__(self) -> int:
        """Count them."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            SampleError: this one cannot be used.
        """
        ...

    def close(self) -> None:
        """Free what is held."""
        ...
