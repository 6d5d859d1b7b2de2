# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a bag to the preview in metrics.json and report.html."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cvloc_ros.cli.replay import outage
from cvloc_ros.config import parse
from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.replayed import Replayed
from cvloc_ros.evaluation.run import Options, replay_bag, run

MakeBag = Callable[..., Path]
CONFIG = parse({"geo": {"datum": [47.0, 8.0, 0.0]}, "tiles": {"source": "none.mbtiles"}})


def replayed(make_bag: MakeBag, session: type, steps: int, **options: object) -> Replayed:
    bag = make_bag(name=f"drive{steps}", steps=steps, cameras=("front",))
    return replay_bag(CONFIG, Options(bag, Path(), report=False, **options), session)


def test_preview_stands_in_metrics_and_report(make_bag: MakeBag, session: type, tmp_path: Path) -> None:
    session.wrong_m = 0.1
    run(CONFIG, Options(make_bag(steps=350), tmp_path / "out"), session)
    fusion = json.loads((tmp_path / "out" / "metrics.json").read_text())["fusion"]
    assert [case["name"] for case in fusion["scenarios"]] == ["no outage", "without GNSS for 10 s"]
    assert [text.split(":")[0] for text in fusion["left_out"]] == ["GNSS outage of 30 s", "GNSS outage of 60 s"]
    assert "series" not in fusion and "filter only" in fusion["gnss_missing_for"]
    tracks = fusion["scenarios"][1]["tracks"]
    assert tracks["odometry"]["during"][0]["max"] == pytest.approx(0.1, abs=1e-6)
    assert tracks["odometry + poses"]["whole"]["median"] == pytest.approx(0.1, abs=1e-3)
    assert tracks["odometry + GNSS"]["whole"]["max"] > 0.5, "fixes of this drive are 3 m off"
    fused = [case["tracks"]["odometry + GNSS"]["fused"]["gnss"] for case in fusion["scenarios"]]
    assert fused[0] - fused[1] == 10
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))
    assert len(data["fusion"]["scenarios"]) == 2
    assert "not a replacement" in text and "GNSS outage of 60 s" in text


def test_outages_of_the_replay_are_those_of_the_preview(make_bag: MakeBag, session: type) -> None:
    result = replayed(make_bag, session, 60, gnss_outages=((2.0, 2.5), (5.0, 0.5)))
    fusion = result.fusion
    assert "localizer and the filter" in fusion["gnss_missing_for"] and not fusion["left_out"]
    (case,) = fusion["scenarios"]
    assert case["outages_s"] == [[2.0, 2.5], [5.0, 0.5]]
    assert case["tracks"]["odometry + GNSS"]["fused"]["gnss"] == 1  # at 1 s; those of 0 s, 2 to 4 s and 5 s are not
    assert [part["n"] for part in case["tracks"]["odometry"]["during"]] == [25, 5]


def test_without_truth_or_odometry_the_preview_says_why(make_bag: MakeBag, session: type, rows: list[tuple]) -> None:
    assert replayed(make_bag, session, 40, truth="none").fusion == {"left_out": ["no truth to compare a filter with"]}
    without = [row for row in rows if row[0] != "/odom"]
    result = replay_bag(CONFIG, Options(make_bag(name="still", rows=without), Path(), report=False), session)
    assert result.fusion == {"left_out": ["no odometry for a filter to go by"]}


@pytest.mark.parametrize("text", ["20", "20,0", "-1,5", "a,b", "1,2,3", "nan,4", "3,inf"])
def test_malformed_outages_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="START,LENGTH"):
        outage(text)
    assert outage("20, 30.5") == (20.0, 30.5)
