# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From the records of a suite to one tree of numbers, and from that to results.json, results.md and report.html."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import cvloc_ros
from cvloc_ros.errors import CvlocError
from cvloc_ros.evaluation.metrics import quantiles, rounded
from cvloc_ros.evaluation.suite import bootstrap, honesty
from cvloc_ros.evaluation.suite.record import RunName, RunRecord
from cvloc_ros.evaluation.suite.statistics import DEFINITIONS, FALSE_M, Sample, evaluate, measures, number
from cvloc_ros.types import F64

FORMAT = 1
Draw = Callable[[int], F64 | None]
CDF_M = np.geomspace(0.01, 100.0, 81).round(5)
COMPARED = {
    "availability": 1, "recall_position_1m": 1, "recall_position_3m": 1, "false_accepts_of_published": -1,
    "position_error_median_m": -1, "all_attempts_position_median_m": -1,
}  # fmt: skip
"""Measures by which two matchers are compared: 1 where more is better, -1 where less is."""
SWEPT = ("availability", "position_error_median_m", "recall_position_3m", "false_accepts_of_published",
         "gnss_error_median_m")  # fmt: skip


def summarize(
    records: Sequence[RunRecord],
    failures: Mapping[RunName, str] | None = None,
    *,
    suite: str = "",
    resamples: int = bootstrap.RESAMPLES,
    seed: int = bootstrap.SEED,
) -> dict[str, Any]:
    """Return everything that is known of a suite as a tree for JSON; what has no sample is None.

    `failures` are the runs that ended with an error, and its text. `facts` of a record may hold `sweep`
    ({"axis", "value", "unit"}: its condition is one point of a curve and stays out of the main table),
    `memory_peak_mb`, and `fusion` (`evaluation.fusion.preview`). The caller may add `about` (text) and `skipped`
    (drive, condition, matcher, reason of what could not be asked of a drive).
    """
    failures = failures or {}
    groups: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda record: _key(record.name)):
        groups[record.name.matcher, record.name.condition].append(record)
    names = [*(record.name for record in records), *failures]
    order = list(dict.fromkeys(name.condition for name in names))
    draw = partial(bootstrap.weights, resamples=resamples, seed=seed)
    failed = Counter((name.matcher, name.condition) for name in failures)
    found = [
        _group(key, groups.get(key, ()), failed[key], draw)
        for key in sorted({*groups, *failed}, key=lambda key: (order.index(key[1]), key[0]))
    ]
    plain = [group for group in found if group["sweep"] is None]
    return {
        "format": FORMAT,
        "suite": suite,
        **_facts(records),
        "intervals": {"method": DEFINITIONS["interval"], "resamples": resamples, "seed": seed,
                      "least_drives": bootstrap.LEAST_DRIVES},
        "groups": plain,
        "sweeps": _sweeps([group for group in found if group["sweep"] is not None]),
        "differences": _differences(groups, [(group["matcher"], group["condition"]) for group in plain], draw),
        "failed_runs": [{**_named(name), "error": text} for name, text in sorted(failures.items(), key=_by_name)],
        "definitions": DEFINITIONS,
    }  # fmt: skip


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write results.json, results.md and report.html.

    Raises:
        ConfigError: plotly, which draws the charts, is not installed; the other two files are written.
        CvlocError: the folder cannot be written; what an earlier evaluation left there is still whole.
    """
    from cvloc_ros.evaluation.suite.cache import write_whole
    from cvloc_ros.evaluation.suite.page import page
    from cvloc_ros.evaluation.suite.tables import markdown

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        msg = f"{folder}: cannot be written: {err.strerror}; choose another folder"
        raise CvlocError(msg) from err
    texts = {"results.json": json.dumps(summary, indent=1, allow_nan=False) + "\n", "results.md": markdown(summary)}
    for name, text in texts.items():
        write_whole(folder / name, text.encode())
    write_whole(folder / "report.html", page(summary).encode())


def _group(key: tuple[str, str], records: Sequence[RunRecord], failed: int, draw: Draw) -> dict[str, Any]:
    sample = Sample.of(records)
    drawn = draw(len(sample.drives))
    by_drive: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        by_drive[record.name.drive].append(record)
    return {
        "matcher": key[0],
        "condition": key[1],
        "sweep": next((dict(record.facts["sweep"]) for record in records if record.facts.get("sweep")), None),
        "simulated": any(record.simulated for record in records),
        "drives": len(sample.drives),
        "runs": len(records),
        "failed_runs": failed,
        "images": sum(int(record.facts.get("images", 0)) for record in records),
        **_counts(sample),
        "measures": evaluate(measures(sample), sample.drive, drawn),
        **honesty.judge(sample, drawn),
        "cdf": {"m": CDF_M.tolist(), "published": _cdf(sample, sample.position), "gnss": _cdf(sample, sample.gnss)},
        "latency_ms": _latencies(records, sample),
        "memory_peak_mb": max((r.facts.get("memory_peak_mb") or 0.0 for r in records), default=0.0) or None,
        "statuses": dict(Counter(status for record in records for status in record.status).most_common()),
        "fusion": _fusion(records),
        "per_drive": [_drive(name, runs) for name, runs in by_drive.items()],
    }


def _drive(name: str, records: Sequence[RunRecord]) -> dict[str, Any]:
    sample = Sample.of(records)
    values = evaluate(measures(sample), sample.drive, None)
    return {"drive": name, **_counts(sample), "measures": {key: values[key]["value"] for key in values}}


def _counts(sample: Sample) -> dict[str, int]:
    return {
        "image_sets": len(sample.tried),
        "attempts": int(sample.tried.sum()),
        "attempts_inside": int((sample.tried & sample.inside).sum()),
        "attempts_inside_with_truth": int(sample.known.sum()),
        "published": int(sample.published.sum()),
        "published_inside": int((sample.published & sample.inside).sum()),
        "published_with_truth": int(np.isfinite(sample.position).sum()),
        "false_accepts_3m_count": int((sample.position > FALSE_M).sum()),
    }


def _cdf(sample: Sample, error: F64) -> list[float] | None:
    known = sample.known
    if not known.any():
        return None
    there = np.sort(error[known & np.isfinite(error)])
    return [rounded(share) for share in np.searchsorted(there, CDF_M, side="right") / known.sum()]


def _latencies(records: Sequence[RunRecord], sample: Sample) -> dict[str, Any]:
    stages: dict[str, list[F64]] = defaultdict(list)
    for record in records:
        for stage, seconds in record.stages_s.items():
            stages[stage].append(seconds[record.tried & np.isfinite(seconds)])
    names = sorted(stages, key=lambda stage: stage == "total")
    return {**quantiles(sample.wall_s[sample.tried]),
            "stages": {stage: quantiles(np.concatenate(stages[stage])) for stage in names}}  # fmt: skip


def _fusion(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return, per outage and combination of sources, medians over drives of the error, and the largest error of all."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        for scenario in record.facts.get("fusion", {}).get("scenarios", ()):
            for track, values in scenario["tracks"].items():
                parts = values["during"] if scenario["outages_s"] else [values["whole"]]
                found[scenario["name"], track] += [part for part in parts if part["n"]]
    return [
        {"scenario": scenario, "track": track, "n": len(parts), "max": max(part["max"] for part in parts),
         **{key: rounded(np.median([part[key] for part in parts])) for key in ("median", "p95", "final")}}
        for (scenario, track), parts in found.items() if parts
    ]  # fmt: skip


def _differences(
    groups: Mapping[tuple[str, str], Sequence[RunRecord]], order: Sequence[tuple[str, str]], draw: Draw
) -> list[dict[str, Any]]:
    """Compare the matchers of each condition on the drives that both have."""
    matchers: dict[str, list[str]] = defaultdict(list)
    for matcher, condition in order:
        matchers[condition].append(matcher)
    found = []
    for condition, names in matchers.items():
        for pair in combinations(names, 2):
            runs = [groups.get((name, condition), ()) for name in pair]
            shared = sorted(set.intersection(*({run.name.drive for run in each} for each in runs)))
            if shared:
                both = [Sample.of([run for run in each if run.name.drive in shared], shared) for each in runs]
                found.append({"condition": condition, "first": pair[0], "second": pair[1], "drives": len(shared),
                              "measures": _compare(both, pair, draw(len(shared)))})
    return found  # fmt: skip


def _compare(samples: Sequence[Sample], names: tuple[str, str], drawn: F64 | None) -> dict[str, Any]:
    both = [measures(sample) for sample in samples]
    found: dict[str, Any] = {}
    for key, sign in COMPARED.items():
        pair = [each[key] for each in both]
        first, second = (bootstrap.estimate(measure.values, measure.quantile) for measure in pair)
        with np.errstate(invalid="ignore"):
            limits = None if drawn is None else bootstrap.interval(np.subtract(*(
                bootstrap.replicates(measure.values, sample.drive, drawn, measure.quantile)
                for measure, sample in zip(pair, samples, strict=True)
            )))  # fmt: skip
        low, high = limits or (None, None)
        better = None
        if low is not None and high is not None and (low > 0.0 or high < 0.0):
            better = names[0] if (low > 0.0) == (sign > 0) else names[1]
        found[key] = {"value": number(first - second), "low": number(low), "high": number(high), "better": better}
    return found


def _sweeps(groups: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, per axis, its unit and one curve per matcher."""
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        axis = found.setdefault(group["sweep"]["axis"], {"unit": group["sweep"].get("unit", ""), "curves": {}})
        point = {"value": group["sweep"]["value"], "condition": group["condition"], "drives": group["drives"],
                 "attempts_inside": group["attempts_inside"], "failed_runs": group["failed_runs"],
                 **{key: group["measures"][key] for key in SWEPT}}  # fmt: skip
        axis["curves"].setdefault(group["matcher"], []).append(point)
    for axis in found.values():
        for curve in axis["curves"].values():
            curve.sort(key=lambda point: _place(point["value"]))
    return found


