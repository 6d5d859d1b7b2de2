# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a suite to its runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.suite.plan import Choice, Plan, make_plan, resolve
from cvloc_ros.evaluation.suite.spec import Suite, load

TWO = "title: t\ndefaults: {renderer: flat, yaw_deg: 5}\ndrives: {a: {seed: 1}, b: {seed: 2}}\n"


def suite(tmp_path: Path, text: str) -> Suite:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def planned(tmp_path: Path, text: str, choice: Choice | None = None) -> Plan:
    return make_plan(suite(tmp_path, text), choice)


def test_a_run_for_each_drive_condition_and_matcher(tmp_path: Path) -> None:
    plan = planned(tmp_path, TWO + "conditions: {base: {}, far: {gnss_m: 20}}\nmatchers: {classical: {}, wide: "
                   "{matcher.name: classical, search.radius_min_m: 30}}")  # fmt: skip
    names = {(job.name.drive, job.name.condition, job.name.matcher) for job in plan.jobs}
    assert names == {(d, c, m) for d in "ab" for c in ("base", "far") for m in ("classical", "wide")}
    by_name = {(job.name.condition, job.name.matcher): job for job in plan.jobs if job.name.drive == "a"}
    assert resolve(by_name["base", "wide"], Path())[0].search.radius_min_m == 30
    assert resolve(by_name["base", "classical"], Path())[0].search.radius_min_m == 10
    far, base = by_name["far", "wide"].scene, by_name["base", "wide"].scene
    assert far is not None and base is not None and (far.gnss.sigma_m, base.gnss.sigma_m) == (20, 2.5)


def test_weights_are_a_path_beside_the_suite_or_the_name_of_shipped_ones(tmp_path: Path) -> None:
    plan = planned(tmp_path, TWO + "matchers: {fg2: {matcher.fg2.weights: small}, own: {matcher.name: fg2, "
                   "matcher.fg2.weights: mine.safetensors}}")  # fmt: skip
    found = {job.name.matcher: resolve(job, Path())[0].matcher.fg2.weights for job in plan.jobs}
    assert found == {"fg2": "small", "own": str(tmp_path / "mine.safetensors")}


def test_values_of_a_sweep_are_conditions_with_their_axis(tmp_path: Path) -> None:
    plan = planned(tmp_path, TWO + "sweeps: {yaw_deg: [1, unknown], season: [winter]}")
    swept = {job.name.condition: job for job in plan.jobs if job.name.drive == "a"}
    assert set(swept) == {"base", "yaw_deg=1", "yaw_deg=unknown"}
    assert swept["yaw_deg=1"].facts["sweep"] == {"axis": "yaw_deg", "value": 1, "unit": "deg"}
    assert "sweep" not in swept["base"].facts
    assert [(skip.name.condition, skip.reason) for skip in plan.skipped] == [
        ("season=winter", "season needs the renderer gl")
    ] * 2


def test_first_runs_of_all_drives_come_first(tmp_path: Path) -> None:
    """Workers that begin with one drive would wait for each other while it is made."""
    plan = planned(tmp_path, TWO + "sweeps: {yaw_deg: [1, 2, 3]}")
    assert [job.name.drive for job in plan.jobs[:4]] == ["a", "b", "a", "b"]


def test_error_of_the_initial_yaw_is_drawn_by_drive_and_condition(tmp_path: Path) -> None:
    many = "".join(f"  d{number}: {{seed: {number}, renderer: flat, yaw_deg: 4}}\n" for number in range(300))
    jobs = planned(tmp_path, f"title: t\ndrives:\n{many}").jobs
    errors = np.array([job.yaw_deg for job in jobs])
    assert np.std(errors) == pytest.approx(4, rel=0.12)
    assert abs(errors.mean()) < 0.7
    assert all(job.yaw_of_truth and job.yaw_sigma_deg == 4 for job in jobs)
    again = planned(tmp_path, f"title: t\ndrives:\n{many}").jobs
    assert [job.yaw_deg for job in again] == [job.yaw_deg for job in jobs]


