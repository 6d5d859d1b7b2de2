# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the other inputs: stamps, delays, GNSS, odometry, frames, QoS."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from cvloc_ros.errors import TransformError
from cvloc_ros.evaluation.doctor.check import Check, fail, ok, warn
from cvloc_ros.evaluation.doctor.survey import Stream, Survey
from cvloc_ros.evaluation.salvage import Topic

MAX_DELAY_S = 1.0
OTHER_CLOCK_S = 30.0
ODOM_MIN_HZ = 5.0


def check_stamps(survey: Survey) -> Iterator[Check]:
    """Check that stamps are set, increase, and come from one clock."""
    for topic, stream in sorted(survey.streams.items()):
        faults = list(_stamps(topic, stream))
        yield from faults
        if not faults:
            delay = float(np.median(stream.delays_s()))
            yield ok(topic, f"{len(stream.stamps_ns)} messages, {stream.rate_hz():.1f} Hz, {delay * 1e3:.0f} ms delay")


def _stamps(topic: str, stream: Stream) -> Iterator[Check]:
    stamps = np.array(stream.stamps_ns, dtype=np.int64)
    zero = int((stamps == 0).sum())
    if zero:
        yield fail(topic, f"{zero} of {len(stamps)} stamps are zero", "let the driver stamp its messages")
        return
    back = int((np.diff(stamps) < 0).sum())
    if back:
        yield warn(topic, f"stamps go backwards {back} times", "older messages are refused; check the driver's clock")
    repeated = int((np.diff(stamps) == 0).sum())
    if repeated:
        yield warn(topic, f"{repeated} stamps are repeated", "two publishers on one topic, or a driver that repeats?")
    delay = float(np.median(stream.delays_s()))
    if abs(delay) > OTHER_CLOCK_S:
        yield fail(topic, f"stamps are {delay:.1f} s before their arrival", "use one clock for all (chrony, PTP)")
    elif delay > MAX_DELAY_S:
        yield warn(topic, f"arrives {delay:.2f} s late in the median", "shorten the driver's queue")
    elif delay < -0.05:
        yield warn(topic, f"stamps lie {-delay:.3f} s in the future", "synchronise the clocks (chrony, PTP)")


def check_fix(survey: Survey) -> Iterator[Check]:
    """Check GNSS: there, valid, with a covariance."""
    topic = survey.wiring.fix
    if not topic or not survey.fixes:
        yield fail("GNSS", f"no fix on {topic or 'any topic'}", "set inputs.fix_topic, or prior.source: tf")
        return
    finite = [f for f in survey.fixes if math.isfinite(f.latitude_deg) and math.isfinite(f.longitude_deg)]
    usable = [f for f in finite if f.quality >= 0]
    count = len(survey.fixes)
    if not usable:
        yield fail("GNSS", f"none of {count} fixes is usable", "check antenna, receiver, driver (-2: status never set)")
        return
    if len(usable) < 0.95 * count:
        yield warn("GNSS", f"{count - len(usable)} of {count} fixes are not usable", "expect stale priors there")
    if survey.unknown_covariances:
        yield warn(
            "GNSS", f"{survey.unknown_covariances} of {count} fixes state no covariance",
            "let the driver fill it, or set prior.fix_sigma_floor_m to the receiver's real error",
        )
    base = survey.wiring.config.frames.base
    for frame in sorted({f.frame_id for f in usable} - {"", base}):
        if fault := _untied(survey, frame, usable[-1].stamp_ns):
            yield warn(
                "GNSS", f"the place of the antenna is not known: {fault}",
                f"publish {base} -> {frame}; until then the fix is taken as that of {base}",
            )
    sigma = math.sqrt(float(np.median([np.trace(f.covariance_m2) / 2 for f in usable])))
    yield ok("GNSS", f"{len(usable)} of {count} fixes usable, sigma {sigma:.1f} m in the median")


def check_odometry(survey: Survey) -> Iterator[Check]:
    """Check odometry: there, fast enough, in the frames that the configuration names."""
    wiring, frames = survey.wiring, survey.wiring.config.frames
    stream = survey.streams.get(wiring.odom)
    if stream is None:
        reach = survey.tree.latest_stamp(frames.odom, frames.base)
        if reach is None:
            yield warn(
                "odometry", f"no topic, and TF has no {frames.odom} to {frames.base}",
                "without odometry there are no keyframes to join: publish nav_msgs/Odometry (wheels, visual, lidar)",
            )
        else:
            yield ok("odometry", f"taken from TF, {frames.odom} to {frames.base}")
        return
    if stream.rate_hz() < ODOM_MIN_HZ:
        yield warn("odometry", f"{stream.rate_hz():.1f} Hz", f"at least {ODOM_MIN_HZ:g} Hz are needed to interpolate")
    parents = {name.lstrip("/") for name in stream.frames}
    if parents != {frames.odom}:
        yield warn("odometry", f"header frame is {_names(parents)}, frames.odom is {frames.odom}", "set frames.odom")
    for child in sorted(survey.odom_children - {"", frames.base}):
        fault = _untied(survey, child, stream.stamps_ns[0])
        if fault:
            yield fail(
                "odometry", f"it is the pose of {child}, and nothing ties that to {frames.base} ({fault})",
                f"publish the transform, or set frames.base: {child}",
            )


def check_frames(survey: Survey) -> Iterator[Check]:
    """Check the TF tree as a whole."""
    for text in survey.tree.conflicts():
        yield warn("TF", text, "let one node own each transform")
    for text, count in sorted(survey.tf_faults.items()):
        yield warn("TF", f"{text} ({count} times)", "mend the publisher of this transform")
    slashed = sorted({n for s in survey.streams.values() for n in s.frames if n.startswith("/")})
    if slashed:
        yield warn("TF", f"frame names with a leading slash: {', '.join(slashed)}", "tf2 refuses them; drop the slash")
    edges = survey.tree.frames()
    if edges:
        shown = ", ".join(f"{parent} -> {child}" for child, parent in sorted(edges.items(), key=lambda e: (e[1], e[0])))
        yield ok("TF", shown)
    else:
        yield warn("TF", "no transform at all", "camera mountings must then come from cameras.NAME.mounting")


def check_qos(survey: Survey, topics: Mapping[str, Topic]) -> Iterator[Check]:
    """Check what the publishers offer."""
    static = topics.get("/tf_static")
    if static and static.reliability and not static.latched:
        yield warn("QoS", "/tf_static is not transient local", "late subscribers miss it: StaticTransformBroadcaster")
    for topic in sorted(survey.wiring.images):
        found = topics.get(topic)
        if found and found.reliability == "best_effort" and found.type.endswith("/Image"):
            yield warn(
                "QoS", f"{topic} is raw and best effort", "large messages are easily lost on the way: use compressed "
                "images, or config/fastdds.xml",
            )
    known = sum(bool(topic.reliability) for topic in topics.values())
    yield ok("QoS", f"profiles of {known} of {len(topics)} topics are known")


def _untied(survey: Survey, child: str, stamp_ns: int) -> str:
    try:
        survey.tree.lookup(child, survey.wiring.config.frames.base, stamp_ns)
    except TransformError as err:
        return str(err)
    return ""


def _names(frames: set[str]) -> str:
    return ", ".join(sorted(frames)) or "(empty)"
