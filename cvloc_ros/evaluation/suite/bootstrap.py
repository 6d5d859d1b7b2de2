# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Confidence intervals by resampling whole drives: attempts of one drive share street, light and GNSS bias."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.types import F64

LEAST_DRIVES = 5
RESAMPLES = 2000
SEED = 20260101
MOST_UNDEFINED = 0.05
"""With a larger share of resamples that hold no value at all, no interval is given."""


def weights(drives: int, resamples: int = RESAMPLES, seed: int = SEED) -> F64 | None:
    """Return how often each drive is drawn in each resample (resamples, drives); None for too few drives.

    The same numbers give the same weights, so that two matchers can be compared on the same resamples.
    """
    if drives < LEAST_DRIVES:
        return None
    drawn = np.random.default_rng(seed).multinomial(drives, np.full(drives, 1.0 / drives), size=resamples)
    return drawn.astype(np.float64)


def estimate(values: F64, quantile: float | None = None) -> float:
    """Return the mean, or a quantile (linear between samples), of those values (N,) that are not NaN; else NaN."""
    used = values[~np.isnan(values)]
    if not len(used):
        return math.nan
    if quantile is None:
        return float(used.mean())
    ranked = np.sort(used)
    return float(_between((len(used) - 1) * np.array([quantile]), lambda rank: ranked[rank])[0])


def replicates(values: F64, drive: NDArray[np.int64], drawn: F64, quantile: float | None = None) -> F64:
    """Return `estimate` of every resample (resamples,), drawn by `weights`.

    Values (N,) that are NaN are left out; infinite ones are for quantiles only. drive (N,) is the index of each drive.
    """
    used = ~np.isnan(values)
    values, drive = values[used], drive[used]
    counts = drawn @ np.bincount(drive, minlength=drawn.shape[1])
    out = np.full(len(drawn), np.nan)
    some = counts > 0
    if quantile is None:
        np.divide(drawn @ np.bincount(drive, values, minlength=drawn.shape[1]), counts, out=out, where=some)
    elif some.any():
        ranked = _Ranked(values, drive, drawn[some])
        out[some] = _between((counts[some] - 1) * quantile, ranked.at)
    return out


def interval(samples: F64) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of replicates; None where too many of them are undefined."""
    known = samples[~np.isnan(samples)]
    if len(known) < (1.0 - MOST_UNDEFINED) * len(samples) or not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5], method="inverted_cdf")
    return float(low), float(high)


def _between(place: F64, at: Callable[[NDArray[np.int64]], F64]) -> F64:
    """Interpolate between the two neighbouring ranks; infinite values are kept."""
    rank = np.floor(place + 1e-9).astype(np.int64)
    part = np.maximum(place - rank, 0.0)
    low, high = at(rank), at(rank + (part > 1e-9))
    with np.errstate(invalid="ignore"):
        found: F64 = np.where(low == high, low, low + part * (high - low))
    return found


class _Ranked:
    """The value of any rank in weighted samples, by bisection over the pooled values: memory does not grow with N."""

    def __init__(self, values: F64, drive: NDArray[np.int64], drawn: F64) -> None:
        self._pooled = np.sort(values)
        self._drawn = drawn
        self._each = [np.sort(values[drive == index]) for index in range(drawn.shape[1])]

    def at(self, rank: NDArray[np.int64]) -> F64:
        """Return the value (resamples,) with `rank` (resamples,) values before it."""
        low = np.zeros(len(rank), dtype=np.int64)
        high = np.full(len(rank), len(self._pooled) - 1)
        for _ in range(math.ceil(math.log2(len(self._pooled))) + 1):
            middle = (low + high) // 2
            enough = self._below(self._pooled[middle]) > rank
            low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
        found: F64 = self._pooled[high]
        return found

    def _below(self, limit: F64) -> F64:
        counts = np.zeros(len(limit))
        for index, own in enumerate(self._each):
            counts += self._drawn[:, index] * np.searchsorted(own, limit, side="right")
        return counts