def test_matchers_start_with_the_same_yaw(tmp_path: Path) -> None:
    plan = planned(tmp_path, TWO + "matchers: {classical: {}, other: {matcher.name: classical}}")
    assert len({job.yaw_deg for job in plan.jobs}) == 2  # one for each drive


def test_unknown_yaw_is_none(tmp_path: Path) -> None:
    plan = planned(tmp_path, TWO + "conditions: {lost: {yaw_deg: unknown}}")
    assert {job.yaw_sigma_deg for job in plan.jobs} == {None}


def test_recorded_drive_starts_with_its_own_yaw(tmp_path: Path) -> None:
    text = "title: t\ndrives: {a: {bag: b, map: m.tif, initial_yaw_deg: 70, datum: [47, 8]}}\nsweeps: {gnss_m: [2]}"
    plan = planned(tmp_path, text)
    (job,) = plan.jobs
    assert (job.yaw_deg, job.yaw_sigma_deg, job.yaw_of_truth) == (70, 5, False)
    assert [skip.reason for skip in plan.skipped] == ["the drive is recorded"]
    config, _ = resolve(job, Path())
    assert config.geo.datum == [47, 8, 0] and config.tiles.source == str(tmp_path / "m.tif")


def test_unknown_yaw_wins_over_that_of_a_recorded_drive(tmp_path: Path) -> None:
    text = "title: t\ndrives: {a: {bag: b, map: m.tif, initial_yaw_deg: 70}}\nsweeps: {yaw_deg: [2, unknown]}"
    starts = {job.name.condition: (job.yaw_sigma_deg, job.yaw_of_truth) for job in planned(tmp_path, text).jobs}
    assert starts == {"base": (5, False), "yaw_deg=2": (2, False), "yaw_deg=unknown": (None, True)}


def test_camera_settings_of_a_recorded_drive_wait_for_its_bag(tmp_path: Path) -> None:
    text = "title: t\ndrives: {a: {bag: b, map: m.tif, config: {cameras.front.stamp_offset_s: 0.1}}}"
    config, cameras = resolve(planned(tmp_path, text).jobs[0], Path())
    assert list(config.cameras) == ["camera"] and cameras == {"front": {"stamp_offset_s": 0.1}}


def test_part_of_a_suite(tmp_path: Path) -> None:
    text = TWO + "conditions: {base: {}, far: {gnss_m: 20}}\nmatchers: {classical: {}, other: {matcher.name: fg2}}"
    plan = planned(tmp_path, text, Choice(("other",), "b*", "f*", {"search": {"radius_min_m": 33}}))
    (job,) = plan.jobs
    assert (job.name.drive, job.name.condition, job.name.matcher) == ("b", "far", "other")
    assert resolve(job, Path())[0].search.radius_min_m == 33


@pytest.mark.parametrize(
    ("text", "choice", "told"),
    [
        (TWO, Choice(("fg3",)), "--matcher fg3: .*mine.yaml has classical"),
        (TWO, Choice((), "c*"), "nothing of .*mine.yaml is chosen: drives are a, b; conditions are base"),
        (TWO + "matchers: {classical: {serach.radius_min_m: 3}}", None,
         "mine.yaml: drive a, condition base, matcher classical: serach.*did you mean search"),
        (TWO + "config: {estimation.min_score: 7}", None, "estimation.min_score"),
        ("title: t\ndrives: {a: {seed: 1, size_m: [10, 10]}}", None, "drive a, .*size_m"),
        ("title: t\ndrives: {a: {bag: b, map: m, settings: car.yaml}}", None, "drive a, .*car.yaml"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_runs(
    tmp_path: Path, text: str, choice: Choice | None, told: str
) -> None:
    with pytest.raises(ConfigError, match=f"(?s){told}"):
        planned(tmp_path, text, choice)


def test_weights_are_relative_to_the_suite_file(tmp_path: Path) -> None:
    plan = planned(tmp_path, TWO + "matchers: {fg2: {matcher.fg2.weights: models/x.safetensors}}")
    assert resolve(plan.jobs[0], Path())[0].matcher.fg2.weights == str(tmp_path / "models/x.safetensors")
