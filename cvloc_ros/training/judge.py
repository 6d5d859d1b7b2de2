# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation while training: held-out samples through the `Localizer`, with the metrics of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvloc_ros.config import Config
from cvloc_ros.datasets.sample import Sample, SampleError, Samples
from cvloc_ros.errors import ImageError
from cvloc_ros.estimation import calibration
from cvloc_ros.evaluation.correspondence import LIMITS_PX, TOP, known_places, summarise, top_errors_px, true_places
from cvloc_ros.evaluation.metrics import along_across, nees, pose_error, statistics
from cvloc_ros.overlays.pictures import overlay
from cvloc_ros.pipeline import Localizer
from cvloc_ros.training.config import PriorDraw
from cvloc_ros.training.priors import draw_prior
from cvloc_ros.types import F64, U8, AerialPatch, LocalizationResult, Matcher, PosePrior

RECALLS_M = (1.0, 3.0, 5.0)
RECALLS_DEG = (1.0, 3.0, 5.0)
BEST_BY = "position_capped_mean_m"
"""The smaller it is, the better are the weights."""

_LOST_M, _CAP_M = 3.0, 10.0

DEFINITIONS = {
    "position_median_m": "median distance of the best pose, published or refused, to the truth (none: of the prior)",
    "position_capped_mean_m": "the mean of the same distances, each counted as 10 m at most",
    "yaw_median_deg": "the same for the absolute yaw error",
    "within_1m": "share of all samples whose best pose is less than 1 m off; so for 3 m, 5 m and yaw in degrees",
    "published": "share of all samples with a published pose; false_3m: published and more than 3 m off",
    "nees_mean": "mean of e' C^-1 e of published poses, 3 is ideal",
    "prior_position_median_m": "median distance of the priors to the truth",
    "match_within_5px": "share of the 30 strongest matches of each sample at most 5 px of 0.12 m off (also 10, 15), "
    "for matchers that match points, where views have depth or true pairs are known",
    "match_valid": "share of those 30 that were delivered and whose pixel has a known true place",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One sample: errors of the best pose and of the prior (x, y, yaw), NEES of a published pose.

    `match_errors_px` are those of the strongest matches; None where nothing matches points, or no truth of pixels is.
    """

    error: F64
    prior_error: F64
    truth_yaw_rad: float
    published: bool
    nees: float | None
    match_errors_px: F64 | None = None


class _OnePatch:
    """The imagery of one sample."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def patch(self, centre: F64, radius_m: float) -> AerialPatch:
        """Return the patch, whatever is asked for."""
        del centre, radius_m
        return self._sample.patch


def judge(
    samples: Samples, matcher: Matcher, config: Config, prior: PriorDraw, numbers: Sequence[int], seed: int
) -> Iterator[tuple[Judged, LocalizationResult]]:
    """Localize samples; the priors depend on seed and number alone. Samples that cannot be used are left out.

    A network in training has no calibration of its covariance: what `estimation` leaves to one are the safe values.
    """
    config = calibration.resolve(config, None)
    for number in numbers:
        try:
            sample = samples[number]
            given = draw_prior(
                prior, sample.pose, np.random.default_rng([seed, number, *b"judge"]), _newest_ns(sample),
                sample.start,
            )
            result = Localizer(config, _OnePatch(sample), matcher).localize(sample.views, given)
        except (SampleError, ImageError):
            continue
        yield _judged(sample, given, result), result


def metrics(judged: Sequence[Judged]) -> dict[str, float]:
    """Return the numbers of an evaluation; a sample without any pose counts with the error of its prior."""
    if not judged:
        return {}
    away = np.array([math.hypot(j.error[0], j.error[1]) for j in judged])
    turn = np.degrees(np.abs([j.error[2] for j in judged]))
    prior = np.array([math.hypot(j.prior_error[0], j.prior_error[1]) for j in judged])
    parts = np.abs([along_across(j.error, j.truth_yaw_rad) for j in judged])
    published = np.array([j.published for j in judged])
    values = [j.nees for j in judged if j.nees is not None]
    found: dict[str, Any] = {
        "samples": len(judged),
        "position_median_m": statistics(away)["median"], "position_p95_m": statistics(away)["p95"],
        BEST_BY: float(np.minimum(away, _CAP_M).mean()), "longitudinal_median_m": statistics(parts[:, 0])["median"],
        "lateral_median_m": statistics(parts[:, 1])["median"],
        "yaw_median_deg": statistics(turn)["median"],
        **{f"within_{limit:g}m": float((away < limit).mean()) for limit in RECALLS_M},
        **{f"within_{limit:g}deg": float((turn < limit).mean()) for limit in RECALLS_DEG},
        "published": float(published.mean()), "false_3m": float((published & (away > _LOST_M)).mean()),
        "prior_position_median_m": statistics(prior)["median"],
    }  # fmt: skip
    if values:
        found["nees_mean"] = float(np.mean(values))
    matches = summarise(j.match_errors_px for j in judged if j.match_errors_px is not None)
    if matches.pairs:
        shares = zip(LIMITS_PX, matches.within, strict=True)
        found |= {f"match_within_{limit:g}px": share for limit, share in shares} | {"match_valid": matches.valid}
    return {key: round(float(value), 4) for key, value in found.items()}


def picture(result: LocalizationResult) -> U8:
    """Show one attempt."""
    return overlay(result, 420)


def _judged(sample: Sample, prior: PosePrior, result: LocalizationResult) -> Judged:
    best = result.estimate or result.candidate
    before = pose_error(prior.pose, sample.pose)
    error = before if best is None else pose_error(best.pose, sample.pose)
    if not np.isfinite(error).all():
        error = before
    told = nees(result.estimate, sample.pose) if result.estimate is not None else None
    return Judged(error, before, sample.pose.yaw_rad, result.estimate is not None, told, _match_errors(sample, result))


def _match_errors(sample: Sample, result: LocalizationResult) -> F64 | None:
    depth = any(view.depth is not None for view in sample.views)
    if not (depth or sample.matches is not None):
        return None
    if result.matches is None:  # a matcher that scores poses, or refused before anything was matched
        return None if result.volume is not None else np.full(TOP, np.nan)
    if depth or sample.matches is None:
        return top_errors_px(result.matches, true_places(result.matches, sample.views, sample.pose))
    return top_errors_px(result.matches, known_places(result.matches, sample.matches))


def _newest_ns(sample: Sample) -> int:
    return max(view.stamp_ns for view in sample.views)
