# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc demo` as a user runs it: simulated drive, real node in a process of its own, DDS, report."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from cvloc_ros.cli.demo import _scene, demo, table
from cvloc_ros.cli.processes import Process, private_environment
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.simulation.gl import context

SECONDS = 16.0


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def code(out: Path) -> int:
    return demo(out=out, seconds=SECONDS)


@pytest.fixture(scope="module")
def metrics(out: Path, code: int) -> dict[str, object]:
    return dict(json.loads((out / "metrics.json").read_text()))


def test_the_node_answers_and_publishes_nothing_wrong(code: int, metrics: dict[str, object]) -> None:
    assert metrics["images"] == 160
    assert metrics["attempts"]
    assert metrics["false_accepts_3m_count"] == 0
    assert code == (0 if metrics["published"] else 1)


def test_every_published_pose_has_its_status(out: Path, code: int) -> None:
    del code
    with Bag.open(out / "bag") as bag:
        stamps = {"/cvloc/pose": [], "/cvloc/status": []}
        for item in bag.messages(stamps):
            if item.topic == "/cvloc/pose" or item.message.accepted:
                stamps[item.topic].append((item.message.header.stamp.sec, item.message.header.stamp.nanosec))
    assert sorted(stamps["/cvloc/pose"]) == sorted(stamps["/cvloc/status"])


def test_report_says_that_it_is_simulated(out: Path, code: int) -> None:
    del code
    page = (out / "report.html").read_text()
    assert "imulated" in page
    assert "imulated by cvloc_ros" in page


def test_renderer_falls_back_to_the_flat_world_only_when_asked_to_choose(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(context, "unavailable", lambda: "no OpenGL 3.3 by EGL here")
    assert _scene(7, 16.0, "auto").renderer == "flat"
    assert "no OpenGL 3.3" in capsys.readouterr().out
    monkeypatch.setattr(context, "unavailable", lambda: "")
    assert _scene(7, 16.0, "auto").renderer == "gl"
    assert _scene(7, 16.0, "flat").renderer == "flat"


def test_the_drive_is_kept_and_a_dead_node_is_an_error_with_its_log(
    out: Path, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    del code
    made = (out / "drive" / "bag" / "metadata.yaml").stat().st_mtime_ns
    (out / "drive" / "map.mbtiles").write_bytes(b"no map")
    assert demo(out=out, seconds=SECONDS) == 1
    told = capfd.readouterr().err
    assert "the node ended with code 1" in told
    assert "map.mbtiles" in told, "the node's own words"
    assert (out / "drive" / "bag" / "metadata.yaml").stat().st_mtime_ns == made


def test_table_has_a_row_for_gnss_and_for_each_stage() -> None:
    few = {"median": 0.1, "p95": 0.2, "max": 0.3, "n": 3}
    none = {"median": None, "p95": None, "max": None, "n": 0}
    text = table({
        "images": 10, "attempts": 5, "published": 3, "false_accepts_3m_count": 0, "statuses": {"ok": 3, "no_tiles": 2},
        "position_error_m": few, "gnss_position_error_m": none,
        "latency_ms": {"p50": 20.0, "p95": 30.0, "stages": {"match": {"p50": 9.0, "p95": 11.0}}},
    })  # fmt: skip
    assert "simulated" in text and "no_tiles 2" in text
    assert [line.split()[0] for line in text.splitlines() if line and line[0].islower()]
    assert "0.10" in text and "GNSS alone" in text and "match" in text and "-" in text


def test_a_process_that_does_not_listen_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvloc_ros.cli.processes.STOP_S", 0.5)
    lines = ["import signal, time", "signal.signal(signal.SIGINT, signal.SIG_IGN)", "print('{\"up\": 1}', flush=True)"]
    (tmp_path / "deaf.py").write_text("\n".join([*lines, "time.sleep(60)"]))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with Process("deaf", [], environment, tmp_path / "log", read=True) as process:
        assert next(process.messages()) == {"up": 1}
        assert process.running and process.code is None
        assert process.stop() != 0
    assert not process.running


def test_processes_find_each_other_and_nobody_else() -> None:
    environment = private_environment(33)
    assert environment["ROS_DOMAIN_ID"] == "33"
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert Path(environment["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
    assert sys.executable
