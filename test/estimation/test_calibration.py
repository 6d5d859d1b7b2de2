# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cvloc_ros import resources
from cvloc_ros.config import Config, merge
from cvloc_ros.errors import ConfigError, CvlocError
from cvloc_ros.estimation import calibration
from cvloc_ros.estimation.calibration import FALLBACK, Calibration, Values, beside, find, resolve

VALUES = Values(temperature=5.0, covariance_scale=0.4, sigma_floor_m=0.5, sigma_floor_deg=0.2)
FG2 = merge(Config(), {"matcher": {"name": "fg2"}})


def weights(folder: Path) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def write(path: Path, **changes: object) -> Calibration:
    made = Calibration(matcher="fg2", weights_sha256=resources.sha256(path), values=VALUES, provenance={"suite": "s"})
    made = made.model_copy(update=changes)
    made.save(beside("fg2", path))
    return made


def test_it_lies_beside_the_weights_and_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = weights(tmp_path)
    made = write(path)
    assert (tmp_path / "model.calibration.yaml").is_file()
    assert find(FG2, path) == made


def test_without_a_calibration_safe_values_are_used_and_it_is_said(tmp_path: Path) -> None:
    assert find(FG2, weights(tmp_path)) is None
    assert resolve(FG2, None).estimation.sigma_floor_m == FALLBACK.sigma_floor_m
    assert "cvloc calibrate --matcher fg2" in calibration.trouble(FG2, None)
    assert "not calibrated" in calibration.describe(FG2, None)


@pytest.mark.parametrize("key", list(Values.model_fields))
def test_a_given_number_wins_each_on_its_own(key: str) -> None:
    made = Calibration(matcher="fg2", values=VALUES)
    given = merge(FG2, {"estimation": {key: 7.0}})
    used = resolve(given, made).estimation
    for name in Values.model_fields:
        assert getattr(used, name) == (7.0 if name == key else getattr(VALUES, name))
    assert f"but for {key} as given" in calibration.describe(given, made)


VOTED = Calibration(matcher="fg2", solver="vote", vote_sigma_m=1.5, values=VALUES)


@pytest.mark.parametrize(
    ("made", "used", "told"),
    [
        (VOTED, {"solver": "procrustes"}, "solver = vote (procrustes is in use)"),
        (VOTED, {"vote_sigma_m": 3.0}, "vote_sigma_m = 1.5 (3.0 is in use)"),
        (
            Calibration(matcher="fg2", solver="procrustes", values=VALUES), {"solver": "vote"},
            "solver = procrustes (vote is in use)",
        ),
    ],
)  # fmt: skip
def test_poses_of_another_solver_are_told_with_both_values_and_the_remedy(
    made: Calibration, used: dict[str, object], told: str
) -> None:
    given = merge(FG2, {"estimation": used})
    key, value = next(iter(used.items()))
    assert resolve(given, made).estimation.covariance_scale == VALUES.covariance_scale
    assert told in calibration.describe(given, made)
    trouble = calibration.trouble(given, made)
    assert f"estimation.{told}" in trouble
    assert f"cvloc calibrate --matcher fg2 --set estimation.{key}={value}" in trouble
    assert calibration.trouble(merge(given, {"estimation": VALUES.model_dump()}), made) == ""


@pytest.mark.parametrize(
    ("made", "used"),
    [
        (VOTED, {}),
        (Calibration(matcher="fg2", solver="procrustes", values=VALUES), {"solver": "procrustes", "vote_sigma_m": 3.0}),
        (Calibration(matcher="fg2", values=VALUES), {"solver": "procrustes"}),
    ],
)
def test_nothing_is_said_of_the_same_solver_or_of_none_noted(made: Calibration, used: dict[str, object]) -> None:
    given = merge(FG2, {"estimation": used})
    assert calibration.trouble(given, made) == ""
    assert "in use" not in calibration.describe(given, made)


def test_what_is_resolved_stays_as_it_is() -> None:
    made = Calibration(matcher="fg2", values=VALUES)
    used = resolve(FG2, made)
    assert resolve(used, None) == used
    assert calibration.open_keys(used.estimation) == []
    assert "given by the configuration" in calibration.describe(used, made)


def test_a_method_without_temperature_has_none_to_calibrate() -> None:
    made = Calibration(matcher="fg2", values=VALUES.model_copy(update={"temperature": None}))
    assert resolve(FG2, made).estimation.temperature == FALLBACK.temperature
    assert "temperature" not in str(made.values)


def test_calibration_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = weights(tmp_path)
    write(path)
    path.write_bytes(b"trained further")
    with pytest.raises(ConfigError, match=r"model\.calibration\.yaml belongs to other weights.*cvloc calibrate"):
        find(FG2, path)


def test_where_all_values_are_given_an_unusable_file_stops_nothing(tmp_path: Path) -> None:
    path = weights(tmp_path)
    write(path, weights_sha256="0" * 64)
    assert find(merge(FG2, {"estimation": VALUES.model_dump()}), path) is None


def test_calibration_of_another_matcher_is_refused(tmp_path: Path) -> None:
    path = weights(tmp_path)
    write(path, matcher="gridloc")
    with pytest.raises(ConfigError, match=r"calibration of gridloc, matcher\.name is fg2"):
        find(FG2, path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": {"covariance_scale": -1, "sigma_floor_m": 0.3, "sigma_floor_deg": 1}}, r"values\.covariance_scale"),
        ({"values": {"covariance_scale": 1}}, r"values\.sigma_floor_m: Field required"),
        ({"format": 2}, "format"),
        ({"solver": "guess"}, "solver"),
        ({"scale": 1}, "scale: Extra inputs"),
    ],
)
def test_a_bad_file_is_named_with_key_and_remedy(tmp_path: Path, change: dict[str, object], text: str) -> None:
    path = weights(tmp_path)
    write(path)
    file = beside("fg2", path)
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(ConfigError, match=text) as caught:
        find(FG2, path)
    assert str(file) in str(caught.value)
    assert "cvloc calibrate" in str(caught.value)


@pytest.mark.parametrize("content", [b"values: [", b"\xff\xfe\x00", b"", b"just a text"])
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = weights(tmp_path)
    beside("fg2", path).write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.calibration\.yaml"):
        find(FG2, path)


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(CvlocError, match="choose another --out"):
        Calibration(matcher="fg2", values=VALUES).save(tmp_path / "taken" / "c.yaml")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("matcher", ["fg2", "loc2", "viewbridge"])
def test_shipped_weights_have_a_calibration_of_the_default_solver(matcher: str) -> None:
    given = merge(Config(), {"matcher": {"name": matcher}})
    found = find(given, resources.find(f"config/weights/{matcher}_small.safetensors"))
    assert found is not None
    assert (found.solver, found.vote_sigma_m) == ("vote", 1.5)
    assert calibration.trouble(given, found) == ""


def test_shipped_weights_that_score_poses_have_a_calibration_of_no_solver() -> None:
    given = merge(Config(), {"matcher": {"name": "gridloc"}})
    found = find(given, resources.find("config/weights/gridloc_small.safetensors"))
    assert found is not None
    assert found.solver is None
    assert calibration.trouble(given, found) == ""


def test_the_classical_matcher_comes_with_a_calibration() -> None:
    found = find(Config(), None)
    assert found is not None
    assert (found.matcher, found.weights_sha256) == ("classical", "")
    assert calibration.trouble(Config(), found) == ""
    assert {"suite", "drives", "attempts", "date", "nees_after"} <= set(found.provenance)
    assert len(found.provenance["drives"]) >= 5
