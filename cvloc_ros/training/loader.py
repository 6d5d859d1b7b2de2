# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Batches in the order of `Order`, made in worker processes; samples that cannot be used are replaced and named."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cvloc_ros.config import Config
from cvloc_ros.datasets.catalogue import Data, open_samples
from cvloc_ros.datasets.sample import DatasetError, Sample, SampleError, Samples
from cvloc_ros.errors import ImageError
from cvloc_ros.pipeline import search_window
from cvloc_ros.training.augment import augment
from cvloc_ros.training.config import Augment, PriorDraw
from cvloc_ros.training.methods.method import Batch, Inputs
from cvloc_ros.training.order import Draw, Share, another
from cvloc_ros.training.priors import draw_prior

_TRIES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A batch, and what was passed over while it was made: a line for each sample, with the reason."""

    batch: Batch
    skipped: tuple[str, ...]


@dataclass
class Examples(Dataset[tuple[Batch, tuple[str, ...]]]):
    """Makes the input of one draw. It is sent to the workers, and opens the data there."""

    data: Data
    prior: PriorDraw
    augment: Augment | None
    localizer: Config
    inputs: Inputs
    seed: int
    _samples: Samples | None = field(default=None, repr=False)

    def __getitem__(self, draw: Draw) -> tuple[Batch, tuple[str, ...]]:
        """Make one example; another sample stands in for one that cannot be used.

        Raises:
            DatasetError: twenty in a row cannot be used.
        """
        samples = self.samples
        skipped: list[str] = []
        for attempt in range(_TRIES):
            chosen = draw if not attempt else another(draw, len(samples), attempt)
            try:
                sample = samples[chosen.index]
                made = self._example(sample, chosen)
            except (SampleError, ImageError) as err:
                skipped.append(str(err))
                continue
            if made is not None:
                return made, tuple(skipped)
            skipped.append(f"{sample.name}: nothing to match")
        msg = f"{samples.name}: {_TRIES} samples in a row cannot be used; the last: {skipped[-1]}"
        raise DatasetError(msg)

    @property
    def samples(self) -> Samples:
        """The data set, opened when it is first asked for."""
        if self._samples is None:
            self._samples = open_samples(self.data)
        return self._samples

    def _example(self, sample: Sample, draw: Draw) -> Batch | None:
        rng = np.random.default_rng([self.seed, draw.step, draw.place])
        changed = sample if self.augment is None else augment(sample, self.augment, rng)
        prior = draw_prior(self.prior, changed.pose, rng, start=changed.start)
        return self.inputs.example(changed, search_window(prior, self.localizer))


@dataclass(frozen=True, slots=True)
class _Together:
    """Joins examples; a class, so that it can be sent to workers."""

    inputs: Inputs

    def __call__(self, made: Sequence[tuple[Batch, tuple[str, ...]]]) -> Loaded:
        batch = self.inputs.collate([example for example, _ in made])
        return Loaded(batch, tuple(line for _, lines in made for line in lines))


def load(examples: Examples, share: Share, workers: int, *, pin: bool = False) -> Iterator[Loaded]:
    """Yield the batches of a share of the steps."""
    options: dict[str, Any] = {}
    if workers:
        options = {
            "num_workers": workers, "multiprocessing_context": "spawn", "prefetch_factor": 3,
            "worker_init_fn": _calm,
        }  # fmt: skip
    loader = DataLoader(
        examples, batch_sampler=share, collate_fn=_Together(examples.inputs), pin_memory=pin, **options
    )
    yield from loader


def _calm(_number: int) -> None:
    """Keep a worker to one thread, that of OpenGL in software included."""
    os.environ.setdefault("LP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
