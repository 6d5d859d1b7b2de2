# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tree of a whole suite: groups, drives, failed runs, sweeps, differences, files."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.suite.record import RunName, RunRecord
from cvloc_ros.evaluation.suite.summary import summarize, write_summary

Maker = Callable[..., RunRecord]


def test_groups_keep_the_order_of_conditions_and_count_what_is_in_them(by_hand: Maker) -> None:
    records = [
        by_hand([{"off": (0.5, 0, 0)}, {"status": "error"}, {"status": "standstill", "tried": False}], "b", "night"),
        by_hand([{"off": (4.0, 0.0, 0.0), "inside": False}], "a", "night", memory_peak_mb=800.0),
        by_hand([{}], "a", "day", memory_peak_mb=None),
    ]
    night, day = summarize(records)["groups"]
    assert (night["condition"], day["condition"]) == ("night", "day")
    assert (night["drives"], night["runs"], night["images"], night["image_sets"]) == (2, 2, 8, 4)
    assert (night["attempts"], night["attempts_inside"], night["published"], night["published_inside"]) == (3, 2, 2, 1)
    assert night["false_accepts_3m_count"] == 1
    assert night["statuses"] == {"ok": 2, "error": 1, "standstill": 1}
    assert (night["memory_peak_mb"], day["memory_peak_mb"]) == (800.0, None)
    assert [drive["drive"] for drive in night["per_drive"]] == ["a", "b"]
    assert night["per_drive"][1]["measures"]["availability"] == 0.5


def test_latency_is_of_attempts_alone_per_stage_and_total(by_hand: Maker) -> None:
    record = by_hand([{"seconds": 0.1}, {"seconds": 0.3}, {"seconds": 9.0, "tried": False, "status": "standstill"}])
    latency = summarize([record])["groups"][0]["latency_ms"]
    assert latency["p50"] == pytest.approx(200.0)
    assert latency["stages"]["match"] == {"p50": pytest.approx(100.0), "p95": pytest.approx(145.0), "n": 2}
    assert list(latency["stages"]) == ["match", "total"]


def test_intervals_need_five_drives(made_up: Maker, rng: np.random.Generator) -> None:
    records = [made_up(rng, f"drive {i}", n=30) for i in range(5)]
    five, four = summarize(records, resamples=100)["groups"][0], summarize(records[:4], resamples=100)["groups"][0]
    for key in ("availability", "position_error_median_m", "recall_position_1m", "nees_mean"):
        found = five["measures"][key]
        assert found["low"] <= found["value"] <= found["high"]
        assert four["measures"][key]["low"] is four["measures"][key]["high"] is None
    assert four["nees"]["pose"]["drives_95"] is None
    assert four["nees"]["pose"]["chi2_95"] is not None


def test_same_records_give_the_same_summary_in_any_order(made_up: Maker, rng: np.random.Generator) -> None:
    records = [made_up(rng, f"drive {i}", n=20) for i in range(6)]
    assert summarize(records, resamples=50) == summarize(records[::-1], resamples=50)


def test_failed_runs_are_counted_and_none_disappears(by_hand: Maker) -> None:
    failures = {RunName("b", "clear", "made up"): "no map", RunName("a", "clear", "broken"): "no weights"}
    found = summarize([by_hand([{}])], failures)
    counts = [(group["matcher"], group["drives"], group["failed_runs"]) for group in found["groups"]]
    assert counts == [("broken", 0, 1), ("made up", 1, 1)]
    assert [run["error"] for run in found["failed_runs"]] == ["no weights", "no map"]
    assert found["groups"][0]["measures"]["availability"]["value"] is None


def test_sweeps_become_curves_and_leave_the_main_table(by_hand: Maker) -> None:
    def point(value: Any, matcher: str, metres: float) -> RunRecord:
        sweep = {"axis": "yaw prior", "value": value, "unit": "°"}
        return by_hand([{"off": (metres, 0.0, 0.0)}], "a", f"yaw {value}", matcher, sweep=sweep)

    found = summarize([point(5, "x", 2.0), point(1, "x", 1.0), point(5, "y", 4.0), by_hand([{}])])
    assert [group["condition"] for group in found["groups"]] == ["clear"]
    axis = found["sweeps"]["yaw prior"]
    assert axis["unit"] == "°"
    assert [(p["value"], p["position_error_median_m"]["value"]) for p in axis["curves"]["x"]] == [(1, 1.0), (5, 2.0)]
    assert axis["curves"]["y"][0]["false_accepts_of_published"]["value"] == 1.0
    mixed = summarize([point(v, "x", 1.0) for v in ("unknown", 20, 5)])["sweeps"]["yaw prior"]["curves"]["x"]
    assert [p["value"] for p in mixed] == [5, 20, "unknown"]


def test_better_matcher_is_named_and_equal_ones_are_not(made_up: Maker, rng: np.random.Generator) -> None:
    drives = [f"drive {i}" for i in range(8)]
    good = [made_up(rng, d, matcher="good", spread=0.3, available=0.95, wrong=0.0) for d in drives]
    bad = [made_up(rng, d, matcher="bad", spread=2.0, available=0.5, wrong=0.1) for d in drives]
    (found,) = summarize([*good, *bad], resamples=300)["differences"]
    assert (found["first"], found["second"], found["drives"]) == ("bad", "good", 8)
    assert {key: each["better"] for key, each in found["measures"].items()} == dict.fromkeys(found["measures"], "good")
    assert found["measures"]["availability"]["value"] < 0 < found["measures"]["position_error_median_m"]["value"]
    twins = [made_up(np.random.default_rng(i), d, matcher=m) for m in ("a", "b") for i, d in enumerate(drives)]
    (same,) = summarize(twins, resamples=300)["differences"]
    assert all(each["better"] is None and each["value"] == 0.0 for each in same["measures"].values())


