# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc extrinsics`."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from cvloc_ros.cli.options import Assignments, MapSource
from cvloc_ros.cli.settings import build


def extrinsics(
    bag: tyro.conf.Positional[Path],
    *,
    map_source: MapSource = "",
    config: Path | None = None,
    settings: Assignments = (),
    out: Path = Path("cameras.yaml"),
    camera: str = "",
    datum: str = "",
    truth: str = "",
    truth_topic: str = "",
    keep_map: tyro.conf.FlagCreatePairsOff[bool] = False,
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Refine height, roll, pitch and yaw of the cameras, and the offset of the map, from a drive with known poses.

    Only what is certain and agrees better with the map on pictures that were not used is written. Exit code 1 if that
    is nothing.

    Args:
        bag: ROS 2 bag (folder, .mcap or .db3) or ROS 1 .bag of some minutes with corners, and with truth or RTK GNSS.
        map_source: Aerial imagery: .mbtiles, .tif, folder z/x/y, URL template or provider:NAME (tiles.source).
        config: YAML file with settings, bare or in ROS 2 form.
        settings: Any configuration key, such as cameras.front.mask_file=hood.png; may be repeated.
        out: Parameter file that is written, with a picture of the same name beside it; must not exist.
        camera: Only this camera.
        datum: LAT,LON[,YAW] of the map's origin (geo.datum).
        truth: TUM file with the true poses of base in map; `none` takes GNSS with odometry instead.
        truth_topic: Topic with the truth; by default one with ground_truth in its name.
        keep_map: The map is exact: look for no offset of it.
        quiet: No progress bar, no table.
    """
    from cvloc_ros.evaluation.extrinsics.run import Options, refine
    from cvloc_ros.evaluation.extrinsics.written import check, picture_of, table, write, write_picture

    check(out)
    tree, cameras = build(config, map_source, datum, settings)
    refined = refine(tree, Options(bag, truth, truth_topic, camera, keep_map, not quiet), cameras)
    written = write(refined, out, bag)
    drawn = write_picture(refined, out)
    if not quiet:
        told = f"written to {out}" if written else "nothing is worth writing"
        sys.stdout.write(table(refined) + f"\n{told}" + (f"; picture in {picture_of(out)}\n" if drawn else "\n"))
    return 0 if written else 1
