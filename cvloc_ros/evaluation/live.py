# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluate what a live node answered: its recorded poses and statuses beside the truth of the bag it was played."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from cvloc_ros import messages
from cvloc_ros.config import Config
from cvloc_ros.errors import TransformError
from cvloc_ros.evaluation import attempts as attempts_module
from cvloc_ros.evaluation import metrics as metrics_module
from cvloc_ros.evaluation import outputs, run, truth
from cvloc_ros.evaluation.attempts import Attempt
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.feed import Feed
from cvloc_ros.evaluation.fusion.preview import preview
from cvloc_ros.evaluation.gallery import Exhibit, Gallery, jpeg
from cvloc_ros.evaluation.mosaic import PatchMosaic
from cvloc_ros.evaluation.replayed import Replayed
from cvloc_ros.evaluation.topics import wire
from cvloc_ros.geo import se3
from cvloc_ros.session import Session
from cvloc_ros.types import Pose2, PoseEstimate, PosePrior, SearchWindow, Status, TileState

_AROUND_M = 45.0
_WITHOUT_IMAGE = frozenset({Status.NO_IMAGE.value, Status.DISABLED.value})


def evaluate_live(config: Config, drive: Path, recording: Path, out: Path) -> Replayed:
    """Write metrics.json, report.html, poses.tum, truth.tum and config.yaml of a recording into `out`.

    Raises:
        CvlocError: a bag or the map cannot be read.
    """
    with Bag.open(drive) as bag, Bag.open(recording) as answers:
        wiring = wire(bag, config, "", {})
        exact = truth.from_bag(bag, wiring.truth) if wiring.truth else None
        session = Session.open(wiring.config)
        try:
            feed = Feed(session, wiring)
            images = _feed(bag, feed, wiring)
            gallery = Gallery()
            kept = _attempts(answers, session, exact, gallery)
            mosaic = _mosaic(session, kept, exact)
            gnss = attempts_module.gnss_track(feed.fixes, session, exact)
            judged = attempts_module.judge(kept, exact, gnss, mosaic)
            numbers = metrics_module.evaluate(judged, images, wiring.config.estimation.max_latency_s)
            numbers["integrity"] = metrics_module.integrity(judged, wiring.config.estimation.integrity_risk)
            numbers["notes"] = [*bag.notes, *answers.notes, *wiring.notes]
            numbers["run"] = _run(kept)
            options = run.Options(bag=drive, out=out, report=True)
            conditions = {**run.describe(bag, session, exact, kept, options), "played": "over DDS to the live node"}
            numbers["conditions"] = conditions
            # The node's latency counts from the image stamp.
            arrived = [replace(attempt, log_time_ns=attempt.stamp_ns) for attempt in kept]
            fusion = preview(arrived, feed, exact, wiring.config)
            numbers["fusion"] = {key: value for key, value in fusion.items() if key != "series"}
        finally:
            session.close()
    replayed = Replayed(wiring.config, judged, numbers, conditions, exact, gnss, mosaic, gallery, fusion)
    _write(out, replayed)
    return replayed


