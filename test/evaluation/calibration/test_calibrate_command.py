# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc calibrate` as a user meets it: one small drive under five names, whose initial yaws differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from cvloc_ros.cli.main import main
from cvloc_ros.config import Config
from cvloc_ros.estimation import calibration
from cvloc_ros.evaluation.calibration import fit

SUITE = """
title: Small suite
defaults: {seconds: 9, image_hz: 2, renderer: flat, size_m: [100, 80], resolution_m: 0.25, image_px: 160, yaw_deg: 3}
drives:
  one: {seed: 500911}
  two: {seed: 500911}
  three: {seed: 500911}
  four: {seed: 500911}
  five: {seed: 500911}
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SUITE, encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["calibrate", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_calibration_summary_and_figure_of_real_drives(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = call("small.yaml", "--drives", "one", "--cache", "cache", "--out", "found.yaml")
    assert code == 2 and "on 1 of 1 drives; a fit needs at least 100 on 5" in err
    assert not Path("found.yaml").exists() and not Path("out").exists()
    monkeypatch.setattr(fit, "LEAST_POSES", 15)
    code, out, err = call("small.yaml", "--cache", "cache", "--out", "found.yaml")
    assert code == 0, err
    found = calibration.Calibration.load(Path("found.yaml"))
    assert found.matcher == "classical" and found.values.temperature is not None
    assert (found.solver, found.vote_sigma_m) == (None, None), "score volumes have no solver"
    assert found.provenance["drives"] == ["one", "two", "three", "four", "five"]
    assert found.provenance["simulated"] is True
    used = calibration.resolve(Config(), found).estimation
    assert used.sigma_floor_m == found.values.sigma_floor_m
    assert "5 simulated drives of the suite small" in out and "| five |" in out
    picture = cv2.imread("out/calibrate/classical/calibration.png")
    assert picture is not None and picture.std() > 10.0
    assert "left out" in Path("out/calibrate/classical/calibration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nosuch",), "no such suite"),
        (("small.yaml", "--matcher", "fg9"), "--matcher fg9"),
        (("small.yaml", "--drives", "nothing*"), "drives are one"),
        (("small.yaml", "--set", "estimaton.min_score=0.3"), "did you mean estimation?"),
        (("small.yaml", "--matcher", "fg2", "--set", "matcher.fg2.weights=gone.safetensors"), "gone.safetensors"),
    ],
)
def test_wrong_use_is_one_message_and_exit_code_2(call: Call, arguments: tuple[str, ...], told: str) -> None:
    code, _, err = call(*arguments, "--cache", "cache")
    assert code == 2 and told in err and "Traceback" not in err