def test_matchers_are_compared_on_the_drives_of_both(by_hand: Maker) -> None:
    records = [
        by_hand([{"off": (1.0, 0.0, 0.0)}], "a", matcher="x"), by_hand([{"off": (9.0, 0.0, 0.0)}], "b", matcher="x"),
        by_hand([{"off": (2.0, 0.0, 0.0)}], "a", matcher="y"),
    ]
    (found,) = summarize(records)["differences"]
    assert found["drives"] == 1
    assert found["measures"]["position_error_median_m"] == {"value": -1.0, "low": None, "high": None, "better": None}


def test_distribution_ends_at_the_share_that_has_a_pose(by_hand: Maker) -> None:
    refused = {"status": "ambiguous"}
    rows = [{"off": (0.5, 0.0, 0.0), "gnss": 2.0}, {"off": (30.0, 0.0, 0.0)}, refused, refused]
    cdf = summarize([by_hand(rows)])["groups"][0]["cdf"]
    at = dict(zip(cdf["m"], cdf["published"], strict=True))
    assert (at[0.01], at[1.0], at[10.0], at[100.0]) == (0.0, 0.25, 0.25, 0.5)
    assert cdf["gnss"][-1] == 0.25
    assert summarize([by_hand([{"truth": False}])])["groups"][0]["cdf"]["published"] is None


def test_preview_of_a_filter_is_condensed_over_drives(by_hand: Maker) -> None:
    def part(metres: float, n: int = 10) -> dict[str, Any]:
        return {"median": metres, "p95": 2 * metres, "max": 3 * metres, "final": metres, "mean": metres, "n": n}

    def fusion(metres: float) -> dict[str, Any]:
        whole = {"name": "no outage", "outages_s": [], "tracks": {"odometry": {"whole": part(metres), "during": []}}}
        track = {"whole": part(99.0), "during": [part(2 * metres), part(0.0, n=0)]}
        outage = {"name": "without GNSS for 10 s", "outages_s": [[5.0, 10.0]], "tracks": {"odometry": track}}
        return {"scenarios": [whole, outage], "note": "a preview"}

    records = [by_hand([{}], drive, fusion=fusion(m)) for drive, m in (("a", 1.0), ("b", 2.0), ("c", 6.0))]
    records.append(by_hand([{}], "d", fusion={"left_out": ["no odometry"]}))
    whole, outage = summarize(records)["groups"][0]["fusion"]
    assert (whole["scenario"], whole["track"], whole["n"]) == ("no outage", "odometry", 3)
    assert (whole["median"], whole["p95"], whole["final"], whole["max"]) == (2.0, 4.0, 2.0, 18.0)
    assert (outage["scenario"], outage["n"], outage["median"], outage["max"]) == ("without GNSS for 10 s", 3, 4.0, 36.0)


def test_simulated_is_said(made_up: Maker, by_hand: Maker, rng: np.random.Generator) -> None:
    simulated, real = made_up(rng, "a", n=5), by_hand([{}], "b")
    assert [summarize(r)["simulated"] for r in ([simulated], [simulated, real], [real])] == ["all", "some", ""]


def test_files_without_nan(tmp_path: Path, made_up: Maker, by_hand: Maker, rng: np.random.Generator) -> None:
    records = [made_up(rng, "a", n=10), by_hand([{"status": "no_prior"}], "b"), by_hand([], "c"),
               by_hand([{"truth": False}], "d", "unknown")]  # fmt: skip
    write_summary(tmp_path / "out", summarize(records, {RunName("e", "fog", "x"): "?"}, suite="odd", resamples=20))

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} in results.json")

    tree = json.loads((tmp_path / "out/results.json").read_text(), parse_constant=refuse)
    assert [group["condition"] for group in tree["groups"]] == ["clear", "unknown", "fog"]
    assert "# odd" in (tmp_path / "out/results.md").read_text()
    assert "<h1>odd</h1>" in (tmp_path / "out/report.html").read_text()


def test_nothing_ran(tmp_path: Path) -> None:
    write_summary(tmp_path, summarize([], suite="empty"))
    assert json.loads((tmp_path / "results.json").read_text())["groups"] == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CvlocError, match="file"):
        write_summary(tmp_path / "file", summarize([]))


def test_a_full_disk_cut_off_the_results_of_the_evaluation_before(tmp_path: Path) -> None:
    write_summary(tmp_path, summarize([], suite="before"))
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(CvlocError, match=r"results\.json: cannot be written"):
            write_summary(tmp_path, summarize([], suite="after"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_definitions_cover_every_measure(by_hand: Maker) -> None:
    found = summarize([by_hand([{}])])
    group, definitions = found["groups"][0], set(found["definitions"])
    plain = {"matcher", "condition", "sweep", "simulated", "drives", "runs", "per_drive", "measures", "statuses"}
    counts = {"published_inside", "published_with_truth", "false_accepts_3m_count"}
    assert set(group) - plain - counts <= definitions
    unexplained = [key for key in group["measures"] if not any(key.startswith(name) for name in definitions)]
    assert not unexplained
