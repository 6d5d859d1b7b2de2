# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether published covariances are honest: bounds of the NEES, coverage, reliability, sigma against error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cvloc_ros.evaluation.suite.bootstrap import estimate
from cvloc_ros.evaluation.suite.statistics import MEDIAN, Measure, Sample, number
from cvloc_ros.types import F64

PARTS = {"pose": (slice(0, 3), 3), "position": (slice(0, 2), 2), "yaw": (slice(2, 3), 1)}
SIGMAS = (1.0, 2.0, 3.0)
EXPECTED = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
BINS = 8
LEAST_IN_BIN = 10


def judge(sample: Sample, drawn: F64 | None) -> dict[str, Any]:
    """Return NEES, coverage, reliability and sigma of a group, as a tree for JSON; None where nothing was published."""
    squared = {part: sample.nees(axes) for part, (axes, _) in PARTS.items()}
    return {
        "nees": {part: nees(values, PARTS[part][1], sample, drawn) for part, values in squared.items()},
        "coverage": [coverage(squared["position"], sigmas, sample, drawn) for sigmas in SIGMAS],
        "reliability": {part: reliability(values, PARTS[part][1], sample, drawn) for part, values in squared.items()},
        "sigma": {"position_m": sigma(sample, slice(0, 2)), "yaw_deg": sigma(sample, slice(2, 3), math.degrees(1.0))},
    }


def nees(values: F64, dof: int, sample: Sample, drawn: F64 | None) -> dict[str, Any]:
    """Return mean and median NEES with both kinds of bounds: of chance for independent poses, and over drives."""
    mean = Measure(values).evaluate(sample.drive, drawn)
    bounds = chi2_bounds(int(mean["n"] or 0), dof)
    return {
        "dof": dof,
        "n": mean["n"],
        "mean": mean["value"],
        "median": number(estimate(values, MEDIAN)),
        "chi2_95": bounds and [number(bound) for bound in bounds],
        "drives_95": None if mean["low"] is None else [mean["low"], mean["high"]],
    }


def chi2_bounds(n: int, dof: int) -> tuple[float, float] | None:
    """Return where the mean of n independent chi-square values of `dof` degrees of freedom lies in 95 % of cases."""
    from scipy.stats import chi2

    return (chi2.ppf(0.025, n * dof) / n, chi2.ppf(0.975, n * dof) / n) if n else None


def coverage(position: F64, sigmas: float, sample: Sample, drawn: F64 | None) -> dict[str, Any]:
    """Return the share inside the ellipse of so many sigma (2 degrees of freedom) beside the expected share."""
    inside = _inside(position, sigmas**2).evaluate(sample.drive, drawn)
    return {"sigmas": sigmas, "expected": number(1.0 - math.exp(-(sigmas**2) / 2.0)), **inside}


def reliability(values: F64, dof: int, sample: Sample, drawn: F64 | None) -> dict[str, list[float | None]] | None:
    """Return, for each expected share, the share of poses inside the ellipse that should hold it, and its interval."""
    from scipy.stats import chi2

    if np.isnan(values).all():
        return None
    rows = [_inside(values, limit).evaluate(sample.drive, drawn) for limit in chi2.ppf(EXPECTED, dof)]
    return {"expected": EXPECTED.tolist(), **_columns(rows, observed="value", low="low", high="high")}


def sigma(sample: Sample, axes: slice, scale: float = 1.0) -> dict[str, list[float | None]] | None:
    """Return root mean squares per axis of published sigma and of the error, in bins of equal number."""
    rows = np.flatnonzero(np.isfinite(sample.error).all(1))
    variance = np.diagonal(sample.covariance[rows, axes, axes], axis1=1, axis2=2).mean(1)
    squared = (sample.error[rows, axes] ** 2).mean(1)
    parts = np.array_split(np.argsort(variance, kind="stable"), min(BINS, len(rows) // LEAST_IN_BIN) or 1)
    if not len(rows):
        return None
    return {
        "predicted": [number(scale * math.sqrt(variance[part].mean())) for part in parts],
        "observed": [number(scale * math.sqrt(squared[part].mean())) for part in parts],
        "n": [len(part) for part in parts],
    }


def _inside(squared: F64, limit: float) -> Measure:
    return Measure(np.where(np.isnan(squared), np.nan, squared <= limit))


def _columns(rows: list[dict[str, float | int | None]], **keys: str) -> Mapping[str, list[float | None]]:
    return {name: [row[key] for row in rows] for name, key in keys.items()}
