# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Acceptance on real images: a mapping vehicle in a Paris street, upside-down cameras, the sensor's own distortion."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cvloc_ros.config import Config, merge
from cvloc_ros.evaluation.metrics import pose_error
from cvloc_ros.evaluation.run import Options, Replayed, run
from cvloc_ros.types import Status

DATA = Path(__file__).parents[1].parent / "shared" / "data" / "paris_drive"
FIRST_FRAME = 721
START_YAW_DEG = -88.6
DATUM = [48.8503, 2.3346, 0.0]

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="shared/data/paris_drive is absent (local licence)")


def replay(out: Path, yaw_deg: float | None, *, report: bool = False) -> Replayed:
    config = merge(Config(), {"tiles": {"source": str(DATA / "map.mbtiles")}, "geo": {"datum": DATUM}})
    return run(config, Options(DATA / "bag", out, initial_yaw_deg=yaw_deg, report=report))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("paris")


@pytest.fixture(scope="module")
def replayed(out: Path) -> Replayed:
    return replay(out, START_YAW_DEG, report=True)


def errors(replayed: Replayed) -> dict[int, tuple[float, float]]:
    """Frame number to (m, deg) of every published pose."""
    found = {}
    for index, judged in enumerate(replayed.judged):
        if judged.attempt.estimate is not None and judged.truth is not None:
            error = pose_error(judged.attempt.estimate.pose, judged.truth)
            found[FIRST_FRAME + index] = (math.hypot(error[0], error[1]), abs(math.degrees(error[2])))
    return found


def check(replayed: Replayed) -> None:
    found = errors(replayed)
    frames = range(FIRST_FRAME + 2, 738)
    good = [f for f in frames if f in found and found[f][0] < 1.0 and found[f][1] < 3.0]
    assert len(good) / len(frames) >= 0.9, found
    assert max(error for error, _ in found.values()) <= 3.0, found


def test_every_image_is_attempted(replayed: Replayed) -> None:
    assert replayed.metrics["images"] == 4 * 23
    assert len(replayed.judged) == 23
    assert all(j.truth is not None for j in replayed.judged)
    matched = [j.attempt for j in replayed.judged if j.attempt.status is not Status.WAITING_KEYFRAMES]
    assert len(matched) == 21 and all(len(attempt.cameras) == 4 for attempt in matched)


def test_published_within_a_metre_and_three_degrees(replayed: Replayed) -> None:
    check(replayed)
    assert replayed.metrics["within_1m_3deg"] >= 0.9
    assert replayed.metrics["false_accepts_3m"] == 0.0
    assert replayed.metrics["false_accepts_3m_count"] == 0


def test_covariance_is_honest(replayed: Replayed) -> None:
    assert replayed.metrics["nees_mean"] < 10.0


def test_better_than_gnss_alone(replayed: Replayed) -> None:
    assert replayed.metrics["gnss_position_error_m"]["max"] > 5.0
    assert replayed.metrics["position_error_m"]["p95"] < replayed.metrics["gnss_position_error_m"]["median"]


def test_silent_with_a_reason_where_the_map_runs_out(replayed: Replayed) -> None:
    for judged in replayed.judged[739 - FIRST_FRAME :]:
        assert judged.attempt.estimate is None
        assert judged.attempt.status in (Status.LOW_COVERAGE, Status.NO_TILES)
        assert judged.attempt.reasons


@pytest.mark.parametrize("offset_deg", [-5.0, 5.0])
def test_start_heading_may_be_five_degrees_off(tmp_path: Path, offset_deg: float) -> None:
    check(replay(tmp_path, START_YAW_DEG + offset_deg))


def test_without_start_heading_nothing_wrong_is_published(tmp_path: Path) -> None:
    found = replay(tmp_path, None)
    assert all(error <= 3.0 for error, _ in errors(found).values()), errors(found)
    assert found.metrics["attempts"] > 0


def test_two_runs_write_the_same_files(replayed: Replayed, out: Path, tmp_path: Path) -> None:
    replay(tmp_path, START_YAW_DEG)
    for name in ("poses.tum", "truth.tum", "config.yaml", "bag/bag.db3", "bag/metadata.yaml"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name
    first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (out, tmp_path))
    for timing in ("latency_ms", "run", "late", "fusion"):  # the filter gets a pose when it is ready
        first.pop(timing), second.pop(timing)
    assert first == second
    assert len(replayed.judged) == first["image_sets"]


def test_report_says_that_the_map_is_no_aerial_imagery(replayed: Replayed, out: Path) -> None:
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "not aerial imagery" in text
    assert replayed.conditions["attribution"] in text
