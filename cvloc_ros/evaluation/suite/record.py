# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of one run (one drive, one condition, one matcher): small enough to cache, enough for every metric."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvloc_ros.errors import CvlocError
from cvloc_ros.estimation.integrity import protection_level
from cvloc_ros.evaluation.attempts import Judged
from cvloc_ros.evaluation.metrics import pose_error
from cvloc_ros.evaluation.replayed import Replayed
from cvloc_ros.types import F64, Mask

FORMAT = 2
_UPPER = np.triu_indices(3)


@dataclass(frozen=True, slots=True)
class RunName:
    """Which run it is."""

    drive: str
    condition: str
    matcher: str


@dataclass(frozen=True, slots=True, eq=False)
class RunRecord:
    """One run as columns over its N image sets. Errors are estimate minus truth in the map (m, m, rad); NaN: none.

    `tried` is False where no attempt was made by design, `inside` False outside the map. `error` (N, 3) and
    `covariance` (N, 3, 3) belong to published poses, `candidate_error` (N, 3) to the best pose, published or refused.
    `prior_error` (N, 3) is that of the prior, `gnss_error` (N, 2) that of GNSS alone. `stages_s` holds seconds per
    stage; `facts` what is the same for the whole run: images, conditions for people, hardware, date, memory, fusion.
    """

    name: RunName
    stamp_ns: NDArray[np.int64]
    status: tuple[str, ...]
    tried: Mask
    inside: Mask
    truth: F64
    """(N, 3) x, y (m), yaw (rad) of base in map; NaN where unknown."""
    error: F64
    covariance: F64
    candidate_error: F64
    prior_error: F64
    gnss_error: F64
    score: F64
    ambiguity: F64
    protection_level_m: F64
    """(N,) of published poses, at `estimation.integrity_risk` of the run (`facts`)."""
    wall_s: F64
    stages_s: Mapping[str, F64] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def published(self) -> Mask:
        """(N,) whether a pose was published."""
        return np.array([status == "ok" for status in self.status], dtype=np.bool_)

    @property
    def simulated(self) -> bool:
        """Whether the drive or its map is simulated."""
        return "simulated" in self.facts.get("conditions", {})

    @classmethod
    def of(cls, name: RunName, replayed: Replayed, facts: Mapping[str, Any]) -> RunRecord:
        """Take what is kept from a replay; `facts` is added to the replay's own."""
        judged = replayed.judged
        stages = sorted({stage for j in judged for stage in j.attempt.timings_s})
        risk = replayed.config.estimation.integrity_risk
        own = {
            "images": replayed.metrics["images"], "notes": replayed.metrics["notes"], "run": replayed.metrics["run"],
            "conditions": dict(replayed.conditions), "fusion": dict(replayed.fusion),
            "integrity_risk": risk,
        }  # fmt: skip
        return cls(
            name=name,
            stamp_ns=np.array([j.attempt.stamp_ns for j in judged], dtype=np.int64),
            status=tuple(j.attempt.status.value for j in judged),
            tried=np.array([j.attempt.tried for j in judged], dtype=np.bool_),
            inside=np.array([j.inside for j in judged], dtype=np.bool_),
            truth=_rows(judged, 3, lambda j: j.truth and [j.truth.x_m, j.truth.y_m, j.truth.yaw_rad]),
            error=_rows(judged, 3, _error),
            covariance=_symmetric(_rows(judged, 6, _covariance)),
            candidate_error=_rows(judged, 3, _candidate_error),
            prior_error=_rows(judged, 3, _prior_error),
            gnss_error=_rows(judged, 2, lambda j: j.gnss - j.truth.xy if j.gnss is not None and j.truth else None),
            score=_rows(judged, 1, lambda j: j.attempt.candidate and [j.attempt.candidate.score])[:, 0],
            ambiguity=_rows(judged, 1, lambda j: j.attempt.candidate and [j.attempt.candidate.ambiguity])[:, 0],
            protection_level_m=_rows(judged, 1, lambda j: _protection_level(j, risk))[:, 0],
            wall_s=np.array([j.attempt.wall_s for j in judged], dtype=np.float64),
            stages_s={name: _rows(judged, 1, lambda j, n=name: _stage(j, n))[:, 0] for name in stages},  # type: ignore[misc]
            facts={**own, **facts},
        )

    def save(self, path: Path) -> None:
        """Write one .npz file, whole or not at all."""
        head = {"format": FORMAT, "name": [self.name.drive, self.name.condition, self.name.matcher],
                "status": list(self.status), "facts": self.facts}  # fmt: skip
        columns = {key: getattr(self, key) for key in _COLUMNS}
        columns |= {f"stage {stage}": values for stage, values in self.stages_s.items()}
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.savez_compressed(file, head=np.array(json.dumps(head)), **columns)
            part.replace(path)
        except OSError as err:
            part.unlink(missing_ok=True)
            msg = f"{path}: the result cannot be written: {err.strerror}; free some space or choose another folder"
            raise CvlocError(msg) from err

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Read what `save` wrote.

        Raises:
            CvlocError: the file cannot be read, or another version wrote it.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                head = json.loads(str(data["head"]))
                if head["format"] != FORMAT:
                    msg = f"{path}: format {head['format']}, this version reads {FORMAT}; remove it"
                    raise CvlocError(msg)
                stages = {key.removeprefix("stage "): data[key] for key in data.files if key.startswith("stage ")}
                columns = {key: data[key] for key in _COLUMNS}
        except (OSError, KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as err:
            msg = f"{path}: no result of cvloc evaluate: {err}; remove it"
            raise CvlocError(msg) from err
        return cls(
            name=RunName(*head["name"]), status=tuple(head["status"]), stages_s=stages, facts=head["facts"], **columns
        )


_COLUMNS = (
    "stamp_ns", "tried", "inside", "truth", "error", "covariance", "candidate_error", "prior_error", "gnss_error",
    "score", "ambiguity", "protection_level_m", "wall_s",
)  # fmt: skip


def _rows(judged: list[Judged], width: int, take: Callable[[Judged], Any]) -> F64:
    out = np.full((len(judged), width), np.nan)
    for index, j in enumerate(judged):
        values = take(j)
        if values is not None:
            out[index] = values
    return out


def _symmetric(upper: F64) -> F64:
    out = np.empty((len(upper), 3, 3))
    out[:, _UPPER[0], _UPPER[1]] = upper
    out[:, _UPPER[1], _UPPER[0]] = upper
    return out


def _error(j: Judged) -> F64 | None:
    return pose_error(j.attempt.estimate.pose, j.truth) if j.attempt.estimate and j.truth else None


def _covariance(j: Judged) -> F64 | None:
    return j.attempt.estimate.covariance[_UPPER] if j.attempt.estimate else None


def _protection_level(j: Judged, risk: float) -> list[float] | None:
    return [protection_level(j.attempt.estimate, j.attempt.window, risk)] if j.attempt.estimate else None


def _candidate_error(j: Judged) -> F64 | None:
    return pose_error(j.attempt.candidate.pose, j.truth) if j.attempt.candidate and j.truth else None


def _prior_error(j: Judged) -> F64 | None:
    return pose_error(j.attempt.prior.pose, j.truth) if j.attempt.prior and j.truth else None


def _stage(j: Judged, name: str) -> list[float] | None:
    seconds = j.attempt.timings_s.get(name)
    return None if seconds is None else [seconds]
