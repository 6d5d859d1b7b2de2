# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fit itself: which temperature, then which scale and floors, make the errors of published poses most likely.

Attempts of one drive share the registration error of the map and most of their views: every drive counts the same,
whatever its length, and what is said of other drives comes from leaving each drive out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvloc_ros.errors import CvlocError
from cvloc_ros.estimation.calibration import FALLBACK, Values
from cvloc_ros.evaluation.calibration.samples import TEMPERATURES, DriveSamples
from cvloc_ros.evaluation.metrics import mahalanobis_squared
from cvloc_ros.types import F64, Mask

LEAST_DRIVES = 5
LEAST_POSES = 100
GROSS_M = 3.0
MOST_GROSS = 0.05
"""Largest share of published poses more than `GROSS_M` off: no covariance pays for those, gates are there for them."""

SAFE_FALSE = 0.001
"""Share of attempts that may be false accepts at a new temperature, where there were not more before: as rare as
`estimation.integrity_risk` says by default."""

_SURPRISE = 0.01  # probability that a volume says nothing at all: bounds what one wrong place does to the temperature
_NEGLIGIBLE = 0.01  # nats an attempt
_BOUNDS = ((0.05, 50.0), (0.05, 10.0), (0.1, 10.0))
"""Of scale, floor in m, floor in degrees: no imagery, and no mounting of a camera, is known better on a vehicle."""
_ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """All drives under some values. `published` and `gross` hold one mask (N,) a drive, `nees` the finite values."""

    values: Values
    k: int
    published: tuple[Mask, ...]
    gross: tuple[Mask, ...]
    nees: tuple[F64, ...]
    """Normalised error squared of published poses that are not gross, one array a drive."""
    availability: float
    false_share: float
    """Gross errors over all attempts."""
    nees_with_gross: float
    """Mean over drives, gross errors included."""

    @property
    def nees_mean(self) -> float:
        """Mean over drives of each one's mean; 3 is ideal."""
        return _mean_of_means(self.nees)

    @property
    def poses(self) -> int:
        """Published poses."""
        return sum(int(mask.sum()) for mask in self.published)

    @property
    def gross_count(self) -> int:
        """Published poses more than 3 m off."""
        return sum(int(mask.sum()) for mask in self.gross)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One temperature: mean negative log-probability of the true place, and what the gates let through at it."""

    temperature: float
    loss: float
    state: State


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """`left_out` holds, for each drive, the NEES of its poses under values that were fitted without it."""

    drives: tuple[str, ...]
    attempts: int
    before: State
    after: State
    left_out: tuple[F64, ...]
    trials: tuple[Trial, ...] = ()
    remark: str = ""

    @property
    def left_out_mean(self) -> float:
        """Mean over drives of each one's mean NEES when it was left out."""
        return _mean_of_means(self.left_out)


def fit(drives: Sequence[DriveSamples]) -> Fit:
    """Fit all values that the method has.

    Raises:
        CvlocError: too few drives or poses, or too many gross errors among the poses.
    """
    drives = tuple(drives)
    _enough("attempts with a pose", [int(np.isfinite(drive.error[:, 0]).sum()) for drive in drives])
    volumes = any(drive.has_temperature for drive in drives)
    before = evaluate(drives, FALLBACK, _nearest(FALLBACK.temperature or 1.0) if volumes else 0)
    trials, remark = _temperatures(drives, before) if volumes else ((), "")
    after = trials[0].state if trials else _fitted(drives, FALLBACK.model_copy(update={"temperature": None}), 0)
    _enough("published poses", [int(mask.sum()) for mask in after.published])
    _not_gross(after)
    left_out = []
    for index, drive in enumerate(drives):
        rest = [other for other in range(len(drives)) if other != index]
        values = most_likely([_poses(drives[i], after, i) for i in rest], after.values)
        left_out.append(_nees(*_poses(drive, after, index), values))
    attempts = sum(len(drive.attempts) for drive in drives)
    return Fit(tuple(d.drive for d in drives), attempts, before, after, tuple(left_out), trials, remark)


def evaluate(drives: Sequence[DriveSamples], values: Values, k: int) -> State:
    """Return what becomes of all attempts under these values."""
    published = tuple(drive.published(values, k) for drive in drives)
    gross = tuple(p & (np.hypot(*d.error[:, :2].T) > GROSS_M) for d, p in zip(drives, published, strict=True))
    nees, whole = [], []
    for drive, shown, wrong in zip(drives, published, gross, strict=True):
        found = np.full(len(shown), np.nan)
        found[shown] = _nees(drive.error[shown], drive.covariance(k)[shown], values)
        nees.append(found[shown & ~wrong])
        whole.append(found[shown])
    attempts = max(1, sum(len(mask) for mask in published))
    return State(
        values, k, published, gross, tuple(nees),
        availability=sum(int(mask.sum()) for mask in published) / attempts,
        false_share=sum(int(mask.sum()) for mask in gross) / attempts,
        nees_with_gross=_mean_of_means(whole),
    )  # fmt: skip


