# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One replay from bag to report."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cvloc_ros
from cvloc_ros import messages
from cvloc_ros.config import Config, merge
from cvloc_ros.errors import BagError
from cvloc_ros.evaluation import attempts as attempts_module
from cvloc_ros.evaluation import outputs
from cvloc_ros.evaluation import truth as truth_module
from cvloc_ros.evaluation.attempts import Attempt
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.datum import guess_datum
from cvloc_ros.evaluation.feed import Feed, InitialYaw
from cvloc_ros.evaluation.fusion.preview import preview
from cvloc_ros.evaluation.gallery import Gallery
from cvloc_ros.evaluation.map_notes import is_simulated, map_notes
from cvloc_ros.evaluation.metrics import evaluate, integrity
from cvloc_ros.evaluation.mosaic import PatchMosaic
from cvloc_ros.evaluation.replay import Outcome, Part, play
from cvloc_ros.evaluation.replayed import Replayed
from cvloc_ros.evaluation.topics import Wiring, wire
from cvloc_ros.evaluation.truth import Trajectory
from cvloc_ros.session import Session
from cvloc_ros.status_fields import without_secrets
from cvloc_ros.types import LocalizationResult, Pose2

logger = logging.getLogger(__name__)

Watch = Callable[[LocalizationResult, Pose2 | None], None]
"""Sees every result, images and score volumes included, with the true pose; both are let go afterwards."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to replay and where to write. `truth` is "" (the bag's), "none" or a TUM file.

    `cameras` overrides settings of cameras that are found in the bag. `as_live` keeps `output.min_interval_s`;
    otherwise every image is attempted. In `gnss_outages` (beginning and length, seconds of log
    time since the start of the bag) no fix is handed over. With `initial_yaw_of_truth` the initial yaw is the true one
    plus `initial_yaw_deg`.
    """

    bag: Path
    out: Path
    truth: str = ""
    truth_topic: str = ""
    initial_yaw_deg: float | None = None
    initial_yaw_sigma_deg: float = 5.0
    initial_yaw_of_truth: bool = False
    cameras: Mapping[str, Any] = field(default_factory=dict)
    as_live: bool = False
    part: Part = field(default_factory=Part)
    gnss_outages: tuple[tuple[float, float], ...] = ()
    report: bool = True
    progress: bool = False


def run(config: Config, options: Options, opener: Callable[[Config], Session] = Session.open) -> Replayed:
    """Replay a bag and write all outputs; `opener` makes the session.

    Raises:
        CvlocError: bag, map, configuration or matcher cannot be used; the text names the remedy.
    """

    def prepared(used: Config) -> Session:
        outputs.prepare(options.out)  # only once bag and settings are known to be usable
        return opener(used)

    replayed = replay_bag(config, options, prepared)
    _write(replayed, options)
    return replayed


def replay_bag(
    config: Config, options: Options, opener: Callable[[Config], Session] = Session.open, watch: Watch | None = None
) -> Replayed:
    """Replay a bag and write nothing; `opener` makes the session.

    Raises:
        CvlocError: bag, map, configuration or matcher cannot be used; the text names the remedy.
    """
    with Bag.open(options.bag) as bag:
        wiring = wire(bag, config, options.truth_topic, options.cameras)
        truth = truth_module.find(bag, options.truth, wiring.truth)
        used, told = with_datum(wiring.config, bag, wiring, truth)
        if not options.as_live:
            used = merge(used, {"output": {"min_interval_s": 0.0}})
        wiring = replace(wiring, config=used, notes=(*wiring.notes, *told))
        session = opener(used)
        try:
            return _replay(bag, session, wiring, truth, options, watch)
        finally:
            session.close()


def with_datum(
    config: Config, bag: Bag, wiring: Wiring, truth: Trajectory | None
) -> tuple[Config, tuple[str, ...]]:
    """Return the configuration with a datum (as given, the bag's topic, a guess, the first fix) and what to tell of it.

    Raises:
        BagError: there is truth, but nothing says where its map lies on the Earth.
    """
    if config.geo.datum:
        return config, ()
    for item in bag.messages([wiring.datum] if wiring.datum else []):
        fix = messages.fix(item.message)
        return merge(config, {"geo": {"datum": [fix.latitude_deg, fix.longitude_deg, 0.0]}}), ()
    if truth is not None:
        guess = guess_datum(bag, wiring, truth)
        if guess is not None:
            return merge(config, {"geo": {"datum": [guess.latitude_deg, guess.longitude_deg, 0.0]}}), (str(guess),)
        msg = (
            f"truth ({truth.source}) is given in map metres, but no datum says where that map lies: give "
            "--datum LAT,LON or geo.datum, or replay without evaluation with --truth none (the first fix is the datum)"
        )
        raise BagError(msg)
    return merge(config, {"geo": {"datum_source": "first_fix"}}), ()


