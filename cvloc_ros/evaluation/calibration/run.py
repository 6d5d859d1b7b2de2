# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the drives of a suite to a calibration: replay with the fallback values, fit, and say where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tqdm import tqdm

import cvloc_ros
from cvloc_ros.config import Config
from cvloc_ros.errors import ConfigError, CvlocError
from cvloc_ros.estimation.calibration import FALLBACK, Calibration
from cvloc_ros.evaluation.calibration.fit import Fit
from cvloc_ros.evaluation.calibration.samples import Collector, DriveSamples
from cvloc_ros.evaluation.suite.job import replay_job
from cvloc_ros.evaluation.suite.plan import Choice, Plan, make_plan, resolve
from cvloc_ros.evaluation.suite.spec import Suite
from cvloc_ros.matching.registry import MATCHERS, weights_file
from cvloc_ros.resources import sha256


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """What the drives gave, the settings of the first one, and the drives that failed with their reasons."""

    samples: tuple[DriveSamples, ...]
    config: Config
    simulated: bool
    failures: Mapping[str, str] = field(default_factory=dict)


def plan_for(suite: Suite, matcher: str, drives: str, settings: Mapping[str, Any]) -> Plan:
    """Return the runs: one matcher, the drives that match, the suite's first condition; the values are the fallback.

    Each attempt stands alone: what earlier ones say is made of likelihoods that are yet to be calibrated.

    Raises:
        ConfigError: there is no such matcher, a setting is refused, or no drive is left.
    """
    if matcher in MATCHERS and matcher not in suite.matchers:
        suite = suite.model_copy(update={"matchers": {matcher: {}}})
    condition = next(iter(suite.conditions))
    alone = {**FALLBACK.model_dump(), "earlier_m": 0.0}
    last = {**settings, "estimation": {**settings.get("estimation", {}), **alone}}
    return make_plan(suite, Choice((matcher,), drives, condition, last))


def collect(plan: Plan, cache: Path | None, *, progress: bool = False) -> Collected:
    """Replay all runs of a plan. A drive that fails is told, the others count.

    Raises:
        CvlocError: none is left.
    """
    samples: list[DriveSamples] = []
    failures: dict[str, str] = {}
    simulated = False
    for job in tqdm(plan.jobs, desc="drives", unit="drive", disable=None if progress else True):
        collector = Collector(resolve(job, Path("drive"))[0].estimation)
        try:
            replayed = replay_job(job, cache, watch=collector)
        except CvlocError as err:
            failures[job.name.drive] = str(err)
            continue
        simulated = simulated or "simulated" in replayed.conditions
        samples.append(collector.samples(job.name.drive, replayed.judged))
        config = replayed.config
    if not samples:
        msg = "no drive could be replayed: " + "; ".join(f"{name}: {why}" for name, why in failures.items())
        raise CvlocError(msg)
    return Collected(tuple(samples), config, simulated, failures)


def calibration_of(fit: Fit, collected: Collected, suite: Suite, pattern: str) -> Calibration:
    """Return what is written beside the matcher."""
    matcher, estimation = collected.config.matcher, collected.config.estimation
    weights = weights_file(matcher)
    solver = estimation.solver if any(drive.matched for drive in collected.samples) else None
    lengths = [len(part) for part in fit.after.nees]
    provenance = {
        "suite": suite.path.stem,
        "chosen": pattern,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "version": cvloc_ros.__version__,
        "simulated": collected.simulated,
        "drives": list(fit.drives),
        "attempts": fit.attempts,
        "poses": fit.after.poses,
        "poses_least_and_most_of_a_drive": [min(lengths), max(lengths)],
        "map_resolution_m": collected.config.tiles.resolution_m,
        "keyframes": matcher.keyframes,
        "nees_before": round(fit.before.nees_mean, 3),
        "nees_after": round(fit.after.nees_mean, 3),
        "nees_each_drive_left_out": round(fit.left_out_mean, 3),
        "availability_before_and_after": [round(fit.before.availability, 4), round(fit.after.availability, 4)],
        "false_accepts_before_and_after": [fit.before.gross_count, fit.after.gross_count],
        "note": "NEES of the very drives that were fitted, but for nees_each_drive_left_out; 3 is ideal. "
        "Other drives: cvloc evaluate standard",
    }
    if fit.remark:
        provenance["temperature"] = fit.remark
    return Calibration(
        matcher=matcher.name, weights_sha256=sha256(weights) if weights else "", solver=solver,
        vote_sigma_m=estimation.vote_sigma_m if solver == "vote" else None, values=fit.after.values,
        provenance=provenance,
    )  # fmt: skip


def place_of(config: Config) -> Path:
    """Return where the calibration belongs: beside the weights, or with the shipped files of this installation.

    Raises:
        ConfigError: the matcher has no weights and this is no source tree, whose files could be changed.
    """
    from cvloc_ros.estimation.calibration import beside

    weights = weights_file(config.matcher)
    path = beside(config.matcher.name, weights)
    if weights is not None:
        return path
    root = Path(cvloc_ros.__file__).resolve().parents[1]
    if not (root / "config" / "cvloc.yaml").is_file():
        msg = f"{config.matcher.name} has no weights to lie beside; give --out FILE, and its values in the settings"
        raise ConfigError(msg)
    return root / path
