# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The evaluations of one training: the same held-out samples and priors every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import numpy as np

from cvloc_ros.config import Config
from cvloc_ros.datasets.catalogue import open_samples
from cvloc_ros.datasets.sample import Sample, SampleError
from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.ground import BirdsEye
from cvloc_ros.matching import registry
from cvloc_ros.pipeline import search_window
from cvloc_ros.training.config import Training
from cvloc_ros.training.judge import BEST_BY, judge, metrics, picture
from cvloc_ros.training.methods.method import Batch, Inputs
from cvloc_ros.training.priors import draw_prior
from cvloc_ros.types import U8, Matcher


class HeldOut:
    """Holds the samples in memory from the first evaluation on."""

    def __init__(self, config: Training, localizer: Config) -> None:
        self._config, self._localizer = config, localizer
        self._samples: list[Sample] = []
        self._best = float("inf")
        self.since_best = 0

    def run(self, matcher: Matcher, show: Callable[[str, U8], None]) -> dict[str, float]:
        """Localize all samples; `show` is given some pictures."""
        run = self._config.run
        self._open()
        kept = _Kept(self._samples)
        judged = []
        numbers = range(len(self._samples))
        prior = self._config.validation_prior or self._config.prior
        for number, (one, result) in enumerate(judge(kept, matcher, self._localizer, prior, numbers, run.seed)):
            judged.append(one)
            if number < run.pictures:
                show(f"sample {number}", picture(result))
        found = metrics(judged)
        self._compare(found)
        return found

    def batches(self, inputs: Inputs) -> Iterator[Batch]:
        """Yield the inputs of all samples, with priors of their own."""
        self._open()
        made: list[Batch] = []
        for number, sample in enumerate(self._samples):
            rng = np.random.default_rng([self._config.run.seed, number, *b"calibration"])
            prior = draw_prior(self._config.prior, sample.pose, rng, start=sample.start)
            with suppress(ImageError):
                example = inputs.example(sample, search_window(prior, self._localizer))
                made += [example] if example is not None else []
            if made and (len(made) == self._config.run.batch or number == len(self._samples) - 1):
                yield inputs.collate(made)
                made = []

    def _open(self) -> None:
        if not self._samples:
            self._samples = self._take()

    def close(self) -> None:
        """Forget the samples."""
        self._samples.clear()

    def recall(self, before: Sequence[Mapping[str, float]]) -> None:
        """Take over what evaluations before a resume have found."""
        for found in before:
            self._compare(found)

    def _compare(self, found: Mapping[str, float]) -> None:
        better = found.get(BEST_BY, math.inf) < self._best
        self._best = found[BEST_BY] if better else self._best
        self.since_best = 0 if better else self.since_best + 1

    def _take(self) -> list[Sample]:
        """Take samples evenly from the whole of recorded data, the first ones of a stream."""
        samples = open_samples(self._config.validation)
        try:
            count = min(self._config.run.evaluate, len(samples))
            step = 1 if samples.streamed else len(samples) // count
            taken = []
            for number in range(count):
                with suppress(SampleError):
                    taken.append(samples[number * step])
            return taken
        finally:
            samples.close()


def measure(config: Training, localizer: Config) -> dict[str, float]:
    """Localize the held-out samples of a training with the matcher that a configuration names; see `judge.DEFINITIONS`.

    Raises:
        CvlocError: weights or samples cannot be used.
    """
    matcher = registry.create(localizer.matcher, BirdsEye())
    held_out = HeldOut(config, localizer)
    try:
        return held_out.run(matcher, lambda _name, _rgb: None)
    finally:
        held_out.close()
        matcher.close()


class _Kept:
    """Samples in memory."""

    name, streamed = "kept", False

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return self._samples[index]

    def close(self) -> None:
        """Nothing is held."""
