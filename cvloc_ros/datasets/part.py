# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A part of a data set: the published trainings keep 20 % of their lists for validation."""

from __future__ import annotations

import numpy as np

from cvloc_ros.datasets.sample import Sample, Samples

SHARE = 0.8


class Part:
    """The first 80 %, or the rest, of samples that are shuffled with NumPy's seed 0."""

    streamed = False

    def __init__(self, samples: Samples, *, first: bool) -> None:
        order = np.random.RandomState(0).permutation(len(samples))
        split = int(SHARE * len(samples))
        self._samples, self._chosen = samples, order[:split] if first else order[split:]
        self.name = f"{samples.name}, {'first 80' if first else 'last 20'} %"

    def __len__(self) -> int:
        """Count them."""
        return len(self._chosen)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            SampleError: it cannot be used.
        """
        return self._samples[int(self._chosen[index])]

    def close(self) -> None:
        """Close the whole."""
        self._samples.close()