def _place(swept: Any) -> tuple[bool, float]:
    """Numbers in order, then what is no number ("unknown") as it came."""
    known = isinstance(swept, (int, float)) and not isinstance(swept, bool)
    return not known, float(swept) if known else 0.0


def _facts(records: Sequence[RunRecord]) -> dict[str, Any]:
    runs = [record.facts.get("run", {}) for record in records]
    dates = sorted(str(run["date"]) for run in runs if run.get("date"))
    simulated = sum(record.simulated for record in records)
    return {
        "version": cvloc_ros.__version__,
        "simulated": "" if not simulated else "all" if simulated == len(records) else "some",
        "date": [dates[0], dates[-1]] if dates else None,
        "hardware": sorted({str(run["hardware"]) for run in runs if run.get("hardware")}),
        "runs": len(records),
        "drives": len({record.name.drive for record in records}),
        "driven_s": rounded(sum(float(run.get("driven_s") or 0.0) for run in runs)),
        "attribution": sorted({record.facts.get("conditions", {}).get("attribution", "") for record in records} - {""}),
        "notes": sorted({str(note) for record in records for note in record.facts.get("notes", ())}),
    }


def _key(name: RunName) -> tuple[str, str, str]:
    return name.matcher, name.condition, name.drive


def _by_name(item: tuple[RunName, str]) -> tuple[str, str, str]:
    return _key(item[0])


def _named(name: RunName) -> dict[str, str]:
    return {"drive": name.drive, "condition": name.condition, "matcher": name.matcher}
