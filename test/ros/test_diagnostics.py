# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics says what docs/diagnostics.md promises."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rig import stamp_now, wait_for

from cvloc_ros import config
from cvloc_ros.ros import diagnostic_keys, diagnostics
from cvloc_ros.ros.diagnostic_keys import TABLE
from cvloc_ros.ros.diagnostics import ERROR, OK, WARN, Situation
from cvloc_ros.ros.health import Health
from cvloc_ros.types import (
    AerialPatch,
    LocalizationResult,
    Pose2,
    PoseEstimate,
    PosePrior,
    SearchWindow,
    Status,
    TileState,
)  # fmt: skip

DOCUMENT = Path(__file__).parents[2] / "docs" / "diagnostics.md"
KEYS = {group: [row.key for row in rows] for group, rows in TABLE.items()}
ACTIVE = Situation("active", enabled=True, device="cpu")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def health():
    return Health(clock=Clock())


def report(health: Health, situation: Situation = ACTIVE, settings: config.Config | None = None) -> dict:
    made = diagnostics.statuses("cvloc", settings or config.Config(), health.snapshot(), situation)
    return {status.name.removeprefix("cvloc: "): status for status in made}


def values(status) -> dict[str, str]:
    return {item.key: item.value for item in status.values}


def refused(status: Status = Status.AMBIGUOUS, **fields) -> LocalizationResult:
    estimate = PoseEstimate(Pose2(0.0, 0.0, 0.0), np.eye(3), 0.5, 0.9)
    return LocalizationResult(status, 1, ("two places look alike",), candidate=estimate, **fields)


def test_document_has_the_table_of_the_code():
    text = DOCUMENT.read_text(encoding="utf-8")
    table = diagnostic_keys.render_markdown()
    assert text[text.index("## ") :].strip() == table.strip(), "take the output of diagnostic_keys.render_markdown()"


def test_parameters_and_statuses_of_the_table_exist():
    text = diagnostic_keys.render_markdown()
    known = {key for key, _ in config.walk()}
    named = {name for name in re.findall(r"`(\w+\.\w+)`", text) if not name.startswith("trouble.")}
    assert named
    assert named <= known
    mild = next(row.warn for row in TABLE["inputs"] if row.key == "trouble.<what>")
    assert set(re.findall("`([^`]+)`", mild)) == set(diagnostics.MILD)


def test_every_key_that_is_sent_is_documented(health):
    health.refuse("fix", "no_fix")
    health.trouble("x QoS", "y")
    health.attempt(refused(timings_s={"match": 0.1}), 0.2, 1.0)
    for group, status in report(health).items():
        patterns = [re.sub(r"<\w+>", ".+", re.escape(key)) for key in KEYS[group]]
        for key in values(status):
            assert any(re.fullmatch(pattern, key) for pattern in patterns), f"{group}: {key}"


def test_all_documented_fixed_keys_are_sent(health):
    for group, status in report(health).items():
        missing = {key for key in KEYS[group] if "<" not in key} - set(values(status))
        assert not missing, group


def test_all_is_well(health):
    assert {status.level for status in report(health).values()} == {OK}


def test_before_configuration_and_after_its_failure(health):
    quiet = diagnostics.statuses("cvloc", None, health.snapshot(), Situation("unconfigured", True, ""))
    assert [(item.level, item.message) for item in quiet] == [(OK, "unconfigured")]
    failed = Situation("unconfigured", True, "", failure="configure failed: no map")
    assert diagnostics.statuses("cvloc", None, health.snapshot(), failed)[0].level == ERROR


def test_paused_is_no_fault(health):
    status = report(health, Situation("active", enabled=False, device="cpu"))["localization"]
    assert (status.level, status.message) == (OK, "disabled")


def later(seconds: float, *sources: str) -> Callable[[Health], None]:
    def happen(health: Health) -> None:
        for source in sources:
            health.expect(source) if source.startswith("image") else health.seen(source)
        health.clock.now += seconds

    return happen


def attempts(count: int, **fields) -> Callable[[Health], None]:
    return lambda health: [health.attempt(refused(**fields), 0.1, 2.0) for _ in range(count)]


def late(seconds: float) -> Callable[[Health], None]:
    return lambda health: health.attempt(refused(), seconds, 1.0)


