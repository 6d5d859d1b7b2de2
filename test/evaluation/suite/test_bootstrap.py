# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Resampling of drives against samples that are written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvloc_ros.evaluation.suite import bootstrap


def test_every_resample_draws_as_many_drives_as_there_are() -> None:
    drawn = bootstrap.weights(7, 100)
    assert drawn is not None
    assert drawn.shape == (100, 7)
    assert (drawn.sum(1) == 7).all()
    assert np.array_equal(drawn, bootstrap.weights(7, 100))


def test_four_drives_give_no_interval() -> None:
    assert bootstrap.weights(4) is None
    assert bootstrap.weights(5) is not None


def test_exact_small_case() -> None:
    values, drive = np.array([1.0, 3.0, 5.0, np.nan]), np.array([0, 0, 1, 1])
    drawn = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    assert bootstrap.replicates(values, drive, drawn) == pytest.approx([2.0, 3.0, 5.0])
    assert bootstrap.replicates(values, drive, drawn, 0.5) == pytest.approx([2.0, 3.0, 5.0])


def test_drive_without_any_value_leaves_its_resamples_undefined() -> None:
    found = bootstrap.replicates(np.array([1.0]), np.array([0]), np.array([[1.0, 1.0], [0.0, 2.0]]), 0.5)
    assert found[0] == 1.0
    assert math.isnan(found[1])
    assert bootstrap.interval(found) is None
    assert bootstrap.interval(np.full(100, np.nan)) is None


@given(st.integers(0, 2**31), st.sampled_from([None, 0.5, 0.95]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_replicates_are_those_of_samples_written_out(seed: int, quantile: float | None, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    values, drive = rng.exponential(size=40), rng.integers(0, 5, 40)
    values = values.round(0) if ties else values
    values[rng.random(40) < 0.3] = np.nan
    drawn = rng.multinomial(5, np.full(5, 0.2), size=8).astype(np.float64)
    for weights, found in zip(drawn, bootstrap.replicates(values, drive, drawn, quantile), strict=True):
        sample = np.repeat(values, weights[drive].astype(int))
        sample = sample[~np.isnan(sample)]
        if not len(sample):
            assert math.isnan(found)
        elif quantile is None:
            assert found == pytest.approx(sample.mean())
        else:
            assert found == pytest.approx(np.quantile(sample, quantile))


def test_infinite_errors_count_in_a_median() -> None:
    values, drive = np.array([1.0, 2.0, np.inf, np.inf, np.inf]), np.zeros(5, dtype=np.int64)
    assert bootstrap.estimate(values[:3], 0.5) == 2.0
    assert bootstrap.estimate(values, 0.5) == np.inf
    assert bootstrap.replicates(values[:4], drive[:4], np.array([[1.0]]), 0.5)[0] == np.inf


def test_interval_holds_the_estimate_and_shrinks_with_more_drives(rng: np.random.Generator) -> None:
    widths = []
    for drives in (8, 32, 128):
        values = rng.normal(0.0, 0.2, drives * 20) + np.repeat(rng.normal(1.0, 0.5, drives), 20)
        drive, drawn = np.repeat(np.arange(drives), 20), bootstrap.weights(drives, 500)
        assert drawn is not None
        low, high = bootstrap.interval(bootstrap.replicates(values, drive, drawn)) or (0.0, 0.0)
        assert low < bootstrap.estimate(values) < high
        widths.append(high - low)
    assert widths[0] > 1.4 * widths[1] > 2.0 * widths[2]


def test_attempts_of_one_drive_are_no_independent_evidence(rng: np.random.Generator) -> None:
    values = np.repeat(rng.normal(1.0, 0.5, 10), 1000)
    drawn = bootstrap.weights(10, 500)
    assert drawn is not None
    low, high = bootstrap.interval(bootstrap.replicates(values, np.repeat(np.arange(10), 1000), drawn)) or (0.0, 0.0)
    assert high - low > 0.3  # taken as 10 000 independent attempts it would be 0.02
