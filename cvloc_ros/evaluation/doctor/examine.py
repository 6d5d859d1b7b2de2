# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All checks in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cvloc_ros.config import Config
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.doctor.cameras import check_cameras
from cvloc_ros.evaluation.doctor.check import Check, fail, ok, steps, warn
from cvloc_ros.evaluation.doctor.imagery import check_datum, check_imagery
from cvloc_ros.evaluation.doctor.inputs import check_fix, check_frames, check_odometry, check_qos, check_stamps
from cvloc_ros.evaluation.doctor.motion import check_motion
from cvloc_ros.evaluation.doctor.survey import Survey
from cvloc_ros.evaluation.salvage import Topic
from cvloc_ros.evaluation.topics import wire


def examine_bag(path: Path, config: Config, cameras: Mapping[str, Any] | None = None) -> list[Check]:
    """Read a whole bag and check it.

    Raises:
        CvlocError: the bag cannot be read.
    """
    with Bag.open(path) as bag:
        survey = Survey(wire(bag, config, cameras=cameras, strict=False))
        for item in bag.messages(survey.wiring.topics):
            survey.see(item.topic, item.log_time_ns, item.message)
        damage = [warn("bag", note, "`cvloc bag recover` writes a sound copy of what is left") for note in bag.notes]
        return [*steps({"file": damage}), *examine(survey, bag.topics)]


def examine(survey: Survey, topics: Mapping[str, Topic]) -> list[Check]:
    """Run all checks on what was seen, in the order in which a new vehicle is set up."""
    return steps(
        {
            "topics": [*_topics(survey), *check_qos(survey, topics)],
            "frames": check_frames(survey),
            "stamps": check_stamps(survey),
            "cameras": check_cameras(survey),
            "GNSS and odometry": [*check_fix(survey), *check_odometry(survey), *check_motion(survey)],
            "datum": check_datum(survey),
            "imagery": check_imagery(survey),
        }
    )


def _topics(survey: Survey) -> Iterator[Check]:
    wiring = survey.wiring
    named = {"fix": wiring.fix, "odometry": wiring.odom, "attitude": wiring.imu, "heading": wiring.heading,
             "truth": wiring.truth}
    if not wiring.images:
        yield fail("topics", "no camera: no topic of Image or CompressedImage", "start or record the camera")
    text = ", ".join(f"{what} {topic}" for what, topic in named.items() if topic)
    yield ok("topics", f"cameras {', '.join(wiring.images.values()) or 'none'}; {text}")
    for note in wiring.notes:
        if "no camera_info" not in note:
            yield warn("topics", note, "name the topic in the configuration")