def patch(**tiles) -> AerialPatch:
    state = TileState(tiles=4, **tiles)
    return AerialPatch(
        np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), bool), 1.0, np.eye(3)[:2], "(c) X", 0.5, (), state
    )


def one_camera_stays_out(health: Health) -> None:
    later(3.1, "image front", "image rear")(health)
    health.seen("image rear")


TWO = config.parse({"camera_names": ["front", "rear"]})
LEVELS = {
    ("localization", "consecutive_rejections", WARN): attempts(10),
    ("localization", "consecutive_rejections", ERROR): attempts(50),
    ("localization", "last_status", ERROR): attempts(1, status=Status.ERROR),
    ("localization", "pose_age_s", WARN): later(31.0, "image front"),
    ("localization", "pose_age_s", ERROR): later(121.0, "image front"),
    ("inputs", "image_age_s.<camera>", WARN): one_camera_stays_out,
    ("inputs", "image_age_s.<camera>", ERROR): later(3.1, "image front", "image rear"),
    ("inputs", "fix_age_s", WARN): later(5.1, "fix"),
    ("inputs", "odom_age_s", WARN): later(2.1, "odom"),
    ("inputs", "clock_jumps", WARN): lambda health: health.jump("the clock went back by 3.0 s"),
    ("inputs", "trouble.<what>", WARN): lambda health: health.trouble("imu", "no attitude"),
    ("inputs", "trouble.<what>", ERROR): lambda health: health.trouble("QoS", "publisher offers best effort"),
    ("map", "coverage", WARN): attempts(1, status=Status.NO_TILES),
    ("map", "tiles_failed", WARN): attempts(1, patch=patch(failed=2)),
    ("timing", "latency_p95_s", WARN): late(2.0),
    ("timing", "latency_p95_s", ERROR): late(1e8),
}
"""What brings each level about; configuration that failed has a test of its own."""


@pytest.mark.parametrize(("group", "key", "level"), LEVELS)
def test_level_of_the_table_is_reached(health, group, key, level):
    LEVELS[group, key, level](health)
    status = report(health, settings=TWO)[group]
    assert status.level == level
    assert status.message not in {"ok", "active"}


def test_every_level_of_the_table_is_tried():
    said = {
        (group, row.key, level) for group, rows in TABLE.items() for row in rows
        for level, text in ((WARN, row.warn), (ERROR, row.error)) if text
    }  # fmt: skip
    assert said == {*LEVELS, ("localization", "state", ERROR)}


def test_levels_are_parameters(health):
    settings = config.merge(config.Config(), {"diagnostics": {"rejections_warn": 2, "pose_age_warn_s": 5.0}})
    attempts(2)(health)
    assert report(health, settings=settings)["localization"].level == WARN
    fresh = Health(clock=Clock())
    later(6.0, "image camera")(fresh)
    status = report(fresh, settings=settings)["localization"]
    assert (status.level, status.message) == (WARN, "no pose for 6 s, last: no image was tried")


def test_pause_is_not_counted_as_time_without_a_pose(health):
    health.expect("image camera")
    health.attempt(LocalizationResult(Status.DISABLED, 1, ("paused",)), 0.1, 1.0)
    health.clock.now += 1000.0
    assert report(health, dataclasses.replace(ACTIVE, enabled=False))["localization"].level == OK
    health.attempt(refused(), 0.1, 1.0)
    assert report(health)["localization"].level == OK


def test_history_of_attempts_does_not_hold_their_pictures(health):
    big = dataclasses.replace(patch(), rgb=np.zeros((500, 500, 3), np.uint8))
    health.attempt(refused(patch=big), 0.1, 1.0)
    kept = health.snapshot().recent[-1].result
    assert (kept.patch.rgb.size, kept.views, kept.volume, kept.matches) == (0, (), None, None)
    assert (kept.patch.coverage, kept.patch.tiles.tiles) == (0.5, 4)