def _run(kept: list[Attempt]) -> dict[str, Any]:
    """Describe the run: a live node keeps to the time of the drive."""
    played = [attempt.log_time_ns for attempt in kept] or [0]
    span_s = (max(played) - min(played)) * 1e-9
    return {
        "live": True, "warm_up_s": None, "replay_s": round(span_s, 3), "driven_s": round(span_s, 3),
        "times_real_time": None, "hardware": run.hardware(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }  # fmt: skip


def _feed(bag: Bag, feed: Feed, wiring: Any) -> int:
    """Give the session all but the images; return the number of images."""
    images = 0
    for item in bag.messages(wiring.topics):
        if item.topic in wiring.images:
            images += 1
        else:
            feed.handle(item)
    return images


def _attempts(
    answers: Bag, session: Session, exact: truth.Trajectory | None, gallery: Gallery
) -> list[Attempt]:
    poses, pictures, kept = {}, {}, list[Attempt]()
    for item in answers.messages():
        stamp_ns = messages.stamp_ns(item.message)
        if item.topic.endswith("/pose"):
            poses[stamp_ns] = item.message
        elif item.topic.endswith("/debug/overlay"):
            pictures[stamp_ns] = jpeg(_pixels(item.message))
    for item in answers.messages([topic for topic in answers.topics if topic.endswith("/status")]):
        published = poses.get(messages.stamp_ns(item.message))
        if item.message.status in _WITHOUT_IMAGE:
            continue
        attempt = attempt_of(item.message, published, item.log_time_ns, session)
        kept.append(attempt)
        if attempt.stamp_ns in pictures:
            gallery.keep(_exhibit(attempt, exact, pictures[attempt.stamp_ns]))
    return kept


def attempt_of(status: Any, published: Any, log_time_ns: int, session: Session) -> Attempt:
    """Turn a LocalizationStatus into an attempt; it counts as published only with the pose message of its stamp."""
    stamp_ns = messages.stamp_ns(status)
    candidate = _candidate(status)
    frames = session.config.frames
    try:
        odom: Pose2 | None = se3.to_pose2(session.transforms.lookup(frames.odom, frames.base, stamp_ns))
    except TransformError:
        odom = None
    timings = {str(name): float(s) for name, s in zip(status.stages, status.stage_s, strict=True)}
    return Attempt(
        number=int(status.sequence),
        stamp_ns=stamp_ns,
        log_time_ns=log_time_ns,
        cameras=tuple(getattr(status, "cameras", ())),
        status=Status(status.status),
        reasons=tuple(str(reason) for reason in status.reasons),
        estimate=candidate if published is not None else None,
        candidate=candidate,
        prior=_prior(status),
        window=_window(status),
        tiles=TileState(
            int(status.tiles), int(status.tiles_cached), int(status.tiles_fetched), int(status.tiles_pending),
            int(status.tiles_missing), int(status.tiles_failed), int(status.tiles_stale), str(status.tiles_message),
        ),
        attribution=str(status.attribution),
        T_odom_base=odom,
        timings_s=timings,
        wall_s=float(status.latency_s),
    )


def _candidate(status: Any) -> PoseEstimate | None:
    if not status.has_candidate:
        return None
    return PoseEstimate(
        Pose2(float(status.x), float(status.y), float(status.yaw)),
        np.array(status.covariance, dtype=np.float64).reshape(3, 3),
        score=float(status.score), ambiguity=float(status.ambiguity), coverage=float(status.coverage),
        inliers=float(status.inliers), scale=None if math.isnan(status.depth_scale) else float(status.depth_scale),
    )  # fmt: skip


def _prior(status: Any) -> PosePrior | None:
    if not status.has_prior:
        return None
    pose = Pose2(float(status.prior_x), float(status.prior_y), float(status.prior_yaw))
    covariance = np.array(status.prior_covariance, dtype=np.float64).reshape(3, 3)
    stamp_ns = messages.stamp_ns(status)
    return PosePrior(pose, covariance, stamp_ns, bool(status.prior_yaw_known), str(status.prior_source))


def _window(status: Any) -> SearchWindow | None:
    if not status.has_window:
        return None
    centre = Pose2(float(status.window_x), float(status.window_y), float(status.window_yaw))
    return SearchWindow(centre, float(status.window_radius), float(status.window_yaw_half))


def _mosaic(session: Session, kept: list[Attempt], exact: truth.Trajectory | None) -> PatchMosaic:
    """Join the imagery around the drive."""
    mosaic = PatchMosaic()
    for place in _places(kept, exact):
        if session.aerial is not None:
            mosaic.add(session.aerial.patch(place.xy, _AROUND_M))
    return mosaic


def _places(kept: list[Attempt], exact: truth.Trajectory | None) -> Iterator[Pose2]:
    for attempt in kept:
        place = exact.at(attempt.stamp_ns) if exact else None
        place = place or (attempt.prior.pose if attempt.prior else None)
        if place is not None:
            yield place


def _exhibit(attempt: Attempt, exact: truth.Trajectory | None, picture: bytes) -> Exhibit:
    place = exact.at(attempt.stamp_ns) if exact else None
    pose = attempt.candidate
    error = None if place is None or pose is None else float(np.hypot(*(pose.pose.xy - place.xy)))
    return Exhibit(attempt.number, attempt.status, error, pose.score if pose else 0.0, picture)


def _pixels(message: Any) -> Any:
    return np.asarray(message.data, dtype=np.uint8).reshape(message.height, message.step // 3, 3)[:, : message.width]


def _write(out: Path, replayed: Replayed) -> None:
    from cvloc_ros.evaluation.report.page import write_report

    attempts = [item.attempt for item in replayed.judged]
    outputs.write_poses(out, attempts, replayed.truth)
    outputs.write_config(out, replayed.config)
    outputs.write_metrics(out, replayed.metrics)
    write_report(out / "report.html", replayed)
