# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc calibrate`."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from cvloc_ros.cli.options import Assignments
from cvloc_ros.cli.settings import parse_assignments


def calibrate(
    suite: tyro.conf.Positional[str] = "tuning",
    *,
    matcher: str = "classical",
    drives: str = "*",
    settings: Assignments = (),
    out: Path | None = None,
    report: Path | None = None,
    cache: Path | None = None,
) -> int:
    """Fit temperature, scale and floor of a matcher's covariance to drives with truth; write them beside the matcher.

    Args:
        suite: Name of a suite that comes with the package (cvloc evaluate --list), or a YAML file.
        matcher: Matcher that is calibrated; its weights are those of the suite, or given with --set.
        drives: Only drives whose names match, such as 'town*'.
        settings: Any configuration key on top of the suite, such as matcher.fg2.weights=FILE; may be repeated.
        out: Calibration file; by default beside the weights, or config/calibration/MATCHER.yaml of the source tree.
        report: Folder for summary and figure; by default out/calibrate/MATCHER.
        cache: Folder that keeps simulated drives; by default that of cvloc evaluate.
    """
    from cvloc_ros.evaluation.calibration.fit import fit
    from cvloc_ros.evaluation.calibration.run import calibration_of, collect, place_of, plan_for
    from cvloc_ros.evaluation.calibration.summary import FIGURE, write
    from cvloc_ros.evaluation.suite.spec import find, load

    chosen = load(find(suite))
    plan = plan_for(chosen, matcher, drives, parse_assignments(settings))
    collected = collect(plan, cache, progress=True)
    place = out or place_of(collected.config)
    found = fit(collected.samples)
    calibration = calibration_of(found, collected, chosen, drives)
    folder = report or Path("out/calibrate") / calibration.matcher
    text = write(folder, found, calibration, collected)
    calibration.save(place)
    sys.stdout.write(text + f"\nwritten to {place}; figure in {folder / FIGURE}\n")
    return 0
