# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a fit needs of the attempts of one drive. Score volumes are solved with every temperature while they exist."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from cvloc_ros.config import Estimation
from cvloc_ros.estimation import gates
from cvloc_ros.estimation.calibration import FALLBACK, Values
from cvloc_ros.evaluation.attempts import Judged
from cvloc_ros.evaluation.metrics import pose_error
from cvloc_ros.types import F64, LocalizationResult, Mask, Pose2, PoseEstimate, ScoreVolume, Status

TEMPERATURES = tuple(0.375 * math.sqrt(2.0) ** k for k in range(15))
"""0.375 to 48 in steps of half an octave; the scale makes up for what lies between."""

_OF_THE_SESSION = (Status.INCONSISTENT, Status.TOO_LATE)
"""Refused for what went before, whatever the covariance is."""


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One attempt. `covariance` (K, 3, 3) is bare, `ambiguity` (K,) and `place` (K,) belong to K temperatures.

    `place` is the log-probability of the neighbourhood of the true pose; empty without a volume, where K is 1.
    """

    result: LocalizationResult
    candidate: PoseEstimate | None
    error: F64
    covariance: F64
    ambiguity: F64
    place: F64
    matched: bool = False
    """Whether the method gave matched points, of which a solver made the pose or the volume."""


@dataclass(frozen=True, slots=True, eq=False)
class DriveSamples:
    """The N attempts of one drive inside the map with truth. `error` (N, 3) is NaN where there was no candidate."""

    drive: str
    estimation: Estimation
    attempts: tuple[Attempt, ...]

    @property
    def error(self) -> F64:
        """Candidate minus truth (N, 3) in m, m, rad."""
        return np.array([attempt.error for attempt in self.attempts]).reshape(-1, 3)

    def covariance(self, k: int) -> F64:
        """Bare covariance (N, 3, 3) at temperature k."""
        return np.array([attempt.covariance[k] for attempt in self.attempts]).reshape(-1, 3, 3)

    def place(self, k: int) -> F64:
        """Log-probability of the true place (M,) at temperature k, where there was a score volume."""
        return np.array([attempt.place[k] for attempt in self.attempts if len(attempt.place)])

    @property
    def has_temperature(self) -> bool:
        """Whether poses come from score volumes, be they votes of matches."""
        return any(len(attempt.place) for attempt in self.attempts)

    @property
    def matched(self) -> bool:
        """Whether the method's output is matched points."""
        return any(attempt.matched for attempt in self.attempts)

    def published(self, values: Values, k: int) -> Mask:
        """Which attempts (N,) would have been published with these values, by the gates themselves.

        What a changed pose stream would change in later priors is left out.
        """
        estimation = with_values(self.estimation, values)
        return np.array([_passes(attempt, estimation, k) for attempt in self.attempts], dtype=np.bool_)


def with_values(estimation: Estimation, values: Values) -> Estimation:
    """Return the section with these values in use."""
    known = {name: value for name, value in values.model_dump().items() if value is not None}
    return estimation.model_copy(update=known)


def _passes(attempt: Attempt, estimation: Estimation, k: int) -> bool:
    result, candidate = attempt.result, attempt.candidate
    if candidate is None or result.prior is None or result.window is None or result.status in _OF_THE_SESSION:
        return False
    bare = dataclasses.replace(
        candidate, covariance=attempt.covariance[k], ambiguity=float(attempt.ambiguity[k])
    )
    return gates.check(gates.calibrate(bare, estimation), result.prior, result.window, estimation) is None


@dataclass(slots=True)
class Collector:
    """Sees the results of one replay (`evaluation.run.Watch`), which has to run with the values `FALLBACK`."""

    estimation: Estimation
    _seen: dict[int, Attempt] = field(default_factory=dict)

    def __call__(self, result: LocalizationResult, truth: Pose2 | None) -> None:
        """Keep what is needed of one result."""
        if truth is not None:
            found = _attempt(result, truth, with_values(self.estimation, FALLBACK))
            self._seen[result.stamp_ns] = dataclasses.replace(found, matched=result.matches is not None)

    def samples(self, drive: str, judged: list[Judged]) -> DriveSamples:
        """Return the attempts inside the map with truth, as the metrics count them."""
        wanted = [j.attempt.stamp_ns for j in judged if j.attempt.tried and j.inside and j.truth is not None]
        return DriveSamples(drive, self.estimation, tuple(self._seen[stamp] for stamp in wanted))


def _attempt(result: LocalizationResult, truth: Pose2, used: Estimation) -> Attempt:
    candidate = result.estimate or result.candidate
    light = dataclasses.replace(result, volume=None, matches=None, patch=None, views=())
    none = np.zeros(0)
    if candidate is None:
        count = len(TEMPERATURES)
        return Attempt(light, None, np.full(3, np.nan), np.full((count, 3, 3), np.nan), np.full(count, np.nan), none)
    error = pose_error(candidate.pose, truth)
    if result.volume is None:
        bare = gates.bare(candidate, used).covariance
        return Attempt(light, candidate, error, bare[None], np.array([candidate.ambiguity]), none)
    solved = [_solve(result, used, temperature) for temperature in TEMPERATURES]
    return Attempt(
        light, candidate, error, np.array([estimate.covariance for estimate in solved]),
        np.array([estimate.ambiguity for estimate in solved]), _place(result.volume, truth, used),
    )  # fmt: skip


def _solve(result: LocalizationResult, used: Estimation, temperature: float) -> PoseEstimate:
    from cvloc_ros.estimation.volume import from_volume  # brings torch

    at = used.model_copy(update={"temperature": temperature})
    estimate = None if result.volume is None else from_volume(result.volume, at, result.prior)
    if estimate is None:
        msg = "a score volume that gave a pose gives none at another temperature"
        raise RuntimeError(msg)
    return estimate


def _place(volume: ScoreVolume, truth: Pose2, used: Estimation) -> F64:
    from cvloc_ros.estimation.volume import probability_near

    return np.array([
        probability_near(volume, truth, used.model_copy(update={"temperature": temperature}))
        for temperature in TEMPERATURES
    ])


