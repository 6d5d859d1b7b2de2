# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Records that are made up: no matcher and no drive is behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from cvloc_ros.config import Config
from cvloc_ros.evaluation.attempts import Attempt, Judged
from cvloc_ros.evaluation.suite.record import RunName, RunRecord
from cvloc_ros.types import Pose2, PoseEstimate, Status, TileState

NORTH = np.pi / 2
SIGMA = (0.5, 0.5, np.radians(1.0))


def _by_hand(
    rows: Sequence[dict[str, Any]], drive: str = "a", condition: str = "clear", matcher: str = "made up", **facts: Any
) -> RunRecord:
    """A run of a vehicle that heads north.

    A row may hold `status`, `off` (ahead m, left m, deg), `prior` (the same), `gnss` (m), `inside`, `tried`, `truth`
    (bool), `seconds`; sigma is 0.5 m, 0.5 m, 1 degree.
    """
    n = len(rows)
    ok = np.array([row.get("status", "ok") == "ok" for row in rows], dtype=bool)
    known = np.array([row.get("truth", True) for row in rows], dtype=bool)

    def errors(key: str, given: np.ndarray, default: Any) -> np.ndarray:
        found = np.full((n, 3), np.nan)
        for index, row in enumerate(rows):
            ahead_left_deg = row.get(key, default)
            if given[index] and known[index] and ahead_left_deg is not None:
                ahead, left, degrees = ahead_left_deg
                found[index] = -left, ahead, np.radians(degrees)
        return found

    error = errors("off", ok, (0.0, 0.0, 0.0))
    covariance = np.full((n, 3, 3), np.nan)
    covariance[ok] = np.diag(np.square(SIGMA))
    gnss = np.array([[row.get("gnss", np.nan) if row.get("truth", True) else np.nan, 0.0] for row in rows])
    seconds = np.array([row.get("seconds", 0.1) for row in rows], dtype=float)
    return RunRecord(
        name=RunName(drive, condition, matcher),
        stamp_ns=np.arange(n, dtype=np.int64) * 10**9,
        status=tuple(row.get("status", "ok") for row in rows),
        tried=np.array([row.get("tried", True) for row in rows], dtype=bool),
        inside=np.array([row.get("inside", True) for row in rows], dtype=bool),
        truth=np.where(known[:, None], np.tile([100.0, 50.0, NORTH], (n, 1)), np.nan).reshape(n, 3),
        error=error, covariance=covariance, candidate_error=error,
        prior_error=errors("prior", np.ones(n, bool), None),
        gnss_error=gnss.reshape(n, 2),
        score=np.ones(n), ambiguity=np.zeros(n), protection_level_m=np.where(ok, 2.0, np.nan), wall_s=seconds,
        stages_s={"match": seconds / 2, "total": seconds},
        facts={"images": 2 * n, **facts},
    )  # fmt: skip


def _made_up(
    rng: np.random.Generator, drive: str, condition: str = "clear", matcher: str = "made up", *, n: int = 60,
    spread: float = 0.6, said: float = 1.0, available: float = 0.8, wrong: float = 0.02, gnss_m: float = 3.0,
    **facts: Any,
) -> RunRecord:
    """A run with Gaussian errors of `spread` m, whose covariance claims `said` times that sigma.

    A share `wrong` of the published poses is about 10 m off; GNSS has a bias per drive and noise.
    """
    sigma = np.array([spread, spread, np.radians(1.0)]) * rng.lognormal(0.0, 0.4, (n, 1))
    refused = rng.choice(np.array(["ambiguous", "low_score", "window_edge"], dtype=object), n)
    status = np.where(rng.random(n) < available, "ok", refused)
    status[:2] = "waiting_keyframes"
    ok = status == "ok"
    error = sigma * rng.normal(size=(n, 3))
    error[rng.random(n) < wrong] += [7.0, 7.0, 0.1]
    sky = np.random.default_rng(list(f"{drive} {condition}".encode()))  # the same for all matchers
    gnss = sky.normal(0.0, gnss_m / 1.5, 2) + sky.normal(0.0, gnss_m / 3.0, (n, 2))
    seconds = rng.gamma(20.0, 0.01, n)
    simulated = {"simulated": "This drive is simulated: no real camera, no real imagery."}
    return RunRecord(
        name=RunName(drive, condition, matcher),
        stamp_ns=np.arange(n, dtype=np.int64) * 10**9,
        status=tuple(map(str, status)),
        tried=status != "waiting_keyframes",
        inside=sky.random(n) < 0.97,
        truth=np.column_stack([np.cumsum(rng.normal(8.0, 1.0, n)), rng.normal(size=n), rng.normal(0.0, 0.3, n)]),
        error=np.where(ok[:, None], error, np.nan),
        covariance=np.where(ok[:, None, None], np.eye(3) * ((said * sigma) ** 2)[:, None, :], np.nan),
        candidate_error=error,
        prior_error=np.column_stack([gnss, np.radians(rng.normal(0.0, 3.0, n))]),
        gnss_error=gnss,
        score=rng.random(n), ambiguity=rng.random(n), wall_s=seconds,
        protection_level_m=np.where(ok, 4.0 * said * sigma[:, 0], np.nan),
        stages_s={stage: seconds * part for stage, part in
                  (("views", 0.1), ("prior", 0.02), ("patch", 0.13), ("match", 0.6), ("solve", 0.15), ("total", 1.0))},
        facts={"images": 2 * n, "memory_peak_mb": 812.5, "conditions": {**simulated, "attribution": "© nobody"},
               "run": {"date": "2026-01-02T03:04:05+00:00", "hardware": "made-up processor, 2 cores", "driven_s": n}}
        | facts,
    )  # fmt: skip


@pytest.fixture
def by_hand() -> Callable[..., RunRecord]:
    return _by_hand


@pytest.fixture
def made_up() -> Callable[..., RunRecord]:
    return _made_up


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@dataclass(frozen=True)
class JudgedDrive:
    """As much of a replay as a record is made of."""

    judged: list[Judged]
    config: Config = field(default_factory=Config)
    metrics: dict[str, Any] = field(default_factory=lambda: {"images": 5, "notes": [], "run": {}})
    conditions: dict[str, str] = field(default_factory=dict)
    fusion: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def judged_drive(rng: np.random.Generator) -> JudgedDrive:
    """Thirty attempts with everything that happens: refused, outside, without truth, not tried, far off."""
    judged = []
    for number in range(30):
        truth = Pose2(*rng.normal(0.0, 50.0, 2), rng.uniform(-3.1, 3.1))
        off = Pose2(*rng.normal(0.0, 0.6, 2), rng.normal(0.0, 0.02))
        pose = truth @ (Pose2(8.0, 0.0, 0.0) if number == 4 else off)
        estimate = PoseEstimate(pose, np.diag([0.3, 0.2, 4e-4]), 0.5, 0.1)
        status = Status.AMBIGUOUS if number % 7 == 3 else Status.STANDSTILL if number % 11 == 5 else Status.OK
        published = estimate if status is Status.OK else None
        attempt = Attempt(
            number, number * 10**9, 0, ("front",), status, (), published, estimate, None, None, TileState(), "", None,
            {"total": 0.1}, 0.1,
        )  # fmt: skip
        judged.append(Judged(attempt, None if number % 13 == 6 else truth, truth.xy + 2.0, number % 9 != 8))
    return JudgedDrive(judged)