def test_refusals_in_a_row_tell_the_reason_and_the_distance_to_the_prior(health):
    prior = PosePrior(Pose2(3.0, 4.0, 0.0), np.diag([4.0, 9.0, 0.1]), 1, yaw_known=True, source="odom+fix")
    attempts(10, prior=prior, window=SearchWindow(prior.pose, 12.0, 0.3))(health)
    status = report(health)["localization"]
    assert "two places look alike" in status.message
    found = values(status)
    assert (found["acceptance_rate"], found["innovation_m"], found["innovation_sigma"]) == ("0.000", "5.000", "2.000")
    assert (found["prior_source"], found["prior_sigma_m"], found["window_radius_m"]) == ("odom+fix", "3.000", "12.000")


def test_images_not_tried_by_design_do_not_count(health):
    health.attempt(LocalizationResult(Status.STANDSTILL, 1, ("moved 0.1 m",)), 0.1, 1.0)
    status = values(report(health)["localization"])
    assert (status["attempts"], status["last_status"]) == ("0", "standstill")


def test_silent_camera_is_an_error_with_topic_and_time(health):
    health.expect("image camera")
    health.clock.now += 5.0
    named = Situation("active", enabled=True, device="cpu", image_topics={"camera": "/front/image"})
    status = report(health, named)["inputs"]
    assert status.level == ERROR
    assert "no image on /front/image for 5.0 s" in status.message


def test_silent_gnss_and_odometry_warn(health):
    health.seen("fix")
    health.seen("odom")
    health.clock.now += 6.0
    status = report(health)["inputs"]
    assert status.level == WARN
    assert "no fix" in status.message
    assert "no odom" in status.message


def test_standing_fault_shows_until_it_is_cleared(health):
    health.trouble("q", "publisher offers best effort")
    assert report(health)["inputs"].level == ERROR
    health.trouble("q", "")
    assert report(health)["inputs"].level == OK


def test_clock_jump_warns_for_ten_seconds(health):
    health.jump("the clock went back by 3.0 s")
    assert report(health)["inputs"].level == WARN
    health.clock.now += 11.0
    status = report(health)["inputs"]
    assert (status.level, values(status)["clock_jumps"]) == (OK, "1")


def test_failed_tiles_warn_and_keys_stay_hidden(health):
    message = "403 from https://user:pw@t.example/1?key=SECRET"
    health.attempt(refused(patch=patch(failed=2, message=message)), 0.1, 1.0)
    settings = config.merge(config.Config(), {"tiles": {"source": "https://t.example/{z}/{x}/{y}?token=SECRET"}})
    status = report(health, settings=settings)["map"]
    assert status.level == WARN
    assert "SECRET" not in str(status)
    assert "user:pw" not in str(status)
    assert values(status)["tiles_failed"] == "2"


@pytest.mark.parametrize(
    ("latency_s", "level", "words"),
    [
        (0.3, OK, "ok"), (2.0, WARN, "max_latency_s"), (-3.0, WARN, "in the future"), (1e8, ERROR, "use_sim_time"),
    ],
)  # fmt: skip
def test_latency_and_foreign_clocks(health, latency_s, level, words):
    health.attempt(refused(timings_s={"match": 0.1}), latency_s, 1.0)
    status = report(health)["timing"]
    assert status.level == level
    assert words in status.message
    assert values(status)["stage_p50_ms.match"] == values(status)["stage_p95_ms.match"] == "100.000"


def test_node_publishes_all_groups(rig):
    made = rig()
    made.listen("/diagnostics", DiagnosticArray)
    made.ready_to_drive()
    made.send_image(stamp_now())
    wait_for(lambda: made.session.localized)

    def complete():
        made.node.publish_diagnostics()
        return made.inbox["/diagnostics"] and len(made.inbox["/diagnostics"][-1].status) == len(KEYS)

    wait_for(complete)
    names = [status.name for status in made.inbox["/diagnostics"][-1].status]
    assert names == [f"{made.namespace}/cvloc: {group}" for group in KEYS]


def test_fault_is_logged_when_it_appears_and_when_it_is_over(rig, capfd):
    made = rig(start=False)
    made.transition("configure")
    for age in (5.0, 6.0):
        made.node.health.trouble("x", f"silent for {age} s")
        made.node.publish_diagnostics()
    made.node.health.trouble("x", "")
    made.node.publish_diagnostics()
    logged = capfd.readouterr().err
    assert logged.count("silent for") == 1
    assert "well again" in logged