def most_likely(poses: Sequence[tuple[F64, F64]], start: Values) -> Values:
    """Find scale and floors under which errors (N, 3) with bare covariances (N, 3, 3), one pair a drive, are likeliest.

    The density is Gaussian and each drive counts the same; the temperature stays.
    """
    from scipy.optimize import minimize

    poses = [pair for pair in poses if len(pair[0])]
    errors, bares = (np.concatenate(part) for part in zip(*poses, strict=True))
    weight = np.concatenate([np.full(len(e), 1.0 / (len(e) * len(poses))) for e, _ in poses])

    def loss(logs: F64) -> tuple[float, F64]:
        """Negative log-likelihood, and its derivatives by the logarithms of scale and floors."""
        scale, metres, degrees = np.exp(logs)
        covariance = _inflated(bares, scale, metres, degrees)
        inverse = np.linalg.inv(covariance)
        white = (inverse @ errors[..., None])[..., 0]
        value = 0.5 * ((errors * white).sum(1) + np.log(np.linalg.det(covariance)))
        change = np.einsum("n,nij->nij", 0.5 * weight, inverse - white[:, :, None] * white[:, None, :])
        by_floor = 2.0 * np.diagonal(change.sum(0)) * np.array([metres, metres, math.radians(degrees)]) ** 2
        slope = np.array([scale * (change * bares).sum(), by_floor[:2].sum(), by_floor[2]])
        return float(weight @ value), slope

    first = np.log([start.covariance_scale, start.sigma_floor_m, start.sigma_floor_deg])
    limits = [tuple(np.log(pair)) for pair in _BOUNDS]
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=limits)
    scale, metres, degrees = (float(f"{value:.3g}") for value in np.exp(found.x))
    return start.model_copy(
        update={"covariance_scale": scale, "sigma_floor_m": metres, "sigma_floor_deg": degrees}
    )


def _temperatures(drives: Sequence[DriveSamples], before: State) -> tuple[tuple[Trial, ...], str]:
    """Choose a temperature; return its trial first, then all others.

    The loss is the negative log-probability of the true place. Where the matcher is right throughout, any low
    temperature explains the drives, and all gates would open: of the temperatures that the drives do not tell from
    the best one (one standard error over drives) the highest is taken. It is raised further where more false
    accepts would come through than before and than `SAFE_FALSE`.
    """
    losses = np.array([
        [_place_loss(drive.place(k)) for drive in drives if drive.has_temperature] for k in range(len(TEMPERATURES))
    ])
    mean = losses.mean(1)
    behind = losses - losses[int(np.argmin(mean))]
    error = behind.std(1, ddof=1) / math.sqrt(behind.shape[1])
    chosen = int(np.flatnonzero(behind.mean(1) <= np.maximum(error, _NEGLIGIBLE))[-1])
    trials = [
        Trial(t, float(mean[k]), _fitted(drives, FALLBACK.model_copy(update={"temperature": float(f"{t:.3g}")}), k))
        for k, t in enumerate(TEMPERATURES)
    ]
    limit = max(before.false_share, SAFE_FALSE)
    safe = [k for k in range(chosen, len(trials)) if trials[k].state.false_share <= limit]
    remark = ""
    if not safe:
        remark = f"no temperature keeps false accepts within {limit:.2%} of the attempts; the likeliest is used"
    elif safe[0] != chosen:
        remark = f"raised from {TEMPERATURES[chosen]:.3g}, which would let more than {limit:.2%} false accepts through"
        chosen = safe[0]
    return (trials[chosen], *trials[:chosen], *trials[chosen + 1 :]), remark


def _place_loss(log_p: F64) -> float:
    return float(-np.log((1.0 - _SURPRISE) * np.exp(log_p) + _SURPRISE).mean()) if len(log_p) else 0.0


def _fitted(drives: Sequence[DriveSamples], start: Values, k: int) -> State:
    """Fit scale and floors to what is published, which depends on them through the gates."""
    state = evaluate(drives, start, k)
    for _ in range(_ROUNDS):
        if not state.poses - state.gross_count:
            return state
        values = most_likely([_poses(drive, state, i) for i, drive in enumerate(drives)], state.values)
        if values == state.values:
            break
        state = evaluate(drives, values, k)
    return state


def _poses(drive: DriveSamples, state: State, index: int) -> tuple[F64, F64]:
    """Return errors and bare covariances of published poses that are not gross."""
    rows = state.published[index] & ~state.gross[index]
    return drive.error[rows], drive.covariance(state.k)[rows]


def _nees(error: F64, bare: F64, values: Values) -> F64:
    covariance = _inflated(bare, values.covariance_scale, values.sigma_floor_m, values.sigma_floor_deg)
    return mahalanobis_squared(error, covariance) if len(error) else np.zeros(0)


def _inflated(bare: F64, scale: float, metres: float, degrees: float) -> F64:
    """As `estimation.gates.calibrate`, for all at once."""
    return np.asarray(scale * bare + np.diag([metres**2, metres**2, math.radians(degrees) ** 2]))


def _nearest(temperature: float) -> int:
    return int(np.argmin(np.abs(np.log(np.array(TEMPERATURES) / temperature))))


def _mean_of_means(parts: Sequence[F64]) -> float:
    means = [float(part.mean()) for part in parts if len(part)]
    return float(np.mean(means)) if means else math.nan


def _enough(what: str, counts: Sequence[int]) -> None:
    there = sum(count > 0 for count in counts)
    if there < LEAST_DRIVES or sum(counts) < LEAST_POSES:
        msg = (
            f"{sum(counts)} {what} on {there} of {len(counts)} drives; a fit needs at least "
            f"{LEAST_POSES} on {LEAST_DRIVES}: add drives to the suite, or choose more of them with --drives"
        )
        raise CvlocError(msg)


def _not_gross(state: State) -> None:
    share = state.gross_count / max(1, state.poses)
    if share > MOST_GROSS:
        msg = (
            f"{state.gross_count} of {state.poses} published poses ({share:.1%}) are more than {GROSS_M:g} m off, at "
            f"most {MOST_GROSS:.0%} may be: no covariance pays for gross errors; tighten the gates "
            "(estimation.min_score, max_ambiguity) or improve the matcher first"
        )
        raise CvlocError(msg)
