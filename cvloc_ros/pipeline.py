# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`Localizer`: views and a prior in, one `LocalizationResult` out."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from cvloc_ros.config import Config
from cvloc_ros.errors import GeoError
from cvloc_ros.estimation import gates
from cvloc_ros.estimation.earlier import Earlier, evidence
from cvloc_ros.estimation.procrustes import from_matches
from cvloc_ros.types import (
    F64,
    AerialCode,
    AerialPatch,
    Correspondences,
    GroundView,
    LocalizationResult,
    Matcher,
    PoseEstimate,
    PosePrior,
    SearchWindow,
    Status,
)

_CODES_KEPT = 4


class PatchSource(Protocol):
    """Where the imagery comes from (`tiles.AerialMap`)."""

    def patch(self, centre: F64, radius_m: float) -> AerialPatch:
        """Return the imagery around a map position (2,)."""
        ...


class Localizer:
    """Finds the pose of base in map inside the window that the prior leaves open."""

    def __init__(self, config: Config, imagery: PatchSource, matcher: Matcher) -> None:
        self._config = config
        self._imagery = imagery
        self._matcher = matcher
        self._codes: OrderedDict[tuple[object, ...], AerialCode] = OrderedDict()

    def apply(self, config: Config) -> None:
        """Take over new values of the dynamic keys."""
        self._config = config

    def localize(
        self, views: Sequence[GroundView], prior: PosePrior, earlier: Earlier = ()
    ) -> LocalizationResult:
        """Attempt a pose at the prior's stamp; the views' `T_ref_base` refers to that stamp.

        The prior bounds the search and gates the result; it is not part of the estimate. What `earlier` attempts said
        (`estimation.earlier`) chooses among places that look alike.
        """
        attempt = _Attempt(prior, views)
        window = attempt.keep("window", search_window(prior, self._config))
        try:
            with attempt.timed("patch"):
                reach_m = window.radius_m + self._matcher.reach_m
                patch = attempt.keep("patch", self._imagery.patch(window.centre.xy, reach_m))
        except GeoError as err:
            return attempt.refused(Status.NO_TILES, str(err))
        if patch.coverage == 0.0:
            return attempt.refused(Status.NO_TILES, patch.tiles.message or "no imagery in the search window")
        with attempt.timed("encode"):
            code = self._encode(patch)
        with attempt.timed("match"):
            output = self._matcher.match(views, code, window)
        with attempt.timed("solve"):
            estimate = self._solve(output, prior, window, earlier, attempt)
        if estimate is None:
            if isinstance(output, Correspondences):
                return attempt.refused(Status.LOW_SCORE, f"no pose explains the {len(output.weights)} matches")
            return attempt.refused(Status.LOW_COVERAGE, "too little ground with imagery under it to compare")
        coverage = gates.street_coverage(patch, estimate.pose)
        estimate = gates.calibrate(dataclasses.replace(estimate, coverage=coverage), self._config.estimation)
        refusal = gates.check(estimate, prior, window, self._config.estimation)
        if refusal:
            return attempt.refused(*refusal, candidate=estimate)
        return attempt.accepted(estimate)

    def _encode(self, patch: AerialPatch) -> AerialCode:
        if patch.key not in self._codes:
            self._codes[patch.key] = self._matcher.encode_aerial(patch)
            if len(self._codes) > _CODES_KEPT:
                self._codes.popitem(last=False)
        self._codes.move_to_end(patch.key)
        return self._codes[patch.key]

    def _solve(
        self, output: Any, prior: PosePrior, window: SearchWindow, earlier: Earlier, attempt: _Attempt
    ) -> PoseEstimate | None:
        config = self._config.estimation
        if isinstance(output, Correspondences):
            attempt.keep("matches", output)
            if config.solver == "procrustes":
                return from_matches(output, np.random.default_rng(attempt.stamp_ns % 2**32), prior)
        from cvloc_ros.estimation import volume, votes  # bring torch

        if not isinstance(output, Correspondences):
            told = evidence(earlier, attempt.keep("volume", output))
            return volume.from_volume(output, config, prior, told)
        voted = votes.from_votes(output, window, config.vote_sigma_m)
        if voted is None:
            return None
        told = evidence(earlier, attempt.keep("volume", voted))
        return votes.solve(output, voted, config, prior, told)


def search_window(prior: PosePrior, config: Config) -> SearchWindow:
    """Size the window: factor times the prior's standard deviation, within the limits; all yaws if none is known."""
    search = config.search
    sigma_m, sigma_deg = gates.largest_sigma(prior.covariance)
    radius = min(max(search.sigma_factor * sigma_m, search.radius_min_m), search.radius_max_m)
    half = 180.0 if not prior.yaw_known else max(search.sigma_factor * sigma_deg, search.yaw_half_min_deg)
    return SearchWindow(prior.pose, radius, math.radians(min(half, search.yaw_half_max_deg)))


class _Attempt:
    """Collects what one attempt leaves behind, whatever its end."""

    def __init__(self, prior: PosePrior, views: Sequence[GroundView]) -> None:
        self.stamp_ns = prior.stamp_ns
        self._fields: dict[str, Any] = {"stamp_ns": prior.stamp_ns, "prior": prior, "views": tuple(views)}
        self._timings: dict[str, float] = {}

    def keep(self, name: str, value: Any) -> Any:
        self._fields[name] = value
        return value

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._timings[stage] = time.perf_counter() - start

    def refused(self, status: Status, reason: str, candidate: PoseEstimate | None = None) -> LocalizationResult:
        return LocalizationResult(
            status, reasons=(reason,), candidate=candidate, timings_s=self._timings, **self._fields
        )

    def accepted(self, estimate: PoseEstimate) -> LocalizationResult:
        return LocalizationResult(Status.OK, estimate=estimate, timings_s=self._timings, **self._fields)
