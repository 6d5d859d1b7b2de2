# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of a suite, one after the other here or on the workers of a dask cluster; the cache is asked first."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cvloc_ros.errors import ConfigError, CvlocError
from cvloc_ros.evaluation.suite.cache import Cache, Finished
from cvloc_ros.evaluation.suite.job import Failed, Task, run_task, task_of
from cvloc_ros.evaluation.suite.plan import Job, Plan
from cvloc_ros.evaluation.suite.record import RunName, RunRecord

PATIENCE_S = 10.0
"""How long a scheduler may take to answer."""
Answers = Generator[tuple[Task, Finished | Failed], None, None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Crew:
    """Who runs: this process (1 worker), processes of this machine, or the workers of a scheduler (its address)."""

    workers: int = 1
    scheduler: str = ""


@dataclass(slots=True)
class Results:
    """What came out. `reports` holds the pages of single runs, `kept` how many results came from the cache."""

    records: list[RunRecord] = field(default_factory=list)
    failures: dict[RunName, str] = field(default_factory=dict)
    reports: dict[RunName, bytes] = field(default_factory=dict)
    kept: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, job: Job, answer: Finished | Failed) -> None:
        """Enter one run; its result may have been kept under another name."""
        if isinstance(answer, Failed):
            self.failures[job.name] = answer.reason
            return
        facts = {**answer.record.facts, **job.facts}
        self.records.append(replace(answer.record, name=job.name, facts=facts))
        if answer.report is not None:
            self.reports[job.name] = answer.report


def run_plan(
    plan: Plan, cache: Cache, crew: Crew, *, fresh: bool = False, reports: bool = False, progress: bool = False
) -> Results:
    """Return all results; each is kept as soon as it is there, so that an interrupted suite goes on where it was.

    Raises:
        CvlocError: there is no scheduler, or dask.distributed is not installed.
    """
    results = Results()
    waiting: list[Task] = []
    for job in plan.jobs:
        try:
            task = task_of(job, None if crew.scheduler else cache.root, report=reports)
        except CvlocError as err:
            results.add(job, Failed(str(err)))
            continue
        found = None if fresh else cache.load(task.key, report=reports)
        if found is None:
            waiting.append(task)
        else:
            results.add(job, found)
            results.kept += 1
    bar = tqdm(total=len(waiting), unit="run", desc="runs", disable=None if progress and waiting else True)
    with closing(bar), closing(_answers(waiting, crew, bar)) as answers:
        try:
            for task, answer in answers:
                results.add(task.job, answer)
                bar.update()
                if isinstance(answer, Finished):
                    _keep(cache, task, answer, results)
        except KeyboardInterrupt:
            done, asked = len(results.records), len(plan.jobs)
            logger.warning("%d of %d runs are kept; call again to go on from there", done, asked)
            raise
    return results


def _keep(cache: Cache, task: Task, answer: Finished, results: Results) -> None:
    try:
        cache.save(task.key, answer)
    except CvlocError as err:  # the result is not lost: it is in the tables
        if not results.notes:
            results.notes.append(f"results are not kept for the next time: {err}")
            logger.warning("%s", results.notes[0])


def _answers(tasks: Sequence[Task], crew: Crew, bar: Any) -> Answers:
    if not tasks:
        return
    if crew.workers == 1 and not crew.scheduler:
        for task in tasks:
            bar.set_postfix_str(_label(task))
            yield task, run_task(task)
        return
    yield from _cluster_answers(tasks, crew, bar)


def _cluster_answers(tasks: Sequence[Task], crew: Crew, bar: Any) -> Answers:
    try:
        import distributed
    except ImportError as err:
        msg = f"several workers need dask.distributed, which is not there ({err.name}): pip install cvloc_ros[fleet]"
        raise ConfigError(msg) from err
    pool: Any = distributed  # its classes carry no types
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it tells of its workers comes with the failures
    with ExitStack() as stack:
        if crew.scheduler:
            client = stack.enter_context(_client(pool.Client, crew.scheduler))
        else:
            with _deaf():
                cluster = stack.enter_context(pool.LocalCluster(
                    n_workers=crew.workers, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
                    memory_limit=0, silence_logs=logging.CRITICAL,
                ))  # fmt: skip
            client = stack.enter_context(pool.Client(cluster))
        futures = {
            client.submit(run_task, task, key=f"{_label(task)} {task.key}", pure=False, retries=0): task
            for task in tasks
        }
        for future in pool.as_completed(futures):
            yield futures[future], _answer(future)
            future.release()
            bar.set_postfix_str(", ".join(sorted(_running(client)))[:60])


@contextmanager
def _deaf() -> Iterator[None]:
    """Let processes that begin now ignore Ctrl-C, which a terminal sends to all: this one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


def _client(kind: Any, address: str) -> Any:
    try:
        return kind(address, timeout=PATIENCE_S)
    except (OSError, ValueError) as err:
        msg = f"--scheduler {address}: no scheduler answers there ({err}); start one with `dask scheduler`"
        raise CvlocError(msg) from err


def _answer(future: Any) -> Finished | Failed:
    """Return what a worker answered; one that died on the same run again and again is a failure of that run."""
    try:
        answer: Finished | Failed = future.result()
    except Exception as err:  # noqa: BLE001 - what a cluster may raise is not ours to list
        return Failed(f"{type(err).__name__}: {err}")
    return answer


def _running(client: Any) -> Iterator[str]:
    for keys in client.processing().values():
        yield from (str(key).rpartition(" ")[0] for key in keys)


def _label(task: Task) -> str:
    name = task.job.name
    return f"{name.drive}/{name.condition}/{name.matcher}"


def write_reports(out: Path, results: Results) -> None:
    """Write the report of each run below `out/runs`.

    Raises:
        CvlocError: it cannot be written.
    """
    from cvloc_ros.evaluation.suite.cache import write_whole

    for name, page in results.reports.items():
        write_whole(out / "runs" / name.drive / name.condition / name.matcher / "report.html", page)
