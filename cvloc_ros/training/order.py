# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which samples a step takes: a function of the step alone, so that a training that was killed goes on the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample of a step: its number in the data set, and the place that seeds all that is drawn for it."""

    index: int
    step: int
    place: int


@dataclass(frozen=True, slots=True)
class Order:
    """Batches over `count` samples.

    Recorded samples are shuffled anew in every epoch. A stream is taken as it comes; each of its `workers` has a range
    of its own, so that no two of them make the same world.
    """

    count: int
    batch: int
    seed: int
    streamed: bool = False
    workers: int = 1

    def at(self, step: int) -> list[Draw]:
        """Return the samples of one step, of all processes."""
        if self.streamed:
            each = self.count // self.workers
            first = (step // self.workers) * self.batch
            start = (step % self.workers) * each
            return [Draw(start + (first + place) % each, step, place) for place in range(self.batch)]
        taken = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs = {epoch: self._epoch(int(epoch)) for epoch in np.unique(taken // self.count)}
        return [
            Draw(int(epochs[number // self.count][number % self.count]), step, place)
            for place, number in enumerate(taken.tolist())
        ]

    def _epoch(self, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.random.default_rng([self.seed, epoch]).permutation(self.count)


@dataclass(frozen=True, slots=True)
class Share:
    """The part of steps `first` to `last` (not included) that one of `processes` takes."""

    order: Order
    first: int
    last: int
    process: int = 0
    processes: int = 1

    def __iter__(self) -> Iterator[list[Draw]]:
        """Yield the samples of one step after the other."""
        for step in range(self.first, self.last):
            yield self.order.at(step)[self.process :: self.processes]

    def __len__(self) -> int:
        """Count the steps."""
        return self.last - self.first


def another(draw: Draw, count: int, attempt: int) -> Draw:
    """Return what stands in for a sample that cannot be used."""
    rng = np.random.default_rng([draw.index, draw.step, draw.place, attempt])
    return Draw(int(rng.integers(count)), draw.step, draw.place)
