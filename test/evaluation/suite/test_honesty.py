# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Honest, over- and underconfident covariances are told apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cvloc_ros.evaluation.suite import bootstrap, honesty
from cvloc_ros.evaluation.suite.record import RunRecord
from cvloc_ros.evaluation.suite.statistics import Sample

Maker = Callable[..., RunRecord]


def judge(made_up: Maker, rng: np.random.Generator, said: float) -> dict[str, Any]:
    records = [made_up(rng, f"drive {i}", n=300, said=said, wrong=0.0, available=1.0) for i in range(8)]
    sample = Sample.of(records)
    return honesty.judge(sample, bootstrap.weights(8, 200))


def test_bounds_are_those_of_chi_square() -> None:
    low, high = honesty.chi2_bounds(40, 3) or (0.0, 0.0)
    assert stats.chi2.cdf(40 * low, 120) == pytest.approx(0.025)
    assert stats.chi2.sf(40 * high, 120) == pytest.approx(0.025)
    assert low < 3.0 < high
    assert honesty.chi2_bounds(0, 3) is None


def test_bounds_hold_95_percent_of_honest_samples(rng: np.random.Generator) -> None:
    low, high = honesty.chi2_bounds(50, 3) or (0.0, 0.0)
    means = rng.chisquare(3, (4000, 50)).mean(1)
    assert np.mean((means > low) & (means < high)) == pytest.approx(0.95, abs=0.015)


def test_honest_covariances_lie_on_the_diagonal(made_up: Maker, rng: np.random.Generator) -> None:
    found = judge(made_up, rng, said=1.0)
    for part, dof in (("pose", 3), ("position", 2), ("yaw", 1)):
        rows = found["reliability"][part]
        assert np.abs(np.subtract(rows["observed"], rows["expected"])).max() < 0.04
        nees = found["nees"][part]
        assert nees["mean"] == pytest.approx(dof, rel=0.1)
        assert nees["drives_95"][0] < nees["mean"] < nees["drives_95"][1]
        assert nees["chi2_95"][0] < dof < nees["chi2_95"][1]
    for name in ("position_m", "yaw_deg"):
        bins = found["sigma"][name]
        assert np.divide(bins["observed"], bins["predicted"]) == pytest.approx(1.0, abs=0.2)
        assert sum(bins["n"]) == found["nees"]["pose"]["n"]
        assert bins["predicted"] == sorted(bins["predicted"])
    assert [row["value"] for row in found["coverage"]] == pytest.approx([0.393, 0.865, 0.989], abs=0.04)
    assert [row["expected"] for row in found["coverage"]] == pytest.approx([0.3935, 0.8647, 0.9889], abs=1e-4)


def test_overconfident_ones_lie_below_and_cautious_ones_above(made_up: Maker, rng: np.random.Generator) -> None:
    over, under = judge(made_up, rng, said=0.5), judge(made_up, rng, said=2.0)
    inner = slice(2, 10)
    for part in ("pose", "position", "yaw"):
        expected = np.array(over["reliability"][part]["expected"][inner])
        assert (np.array(over["reliability"][part]["high"][inner]) < expected).all()
        assert (np.array(under["reliability"][part]["low"][inner]) > expected).all()
    assert over["nees"]["pose"]["mean"] == pytest.approx(12.0, rel=0.1)
    assert over["nees"]["pose"]["chi2_95"][1] < over["nees"]["pose"]["drives_95"][0]
    assert np.divide(over["sigma"]["position_m"]["observed"], over["sigma"]["position_m"]["predicted"]).min() > 1.5
    assert under["nees"]["pose"]["mean"] < under["nees"]["pose"]["chi2_95"][0]


def test_nothing_published_says_nothing(by_hand: Maker) -> None:
    found = honesty.judge(Sample.of([by_hand([{"status": "ambiguous"}])]), None)
    assert found["nees"]["pose"] == {"dof": 3, "n": 0, "mean": None, "median": None, "chi2_95": None, "drives_95": None}
    assert found["reliability"] == {"pose": None, "position": None, "yaw": None}
    assert found["sigma"] == {"position_m": None, "yaw_deg": None}
    assert [row["value"] for row in found["coverage"]] == [None, None, None]


def test_few_poses_make_one_bin(by_hand: Maker) -> None:
    found = honesty.sigma(Sample.of([by_hand([{"off": (3.0, 4.0, 0.0)}, {"off": (0.0, 0.0, 0.0)}])]), slice(0, 2))
    assert found == {"predicted": [0.5], "observed": [2.5], "n": [2]}