def _replay(
    bag: Bag, session: Session, wiring: Wiring, truth: Trajectory | None, options: Options, watch: Watch | None
) -> Replayed:
    warm_up_s = session.warm_up()
    feed = Feed(session, wiring, _initial_yaw(options, truth), options.gnss_outages)
    mosaic, gallery, kept = PatchMosaic(), Gallery(enabled=options.report), list[Attempt]()

    def on_result(outcome: Outcome) -> None:
        kept.append(attempts_module.record(len(kept) + 1, outcome, session))
        if outcome.result.patch is not None:
            mosaic.add(outcome.result.patch)
        true_pose = truth.at(outcome.result.stamp_ns) if truth else None
        gallery.offer(len(kept), outcome.result, true_pose)
        if watch is not None:
            watch(outcome.result, true_pose)

    start = time.perf_counter()
    images = play(bag, session, wiring, feed, on_result, options.part, progress=options.progress)
    elapsed_s = time.perf_counter() - start
    if not kept:
        msg = f"{options.bag}: no image in the part that was replayed; see --start and --duration"
        raise BagError(msg)
    _check_outages(options, (kept[-1].log_time_ns - (feed.start_ns or 0)) * 1e-9)
    gnss = attempts_module.gnss_track(feed.fixes, session, truth)
    judged = attempts_module.judge(kept, truth, gnss, mosaic)
    metrics = evaluate(judged, images, session.config.estimation.max_latency_s)
    metrics["integrity"] = integrity(judged, session.config.estimation.integrity_risk)
    metrics["inputs_refused"] = {f"{topic}: {why}": n for (topic, why), n in sorted(feed.refused.items())}
    metrics["notes"] = [*bag.notes, *wiring.notes]
    span_s = (kept[-1].stamp_ns - kept[0].stamp_ns) * 1e-9
    metrics["run"] = {
        "warm_up_s": round(warm_up_s, 3), "replay_s": round(elapsed_s, 3), "driven_s": round(span_s, 3),
        "times_real_time": round(span_s / elapsed_s, 3) if elapsed_s else None,
        "hardware": hardware(), "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    conditions = describe(bag, session, truth, kept, options)
    metrics["conditions"] = dict(conditions)
    fusion = preview(kept, feed, truth, session.config, options.gnss_outages)
    metrics["fusion"] = {key: value for key, value in fusion.items() if key != "series"}
    return Replayed(session.config, judged, metrics, conditions, truth, gnss, mosaic, gallery, fusion)


def _check_outages(options: Options, last_s: float) -> None:
    """Refuse a result that would be called one without GNSS although no fix was missing."""
    for start, length in options.gnss_outages:
        if start >= last_s:
            msg = (
                f"{options.bag}: the GNSS outage {start:g},{length:g} begins after the last image, at {last_s:.1f} s: "
                "nothing would be missing; choose an earlier one"
            )
            raise BagError(msg)


def describe(
    bag: Bag, session: Session, truth: Trajectory | None, kept: list[Attempt], options: Options
) -> dict[str, str]:
    """Return the conditions under which the numbers hold, for people."""
    config, imagery = session.config, session.aerial
    source = config.tiles.source
    datum, notes = session.projection, map_notes(source)
    about = ". ".join(text.rstrip(".") for text in (notes.get("name", ""), notes.get("description", "")) if text)
    about = about or (imagery.description if imagery else "")
    found = {
        "bag": _title(bag.path),
        "recorded": _utc(kept[0].stamp_ns),
        "map": without_secrets(source if "://" in source else Path(source).name),
        "map description": about,
        "attribution": next((a.attribution for a in kept if a.attribution), imagery.attribution if imagery else ""),
        "truth": truth.source if truth else "none",
        "datum": f"{datum.latitude_deg:.7f}, {datum.longitude_deg:.7f} ({datum.kind})" if datum else "none",
        "gnss and map datum": f"{config.geo.gnss_datum} and {config.geo.map_datum or 'the same'}",
        "initial yaw": _told_yaw(options),
        "matcher": config.matcher.name,
        "covariance": session.covariance_source,
        "cameras": ", ".join(config.camera_names),
        "version": cvloc_ros.__version__,
        "note": bag.custom.get("note", ""),
    }
    if is_simulated(bag.custom) or is_simulated(notes):
        found["simulated"] = "This drive is simulated: no real camera, no real imagery."
    return {key: value for key, value in found.items() if value}


def _initial_yaw(options: Options, truth: Trajectory | None) -> InitialYaw | None:
    if options.initial_yaw_deg is None:
        return None
    if options.initial_yaw_of_truth and truth is None:
        msg = f"{options.bag}: the initial yaw is to come from the truth, but there is none; give it as a number"
        raise BagError(msg)
    source = truth if options.initial_yaw_of_truth else None
    return InitialYaw(options.initial_yaw_deg, options.initial_yaw_sigma_deg, source)


def _told_yaw(options: Options) -> str:
    if options.initial_yaw_deg is None:
        return "not given"
    if options.initial_yaw_of_truth:
        return f"{options.initial_yaw_deg:+.2f}° off the truth, given as good to {options.initial_yaw_sigma_deg:g}°"
    return f"{options.initial_yaw_deg:g}° given"


def hardware() -> str:
    """Name the processor and its cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores"


def _title(path: Path) -> str:
    """Return the bag's name, with its folder where the name alone says little."""
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.stem in ("bag", "rosbag2", "drive", "recording") else path.name


def _utc(stamp_ns: int) -> str:
    return datetime.fromtimestamp(stamp_ns // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _write(replayed: Replayed, options: Options) -> None:
    attempts = [j.attempt for j in replayed.judged]
    outputs.write_poses(options.out, attempts, replayed.truth)
    outputs.write_config(options.out, replayed.config)
    outputs.write_bag(options.out, attempts, replayed.config)
    outputs.write_metrics(options.out, replayed.metrics)
    if options.report:
        from cvloc_ros.evaluation.report.page import write_report

        write_report(options.out / "report.html", replayed)
