# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc evaluate` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cvloc_ros.cli.main import main
from cvloc_ros.evaluation.suite.spec import shipped
from cvloc_ros.simulation.gl.context import unavailable

SUITE = """
title: Small suite
defaults: {seconds: 5, image_hz: 1, renderer: flat, size_m: [100, 80], resolution_m: 0.25, image_px: 160, yaw_deg: 5}
drives: {one: {seed: 900911}}
conditions:
  base: {}
  broken: {config: {tiles.source: nowhere.mbtiles}}
sweeps:
  season: [winter]
"""
WEIGHTS = Path(__file__).parents[3] / "config" / "weights"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["evaluate", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("evaluate") / "cache")


@pytest.fixture
def suite(tmp_path: Path) -> str:
    (tmp_path / "small.yaml").write_text(SUITE, encoding="utf-8")
    return str(tmp_path / "small.yaml")


def test_results_of_the_others_are_written_and_the_failure_is_told(call: Call, suite: str, cache: str) -> None:
    code, out, _ = call(suite, "--cache", cache, "--out", "results", "--reports")
    assert code == 1
    assert "Small suite" in out and "simulated" in out.lower() and "| classical | base |" in out
    assert "failed: one/broken/classical: tiles.source = nowhere.mbtiles" in out
    assert "skipped: season=winter on 1 runs: season needs the renderer gl" in out
    results = json.loads(Path("results/results.json").read_text())
    assert results["failed_runs"][0]["condition"] == "broken"
    assert results["skipped"] == [
        {"drive": "one", "condition": "season=winter", "matcher": "classical", "reason": "season needs the renderer gl"}
    ]
    page = Path("results/runs/one/base/classical/report.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    assert Path("results/report.html").is_file() and Path("results/results.md").is_file()


def test_part_of_a_suite_from_the_cache(call: Call, suite: str, cache: str) -> None:
    call(suite, "--cache", cache, "--conditions", "base")
    code, out, _ = call(suite, "--cache", cache, "--conditions", "base")
    assert code == 0
    assert "1 run, 1 kept from before; results in out/evaluate/small" in out


def test_setting_on_top_of_the_suite_is_another_result(call: Call, suite: str, cache: str) -> None:
    code, out, _ = call(suite, "--cache", cache, "--conditions", "base", "--set", "estimation.min_score=0.99")
    assert code == 0 and ", 0 kept from before" in out


def test_nothing_but_failures_is_an_error_with_the_reason(call: Call, suite: str, cache: str) -> None:
    code, _, err = call(suite, "--cache", cache, "--conditions", "broken")
    assert code == 2 and "no run of" in err and "nowhere.mbtiles" in err
    assert not Path("out").exists()


def test_missing_bag_is_told(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bags.yaml").write_text("title: t\ndrives: {a: {bag: nothing, map: m.mbtiles}}")
    code, _, err = call("bags.yaml", "--cache", "cache")
    assert code == 2 and str(tmp_path / "nothing") in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name a suite"),
        (("smok",), "did you mean smoke?"),
        (("smoke", "--workers", "0"), "--workers 0"),
        (("smoke", "--matcher", "fg9"), "--matcher fg9"),
        (("smoke", "--drives", "nothing*"), "drives are flat"),
        (("smoke", "--set", "serach.radius_min_m=3"), "did you mean search?"),
        (("smoke", "--cache", "/proc/nowhere"), "choose another folder with --cache"),
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(call: Call, arguments: tuple[str, ...], told: str) -> None:
    code, _, err = call(*arguments)
    assert code == 2 and told in err and "Traceback" not in err


def test_list_names_what_ships(call: Call) -> None:
    code, out, _ = call("--list")
    assert code == 0 and all(name in out for name in shipped())


def test_prune_empties_the_cache(call: Call, tmp_path: Path) -> None:
    (tmp_path / "cache" / "results").mkdir(parents=True)
    (tmp_path / "cache" / "results" / "x.npz").write_bytes(b"x" * 2_000_000)
    code, out, _ = call("--prune", "--cache", "cache")
    assert code == 0 and "removed 2 MB" in out and not list(Path("cache").rglob("*.npz"))


@pytest.mark.slow
def test_smoke_suite_localizes_every_drive(call: Call, cache: str) -> None:
    """What CI runs: all of it where there is OpenGL, the flat drive where there is not."""
    chosen = ("--drives", "flat*") if unavailable() else ()
    code, out, _ = call("smoke", "--cache", cache, "--out", "smoke", "--matcher", "classical", *chosen)
    assert code == 0, out
    results = json.loads(Path("smoke/results.json").read_text())
    (group,) = results["groups"]
    assert group["drives"] == (1 if chosen else 3)
    assert group["measures"]["availability"]["value"] > 0.5
    assert all(drive["published"] > 0 for drive in group["per_drive"])


@pytest.mark.slow
def test_every_shipped_model_beats_gnss_alone(call: Call, cache: str) -> None:
    chosen = ("--drives", "flat*") if unavailable() else ("--drives", "[ts]*")
    models = sorted(path.name.partition("_")[0] for path in WEIGHTS.glob("*.safetensors"))
    named = [part for name in models for part in ("--matcher", name)]
    code, out, _ = call("smoke", "--cache", cache, "--out", "models", *chosen, *named)
    assert code == 0, out
    groups = json.loads(Path("models/results.json").read_text())["groups"]
    assert models and [group["matcher"] for group in groups] == models
    for group in groups:
        measures = {name: measure["value"] for name, measure in group["measures"].items()}
        told = f"{group['matcher']}: {measures}"
        assert measures["position_error_median_m"] < measures["gnss_error_median_m"], told


def test_without_opengl_each_drive_that_needs_it_says_what_to_install(
    call: Call, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvloc_ros.simulation.gl.context._EGL", {"backend": "egl", "libegl": "libNowhere.so"})
    monkeypatch.setattr("cvloc_ros.simulation.gl.context._kept.context", None, raising=False)
    code, _, err = call("smoke", "--cache", f"{cache}-empty", "--drives", "town")
    assert code == 2 and "apt-get install libegl1 libgl1-mesa-dri" in err
