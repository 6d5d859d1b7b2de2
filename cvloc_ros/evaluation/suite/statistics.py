# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The measures of a group of runs, defined as those of a single replay (`evaluation.metrics`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.evaluation.metrics import DEFINITIONS as OF_A_REPLAY
from cvloc_ros.evaluation.metrics import along_across, mahalanobis_squared, rounded
from cvloc_ros.evaluation.suite.bootstrap import estimate, interval, replicates
from cvloc_ros.evaluation.suite.record import RunName, RunRecord
from cvloc_ros.types import F64, Mask

RECALL_M = (1.0, 3.0, 5.0)
RECALL_DEG = (1.0, 3.0, 5.0)
JOINT = ((1.0, 5.0), (3.0, 10.0), (5.0, 20.0))
FALSE_M = 3.0
MEDIAN = 0.5

_WITH_TRUTH = "attempts inside the map with truth"
DEFINITIONS = {
    **{key: OF_A_REPLAY[key] for key in ("images", "image_sets", "attempts", "attempts_inside", "published",
                                         "availability", "nees", "latency_ms")},
    "attempts_inside_with_truth": _WITH_TRUTH + ": what recalls and errors of all attempts refer to",
    "position_error": OF_A_REPLAY["position_error_m"],
    "lateral_error": OF_A_REPLAY["lateral_error_m"],
    "longitudinal_error": "absolute part along the true heading",
    "yaw_error": OF_A_REPLAY["yaw_error_deg"],
    "recall": f"published inside and less than the limit off (strictly) / {_WITH_TRUTH}; a failure counts as a miss; "
    "of position, lateral, longitudinal, yaw alone, and of position and yaw together (recall_1m_5deg)",
    "all_attempts": f"error over {_WITH_TRUTH}, in which a failure counts as the error of its prior; a failure without "
    "a prior counts as infinitely far off in the median and is left out of the mean",
    "false_accepts_of_published": "poses more than 3 m off / published poses with truth, inside the map or not; "
    "false_accepts_3m_count is their number",
    "protection_level_median_m": "bound on the horizontal error of published poses at estimation.integrity_risk",
    "integrity_failures": "published poses whose error exceeds their protection level / published poses with truth; "
    "at most the risk where the level is honest",
    "gnss": f"GNSS alone at the same {_WITH_TRUTH}, interpolated at the stamps, without antenna offset; "
    "gnss_availability is the share that has one; where there is none, its recalls count a miss",
    "gnss_false": "GNSS more than 3 m off / GNSS positions",
    "nees_position": "the same over x and y alone; 2 is ideal",
    "nees_yaw": "the same over yaw alone; 1 is ideal",
    "chi2_95": "where the mean NEES of n honest and independent poses lies in 95 % of cases (chi-square with "
    "n times its degrees of freedom, over n). Attempts of one drive are not independent: the interval over drives "
    "says how far the mean itself is known",
    "interval": "95 % percentile interval of a bootstrap over drives (all attempts of a drive go together); none with "
    "fewer than 5 drives",
    "coverage": "share of published poses whose position error lies in the 1, 2, 3 sigma ellipse of its covariance; "
    "honest covariances give 39.3, 86.5, 98.9 %",
    "reliability": "share of published poses whose error lies in the ellipse that should hold the expected share",
    "sigma": "poses ordered by their published sigma, in bins of equal number: root mean square of sigma against that "
    "of the error, per axis",
    "cdf": f"share of {_WITH_TRUTH} with a pose (or GNSS position) at most so far off; ends at the share that has one",
    "memory_peak_mb": "largest memory of any run of the group, whole process",
    "fusion": "preview of what a filter makes of the poses (not a replacement of robot_localization): horizontal error "
    "in m over the whole drive, or over the outage; medians over the drives (n of them, or of outages) of each one's "
    "median, p95 and error at the end, and the largest error of all",
    "failed_runs": "runs that ended with an error; nothing of them is in the other numbers",
    "difference": "first matcher minus second on the drives of both, and its interval from the same resamples; "
    "the better one is named where the interval excludes zero",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """All image sets of a group of runs as columns (N,); NaN where there is none.

    `drive` is the index into `drives`, `known` marks attempts inside the map with truth. `error` (N, 3) and
    `covariance` (N, 3, 3) are those of the records; all other errors are absolute, in m and degrees.
    """

    drives: tuple[str, ...]
    drive: NDArray[np.int64]
    tried: Mask
    inside: Mask
    known: Mask
    published: Mask
    error: F64
    covariance: F64
    protection_level_m: F64
    position: F64
    lateral: F64
    longitudinal: F64
    yaw: F64
    prior_position: F64
    prior_yaw: F64
    gnss: F64
    wall_s: F64

    @classmethod
    def of(cls, records: Sequence[RunRecord], drives: Sequence[str] | None = None) -> Sample:
        """Join runs; `drives` names those that resampling knows, by default those of the records in order of name."""
        names = tuple(sorted({record.name.drive for record in records}) if drives is None else drives)
        records = records or [_NOTHING]
        index = {name: number for number, name in enumerate(names)}

        def join(take: Callable[[RunRecord], NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([take(record) for record in records])

        truth, error = join(lambda r: r.truth), join(lambda r: r.error)
        prior = join(lambda r: r.prior_error)
        tried, inside = join(lambda r: r.tried), join(lambda r: r.inside)
        along, across = along_across(error, truth[:, 2])
        return cls(
            drives=names,
            drive=join(lambda r: np.full(len(r.stamp_ns), index.get(r.name.drive, 0), dtype=np.int64)),
            tried=tried, inside=inside, known=tried & inside & np.isfinite(truth).all(1),
            published=join(lambda r: r.published),
            error=error, covariance=join(lambda r: r.covariance),
            protection_level_m=join(lambda r: r.protection_level_m),
            position=np.hypot(error[:, 0], error[:, 1]), lateral=np.abs(across), longitudinal=np.abs(along),
            yaw=np.abs(np.degrees(error[:, 2])),
            prior_position=np.hypot(prior[:, 0], prior[:, 1]), prior_yaw=np.abs(np.degrees(prior[:, 2])),
            gnss=np.hypot(*join(lambda r: r.gnss_error).T), wall_s=join(lambda r: r.wall_s),
        )  # fmt: skip

    def nees(self, axes: slice = slice(0, 3)) -> F64:
        """Return e' C^-1 e (N,) over x, y, yaw or some of them."""
        found = np.full(len(self.error), np.nan)
        rows = np.flatnonzero(np.isfinite(self.error).all(1))
        found[rows] = mahalanobis_squared(self.error[rows, axes], self.covariance[rows, axes, axes])
        return found


_NONE, _NO = np.zeros((0, 3)), np.zeros(0, dtype=np.bool_)
_NOTHING = RunRecord(
    RunName("", "", ""), np.zeros(0, dtype=np.int64), (), _NO, _NO, _NONE, _NONE, np.zeros((0, 3, 3)), _NONE, _NONE,
    _NONE[:, :2], _NONE[:, 0], _NONE[:, 0], _NONE[:, 0], _NONE[:, 0],
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One number of a group: mean, or quantile, of values (N,) where NaN does not count."""

    values: F64
    quantile: float | None = None

    def evaluate(self, drive: NDArray[np.int64], drawn: F64 | None) -> dict[str, float | int | None]:
        """Return value, low and high end of its interval, n; None where there is none."""
        found = None if drawn is None else interval(replicates(self.values, drive, drawn, self.quantile))
        low, high = found or (None, None)
        n = int(np.count_nonzero(~np.isnan(self.values)))
        return {"value": number(estimate(self.values, self.quantile)), "low": number(low), "high": number(high), "n": n}


def number(value: float | None) -> float | None:
    """Return a number as JSON can hold it; None for NaN and infinity."""
    return None if value is None or not np.isfinite(value) else rounded(value)


def measures(sample: Sample) -> dict[str, Measure]:
    """Return all measures of a group by key; keys say their unit."""
    known, at = sample.known, sample.published
    found = {"availability": _share(at, sample.tried & sample.inside)}
    for name, unit in (("position", "m"), ("lateral", "m"), ("longitudinal", "m"), ("yaw", "deg")):
        values = getattr(sample, name)
        found[f"{name}_error_mean_{unit}"] = Measure(values)
        found[f"{name}_error_median_{unit}"] = Measure(values, MEDIAN)
        for limit in RECALL_DEG if unit == "deg" else RECALL_M:
            found[f"recall_{name}_{limit:g}{unit}"] = _share(values < limit, known)
    found["position_error_p95_m"] = Measure(sample.position, 0.95)
    for metres, degrees in JOINT:
        both = (sample.position < metres) & (sample.yaw < degrees)
        found[f"recall_{metres:g}m_{degrees:g}deg"] = _share(both, known)
    found |= _all_attempts(sample)
    found["false_accepts_of_published"] = _share(sample.position > FALSE_M, np.isfinite(sample.position))
    for name, axes in (("nees", slice(0, 3)), ("nees_position", slice(0, 2)), ("nees_yaw", slice(2, 3))):
        found |= {f"{name}_mean": Measure(sample.nees(axes)), f"{name}_median": Measure(sample.nees(axes), MEDIAN)}
    level = sample.protection_level_m
    found["protection_level_median_m"] = Measure(level, MEDIAN)
    found["integrity_failures"] = _share(sample.position > level, np.isfinite(sample.position) & ~np.isnan(level))
    return found | _gnss(sample)


def evaluate(
    found: Mapping[str, Measure], drive: NDArray[np.int64], drawn: F64 | None
) -> dict[str, dict[str, float | int | None]]:
    """Return every measure with its interval."""
    return {key: measure.evaluate(drive, drawn) for key, measure in found.items()}


def _all_attempts(sample: Sample) -> dict[str, Measure]:
    found = {}
    for name, unit, prior in (("position", "m", sample.prior_position), ("yaw", "deg", sample.prior_yaw)):
        values = np.where(sample.published, getattr(sample, name), prior)
        finite = np.where(sample.known, values, np.nan)
        found[f"all_attempts_{name}_mean_{unit}"] = Measure(finite)
        found[f"all_attempts_{name}_median_{unit}"] = Measure(
            np.where(sample.known & np.isnan(values), np.inf, finite), MEDIAN
        )
    return found


def _gnss(sample: Sample) -> dict[str, Measure]:
    values = np.where(sample.known, sample.gnss, np.nan)
    there = np.isfinite(values)
    return {
        "gnss_availability": _share(there, sample.known),
        "gnss_error_mean_m": Measure(values),
        "gnss_error_median_m": Measure(values, MEDIAN),
        "gnss_error_p95_m": Measure(values, 0.95),
        **{f"gnss_recall_{limit:g}m": _share(values < limit, sample.known) for limit in RECALL_M},
        "gnss_false": _share(values > FALSE_M, there),
    }


def _share(hit: Mask, of: Mask) -> Measure:
    """Share of `of` that is hit; comparisons with NaN are False, so what has no pose is a miss."""
    return Measure(np.where(of, hit.astype(np.float64), np.nan))
