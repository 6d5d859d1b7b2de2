# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc evaluate`."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from cvloc_ros.cli.options import Assignments
from cvloc_ros.cli.settings import parse_assignments
from cvloc_ros.errors import ConfigError

if TYPE_CHECKING:
    from cvloc_ros.evaluation.suite.cache import Cache
    from cvloc_ros.evaluation.suite.plan import Plan, Skipped
    from cvloc_ros.evaluation.suite.runner import Results
    from cvloc_ros.evaluation.suite.spec import Suite

EXIT_FAILED_RUNS = 1
_Flag = tyro.conf.FlagCreatePairsOff[bool]
_Names = Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME")]


def evaluate(  # noqa: PLR0917
    suite: tyro.conf.Positional[str] = "",
    out: Path | None = None,
    matcher: _Names = (),
    drives: str = "*",
    conditions: str = "*",
    settings: Assignments = (),
    workers: int = 1,
    scheduler: str = "",
    cache: Path | None = None,
    fresh: _Flag = False,
    reports: _Flag = False,
    list: _Flag = False,  # noqa: A002
    prune: _Flag = False,
) -> int:
    """Evaluate matchers on the drives of a suite; write results.json, results.md and report.html.

    Args:
        suite: Name of a suite that comes with the package (see --list), or a YAML file.
        out: Folder for the results; by default out/evaluate/SUITE.
        matcher: Only this matcher of the suite; may be repeated.
        drives: Only drives whose names match, such as 'town*'.
        conditions: Only conditions whose names match; a value of a sweep is a condition AXIS=VALUE.
        settings: Any configuration key on top of the suite, such as search.radius_min_m=15; may be repeated.
        workers: Processes on this machine.
        scheduler: Address of a dask scheduler, such as tcp://host:8786, whose workers run the suite.
        cache: Folder that keeps drives and results; by default $XDG_CACHE_HOME/cvloc_ros/evaluate.
        fresh: Compute every result anew, also those that are kept.
        reports: Also write the report of each single run, to OUT/runs.
        list: List the suites that come with the package.
        prune: Remove all drives and results that are kept.
    """
    from cvloc_ros.evaluation.suite.cache import Cache, default_root
    from cvloc_ros.evaluation.suite.plan import Choice, make_plan
    from cvloc_ros.evaluation.suite.runner import Crew, run_plan, write_reports
    from cvloc_ros.evaluation.suite.spec import find, load

    if list:
        return _list()
    if workers < 1:
        msg = f"--workers {workers}: give at least 1"
        raise ConfigError(msg)
    kept = Cache(cache or default_root())
    if prune:
        return _prune(kept)
    if not suite:
        msg = "name a suite or a YAML file; cvloc evaluate --list tells which suites there are"
        raise ConfigError(msg)
    chosen = load(find(suite))
    plan = make_plan(chosen, Choice(matcher, drives, conditions, parse_assignments(settings)))
    folder = out or Path("out/evaluate") / chosen.path.stem
    results = run_plan(plan, kept, Crew(workers, scheduler), fresh=fresh, reports=reports, progress=True)
    if reports:
        write_reports(folder, results)
    _summarize(folder, chosen, plan, results)
    _say(f"kept for the next time in {kept.root}: {kept.size_mb():.0f} MB\n")
    return EXIT_FAILED_RUNS if results.failures else 0


def _list() -> int:
    from cvloc_ros.evaluation.suite.spec import load, shipped

    for name, path in shipped().items():
        found = load(path)
        _say(f"{name:<10} {found.title}\n{'':<10} {found.about.strip()}\n")
    return 0


def _prune(kept: Cache) -> int:
    size = kept.size_mb()
    kept.clear()
    _say(f"removed {size:.0f} MB from {kept.root}\n")
    return 0


def _summarize(folder: Path, suite: Suite, plan: Plan, results: Results) -> None:
    """Write the summary of the runs and show it; raise ConfigError with the reasons where none has a result."""
    from cvloc_ros.evaluation.suite.summary import summarize, write_summary

    if not results.records:
        reasons = Counter(results.failures.values()).most_common(3)
        text = "\n".join(f"{count} x {reason}" for reason, count in reasons) or _skips(plan.skipped)
        msg = f"no run of {suite.path} has a result\n{text}"
        raise ConfigError(msg)
    summary = summarize(results.records, results.failures, suite=suite.title)
    written = suite.path.read_text(encoding="utf-8")
    write_summary(folder, {**summary, "about": suite.about, "skipped": _told(plan), "suite_file": written})
    _say((folder / "results.md").read_text(encoding="utf-8") + _closing(plan, results, folder))


def _told(plan: Plan) -> object:
    return [{**asdict(skip.name), "reason": skip.reason} for skip in plan.skipped]


def _closing(plan: Plan, results: Results, folder: Path) -> str:
    from cvloc_ros.evaluation.suite.tables import plural

    runs = plural(len(results.records), "run")
    lines = [f"\n{runs}, {results.kept} kept from before; results in {folder}"]
    lines += [f"failed: {name.drive}/{name.condition}/{name.matcher}: {why}" for name, why in results.failures.items()]
    lines += [_skips(plan.skipped)] if plan.skipped else []
    return "\n".join([*lines, *results.notes]) + "\n"


def _skips(skipped: tuple[Skipped, ...]) -> str:
    counts = Counter((skip.name.condition, skip.reason) for skip in skipped)
    return "\n".join(f"skipped: {condition} on {count} runs: {why}" for (condition, why), count in counts.items())


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
