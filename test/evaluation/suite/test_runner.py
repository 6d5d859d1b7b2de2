# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs here and on a cluster of two processes: the same results, and nothing lost by what goes wrong."""

from __future__ import annotations

import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.suite import job as job_module
from cvloc_ros.evaluation.suite import runner
from cvloc_ros.evaluation.suite.cache import Cache, Finished
from cvloc_ros.evaluation.suite.job import Failed, run_task, task_of
from cvloc_ros.evaluation.suite.plan import Plan, make_plan
from cvloc_ros.evaluation.suite.record import RunRecord
from cvloc_ros.evaluation.suite.runner import Crew, Results, run_plan
from cvloc_ros.evaluation.suite.spec import load

SUITE = """
title: Small
defaults: {seconds: 5, image_hz: 1, renderer: flat, size_m: [100, 80], resolution_m: 0.25, image_px: 160, yaw_deg: 5}
drives: {one: {seed: 900901}, two: {seed: 900902}}
conditions:
  base: {}
  lost: {yaw_deg: unknown}
  broken: {config: {tiles.source: nowhere.mbtiles}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runner")


@pytest.fixture(scope="module")
def plan(folder: Path) -> Plan:
    path = folder / "small.yaml"
    path.write_text(SUITE, encoding="utf-8")
    return make_plan(load(path))


@pytest.fixture(scope="module")
def alone(plan: Plan, folder: Path) -> Results:
    """All runs in this process."""
    return run_plan(plan, Cache(folder / "cache"), Crew())


def found(results: Results) -> dict[tuple[str, str], RunRecord]:
    return {(record.name.drive, record.name.condition): record for record in results.records}


def same(one: RunRecord, other: RunRecord) -> None:
    assert one.status == other.status and one.name == other.name
    for column in ("stamp_ns", "truth", "error", "covariance", "candidate_error", "prior_error", "gnss_error", "score"):
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column), err_msg=column)


def test_records_hold_what_was_driven(alone: Results) -> None:
    records = found(alone)
    assert set(records) == {(drive, condition) for drive in ("one", "two") for condition in ("base", "lost")}
    for record in records.values():
        assert record.simulated and len(record.stamp_ns) == 5
        assert record.facts["memory_peak_mb"] > 50
        assert np.isfinite(record.truth).all()
    assert any(record.published.any() for record in records.values())


def test_initial_yaw_is_the_true_one_with_its_error(alone: Results, plan: Plan) -> None:
    drawn = {(job.name.drive, job.name.condition): job for job in plan.jobs}
    for name, record in found(alone).items():
        first = next((error for error in record.prior_error if np.isfinite(error[2])), None)
        if name[1] == "lost":
            assert first is None or not np.isclose(np.degrees(first[2]), drawn[name].yaw_deg, atol=1e-6)
        else:
            assert first is not None and np.degrees(first[2]) == pytest.approx(drawn[name].yaw_deg, abs=1.0)


def test_unusable_map_is_a_failure_of_its_runs_alone(alone: Results) -> None:
    assert {(name.drive, name.condition) for name in alone.failures} == {("one", "broken"), ("two", "broken")}
    assert all("nowhere.mbtiles" in reason for reason in alone.failures.values())


def test_recorded_drive_gives_what_the_simulated_one_gave(alone: Results, plan: Plan, folder: Path) -> None:
    """The bag, map and parameters of a simulated drive, named as files, are the same drive."""
    scene = next(job.scene for job in plan.jobs if job.name.drive == "one")
    assert scene is not None
    kept = Cache(folder / "cache").drive(scene)
    text = f"{{bag: {kept}/bag, map: {kept}/map.mbtiles, settings: {kept}/cvloc.yaml, yaw_deg: 5}}"
    path = folder / "recorded.yaml"
    path.write_text(f"title: Recorded\ndrives: {{one: {text}}}\nsweeps: {{cameras: [1]}}", encoding="utf-8")
    recorded = make_plan(load(path))
    results = run_plan(recorded, Cache(folder / "cache"), Crew())
    assert not results.failures and results.kept == 0
    same(results.records[0], found(alone)["one", "base"])
    assert [skip.reason for skip in recorded.skipped] == ["the drive is recorded"]


def test_second_time_nothing_is_run(alone: Results, plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "run_task", lambda _: Failed("was run"))
    again = run_plan(plan, Cache(folder / "cache"), Crew())
    assert again.kept == 4
    for name, record in found(again).items():
        same(record, found(alone)[name])
    fresh = run_plan(plan, Cache(folder / "cache"), Crew(), fresh=True)
    assert fresh.kept == 0 and set(fresh.failures.values()) == {"was run"}


def test_kept_result_takes_the_name_that_is_asked_for(alone: Results, plan: Plan, folder: Path) -> None:
    job = next(job for job in plan.jobs if job.name.condition == "lost")
    renamed = replace(job, name=replace(job.name, condition="yaw_deg=unknown"), facts={"sweep": {"axis": "yaw_deg"}})
    results = run_plan(Plan((renamed,), ()), Cache(folder / "cache"), Crew())
    assert results.kept == 1
    assert results.records[0].name.condition == "yaw_deg=unknown"
    assert results.records[0].facts["sweep"] == {"axis": "yaw_deg"}
    assert "sweep" not in found(alone)[job.name.drive, "lost"].facts


def test_two_workers_find_the_same_and_one_that_dies_loses_nothing(alone: Results, plan: Plan, folder: Path) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    cache = Cache(folder / "cache")
    tasks = [task_of(job, cache.root, report=False) for job in plan.jobs]
    results = Results()
    bar = SimpleNamespace(set_postfix_str=lambda _: None)
    for task, answer in runner._answers(tasks, Crew(workers=2), bar):
        if not results.records and not results.failures:
            multiprocessing.active_children()[0].kill()
        results.add(task.job, answer)
    assert results.failures == alone.failures
    for name, record in found(results).items():
        same(record, found(alone)[name])


def test_workers_of_a_scheduler_are_used(alone: Results, plan: Plan, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    runs = Plan(tuple(job for job in plan.jobs if job.name.drive == "one"), ())
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        results = run_plan(runs, Cache(tmp_path), Crew(scheduler=cluster.scheduler_address))
    assert found(results).keys() == {("one", "base"), ("one", "lost")}
    for name, record in found(results).items():
        same(record, found(alone)[name])
    assert len(list((tmp_path / "results").glob("*.npz"))) == 2


def test_run_that_kills_its_workers_is_a_failure_with_a_reason() -> None:
    class Future:
        def result(self) -> Any:
            msg = "the worker died"
            raise RuntimeError(msg)

    assert runner._answer(Future()) == Failed("RuntimeError: the worker died")


def test_fault_of_the_program_is_a_failure_of_its_run_alone(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*args: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(job_module, "replay_bag", faulty)
    monkeypatch.setattr(logging.getLogger(job_module.__name__), "disabled", True)
    monkeypatch.setattr(Cache, "drive", lambda *_: Path("drive"))
    answer = run_task(task_of(plan.jobs[0], None, report=False))
    assert isinstance(answer, Failed) and "ZeroDivisionError" in answer.reason and "test_runner.py" in answer.reason


def test_worker_with_other_code_refuses(plan: Plan) -> None:
    answer = run_task(replace(task_of(plan.jobs[0], None, report=False), code="another"))
    assert isinstance(answer, Failed) and "another version" in answer.reason


def test_result_that_cannot_be_kept_is_still_a_result(
    alone: Results, plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(cache: Cache, key: str, finished: Finished) -> None:
        msg = "x.npz: the result cannot be written: No space left on device; free some space"
        raise CvlocError(msg)

    monkeypatch.setattr(Cache, "save", full)
    monkeypatch.setattr(runner, "run_task", lambda _: Finished(alone.records[0]))
    monkeypatch.setattr(runner.logger, "disabled", True)
    results = run_plan(plan, Cache(folder / "cache"), Crew(), fresh=True)
    assert len(results.records) == len(plan.jobs)
    assert len(results.notes) == 1 and "No space left" in results.notes[0]


def test_interrupted_suite_keeps_what_is_done(
    alone: Results, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([Finished(alone.records[0]), Finished(alone.records[1])])

    def interrupted(task: object) -> Finished:
        answer = next(answers, None)
        if answer is None:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(runner, "run_task", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, Cache(tmp_path), Crew())
    assert len(list((tmp_path / "results").glob("*.npz"))) == 2


def test_scheduler_that_does_not_answer_is_told(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    monkeypatch.setattr(runner, "PATIENCE_S", 0.3)
    with pytest.raises(CvlocError, match=r"--scheduler tcp://127\.0\.0\.1:9: no scheduler answers"):
        run_plan(plan, Cache(tmp_path), Crew(scheduler="tcp://127.0.0.1:9"))
