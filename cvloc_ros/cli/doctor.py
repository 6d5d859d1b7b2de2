# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from cvloc_ros.cli.options import Assignments, MapSource
from cvloc_ros.cli.settings import build


def doctor(
    target: tyro.conf.Positional[str],
    *,
    map_source: MapSource = "",
    config: Path | None = None,
    settings: Assignments = (),
    datum: str = "",
    seconds: float = 10.0,
) -> int:
    """Walk through topics, frames, stamps, cameras, GNSS and odometry, datum and imagery, and say what to mend.

    Exit code 1 if something cannot work. With `live`, drive 20 m with a bend meanwhile: only then odometry and GNSS can
    be compared. A navsat_transform that runs is compared, and what a localizer that runs says of itself is told.

    Args:
        target: A bag, or `live` for the topics of the running system (needs ROS 2).
        map_source: Aerial imagery whose coverage along the GNSS track is checked (tiles.source).
        config: YAML file with settings, bare or in ROS 2 form.
        settings: Any configuration key, such as frames.base=base_footprint; may be repeated.
        datum: LAT,LON[,YAW] of the map's origin (geo.datum).
        seconds: How long to listen with `live`.
    """
    from cvloc_ros.evaluation.doctor.check import Level, table

    tree, cameras = build(config, map_source, datum, settings)
    if target == "live":
        from cvloc_ros.ros.doctor import examine_live

        checks = examine_live(tree, seconds, cameras)
    else:
        from cvloc_ros.evaluation.doctor.examine import examine_bag

        checks = examine_bag(Path(target), tree, cameras)
    sys.stdout.write(table(checks, colour=sys.stdout.isatty()) + "\n")
    return int(any(check.level is Level.FAIL for check in checks))
