# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc replay`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from cvloc_ros.cli.options import Assignments, MapSource
from cvloc_ros.cli.settings import build
from cvloc_ros.errors import ConfigError

Outages = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="gnss-outage", metavar="START,LENGTH")
]


def replay(
    bag: tyro.conf.Positional[Path],
    *,
    map_source: MapSource = "",
    config: Path | None = None,
    settings: Assignments = (),
    out: Path = Path("out/replay"),
    datum: str = "",
    truth: str = "",
    truth_topic: str = "",
    initial_yaw_deg: float | None = None,
    start: float = 0.0,
    duration: float | None = None,
    max_images: int = 0,
    gnss_outages: Outages = (),
    as_live: tyro.conf.FlagCreatePairsOff[bool] = False,
    no_report: tyro.conf.FlagCreatePairsOff[bool] = False,
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> int:
    """Localize every image of a recorded drive and write poses, metrics and a report.

    Args:
        bag: ROS 2 bag (folder, .mcap or .db3; also one that was cut off) or ROS 1 .bag.
        map_source: Aerial imagery: .mbtiles, .tif, folder z/x/y, URL template or provider:NAME (tiles.source).
        config: YAML file with settings, bare or in ROS 2 form.
        settings: Any configuration key, such as search.radius_min_m=15; may be repeated.
        out: Folder for bag, poses.tum, metrics.json, config.yaml and report.html.
        datum: LAT,LON[,YAW] of the map's origin (geo.datum); needed to compare with truth in map metres.
        truth: TUM file with the true poses of base in map; `none` replays without evaluation.
        truth_topic: Topic with the truth; by default one with ground_truth in its name.
        initial_yaw_deg: Yaw of the vehicle at the first usable fix, counter-clockwise from east, good to 5 degrees.
        start: Skip this many seconds of the bag.
        duration: Play only this many seconds.
        max_images: Stop after this many image sets; 0 plays all.
        gnss_outages: Withhold GNSS from START for LENGTH seconds of the part that is played; may be repeated.
        as_live: Keep the least interval between attempts that the node keeps, instead of attempting every image.
        no_report: Write no report.html.
        quiet: No progress bar, no table.
    """
    from cvloc_ros.evaluation.replay import Part
    from cvloc_ros.evaluation.run import Options, run

    for name, value in (("start", start), ("duration", duration or 0.0), ("max-images", max_images)):
        if value < 0:
            msg = f"--{name} {value:g}: give a number of at least 0"
            raise ConfigError(msg)
    tree, cameras = build(config, map_source, datum, settings)
    part = Part(start, float("inf") if duration is None else duration, max_images)
    options = Options(
        bag=bag, out=out, truth=truth, truth_topic=truth_topic, initial_yaw_deg=initial_yaw_deg, cameras=cameras,
        as_live=as_live, part=part, gnss_outages=tuple(map(outage, gnss_outages)), report=not no_report,
        progress=not quiet,
    )
    replayed = run(tree, options)
    if not quiet:
        sys.stdout.write(table(replayed.metrics) + f"\nwritten to {out}\n")
    return 0


def outage(text: str) -> tuple[float, float]:
    """Read START,LENGTH in seconds."""
    try:
        start, length = map(float, text.split(","))
    except ValueError:
        start, length = -1.0, 0.0
    if not (0 <= start < float("inf") and 0 < length < float("inf")):
        msg = f"--gnss-outage {text}: give START,LENGTH in seconds, such as 20,30"
        raise ConfigError(msg)
    return start, length


def table(metrics: Mapping[str, Any]) -> str:
    """Return the main numbers as text."""
    ours, gnss, yaw = metrics["position_error_m"], metrics["gnss_position_error_m"], metrics["yaw_error_deg"]
    latency = metrics["latency_ms"]
    rows = [
        ("images (sets)", f"{metrics['images']} ({metrics['image_sets']})"),
        ("attempts (inside the map)", f"{metrics['attempts']} ({metrics['attempts_inside']})"),
        ("published", f"{metrics['published']}"),
        ("availability", _number(metrics["availability"])),
        ("within 1 m | 1 m and 3 deg", f"{_number(metrics['within_1m'])} | {_number(metrics['within_1m_3deg'])}"),
        ("more than 3 m off", f"{metrics['false_accepts_3m_count']}" if ours["n"] else "-"),
        ("error, median | p95 | max", _stats(ours, "m")),
        ("GNSS alone, the same", _stats(gnss, "m")),
        ("yaw error, the same", _stats(yaw, "deg")),
        ("NEES, mean (3 is ideal)", _number(metrics["nees_mean"])),
        ("latency p50 | p95", f"{_number(latency['p50'], 0)} | {_number(latency['p95'], 0)} ms"),
        ("statuses", ", ".join(f"{name} {count}" for name, count in metrics["statuses"].items())),
    ]
    width = max(len(name) for name, _ in rows)
    notes = "".join(f"\nnote: {note}" for note in metrics.get("notes", ()))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows) + notes


def _stats(values: Mapping[str, Any], unit: str) -> str:
    text = " | ".join(_number(values[key]) for key in ("median", "p95", "max"))
    return f"{text} {unit} (n = {values['n']})"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
