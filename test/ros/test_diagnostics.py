# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics says what docs/diagnostics.md promises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rig import stamp_now, wait_for

from cvloc_ros import config
from cvloc_ros.ros import diagnostics
from cvloc_ros.ros.diagnostics import ERROR, KEYS, OK, WARN, Situation
from cvloc_ros.ros.health import Health
from cvloc_ros.types import AerialPatch, LocalizationResult, Pose2, PoseEstimate, Status, TileState

DOCUMENT = Path(__file__).parents[2] / "docs" / "diagnostics.md"
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


def documented() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = found.setdefault(line[3:], [])
        elif match := re.match(r"\| `([^`]+)` \|", line):
            section.append(match[1])
    return found


def test_document_and_code_have_the_same_keys():
    assert documented() == {group: list(keys) for group, keys in KEYS.items()}


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


def test_refusals_in_a_row_warn_with_the_reason(health):
    for _ in range(9):
        health.attempt(refused(), 0.1, 2.0)
    assert report(health)["localization"].level == OK
    health.attempt(refused(), 0.1, 2.0)
    status = report(health)["localization"]
    assert status.level == WARN
    assert "two places look alike" in status.message
    assert values(status)["acceptance_rate"] == "0.000"
    for _ in range(40):
        health.attempt(refused(), 0.1, 2.0)
    assert report(health)["localization"].level == ERROR


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
    patch = AerialPatch(
        np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), bool), 1.0, np.eye(3)[:2], "(c) X", 0.5, (),
        TileState(tiles=4, failed=2, message="403 from https://user:pw@t.example/1?key=SECRET"),
    )  # fmt: skip
    health.attempt(refused(patch=patch), 0.1, 1.0)
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
    assert values(status)["stage_ms.match"] == "p50 100.0, p95 100.0"


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
