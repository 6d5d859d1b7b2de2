# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of a summary, as cells of text, for results.md and report.html."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Tree = Mapping[str, Any]
NONE = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first `names` columns are names, the others numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1

    def markdown(self) -> str:
        """Return it as a Markdown table."""
        line = ["---"] * self.names + ["--:"] * (len(self.head) - self.names)
        safe = ((cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in (self.head, line, *self.rows))
        return "\n".join(f"| {' | '.join(row)} |" for row in safe) + "\n"


def markdown(summary: Tree) -> str:
    """Return results.md."""
    parts = [
        f"# {summary['suite'] or 'Evaluation'}", summary.get("about", ""),
        *(f"**{title}.** {text}" for title, text in notices(summary)), " ".join(headline(summary)), conditions(summary),
        results(summary).markdown(), INTERVALS.format(**summary["intervals"]),
    ]  # fmt: skip
    titled = [
        ("Covariance", "", nees(summary)), ("Differences between matchers", "", differences(summary)),
        *((f"Over {readable(summary, axis)}", "", sweep(summary, axis)) for axis in summary["sweeps"]),
        ("Preview of a filter", f"{PREVIEW}\n\n", fusion(summary)), ("Failed runs", "", failed(summary)),
        ("Left out", "", left_out(summary)),
    ]  # fmt: skip
    parts += [f"## {title}\n\n{text}{table.markdown()}" for title, text, table in titled if table.rows]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


INTERVALS = (
    "In brackets: 95 % intervals of a bootstrap over drives ({resamples} resamples, seed {seed}); none is given with "
    "fewer than {least_drives} drives. A failure counts as a miss in recall. False accepts: published poses more than "
    "3 m off. NEES: mean, 3 is ideal. GNSS alone: at the same attempts; its availability is the share that has a "
    "position, its last share that of positions more than 3 m off. All definitions: results.json."
)

PREVIEW = (
    "A preview of what robot_localization makes of the poses, not a replacement. Outages of 10, 30 and 60 s are shown "
    "where a drive goes on for 10 s before and after; n is the number of such drives."
)


def notices(summary: Tree) -> list[tuple[str, str]]:
    """Return (title, text) of what has to be read first."""
    found = []
    if summary["simulated"]:
        what = "All drives are" if summary["simulated"] == "all" else "Some of these drives are"
        found.append(("Simulated", f"{what} simulated: no real camera and no real view of a place."))
    least = summary["intervals"]["least_drives"]
    few = [group for group in summary["groups"] if group["drives"] < least]
    if few:
        which = "All" if len(few) == len(summary["groups"]) else f"{len(few)} of {len(summary['groups'])}"
        text = f"{which} results rest on fewer than {least} drives: no interval is given, and other drives may differ."
        found.append(("Few drives", text))
    if summary["failed_runs"]:
        runs = plural(len(summary["failed_runs"]), "run")
        found.append(("Failed", f"{runs} ended with an error; nothing of them is in the other numbers."))
    return found


def conditions(summary: Tree) -> str:
    """Return data, date, hardware and sample size in a sentence."""
    attempts = sum(group["attempts"] for group in summary["groups"])
    days = " to ".join(dict.fromkeys(date[:10] for date in summary["date"] or ())) or "unknown date"
    kind = "simulated drive" if summary["simulated"] == "all" else "drive"
    return (
        f"{plural(summary['drives'], kind)}, {plural(summary['runs'], 'run')}, {plural(attempts, 'attempt')}, "
        f"{summary['driven_s'] / 60:.1f} min of driving in all runs; {days}; "
        f"{'; '.join(summary['hardware']) or 'unknown hardware'}; cvloc_ros {summary['version']}."
    )


def headline(summary: Tree) -> list[str]:
    """Return the result in one sentence per matcher, for the condition that comes first."""
    first: dict[str, Tree] = {}
    for group in summary["groups"]:
        first.setdefault(group["matcher"], group)
    return [_sentence(group) for group in first.values()]


def _sentence(group: Tree) -> str:
    of = group["measures"]
    where = f"{group['matcher']} ({group['condition']})"
    if not group["attempts_inside"]:
        return f"{where}: no attempt inside the map."
    text = f"{where}: a pose in {percent(of['availability']['value'])} of {group['attempts_inside']} attempts"
    if of["position_error_median_m"]["value"] is None:
        return text + "."
    text += f", half of the poses within {decimal(of['position_error_median_m']['value'])} m"
    gnss = of["gnss_error_median_m"]["value"]
    text += "" if gnss is None else f" (GNSS alone {decimal(gnss)} m)"
    return f"{text}; {percent(of['false_accepts_of_published']['value'])} of them are more than 3 m off."


RESULTS = ("matcher", "condition", "drives", "attempts", "availability", "median m", "95 % m", "median °", "within 1 m",
           "within 3 m", "false accepts", "NEES", "p50 ms")  # fmt: skip


def results(summary: Tree) -> Table:
    """Return the main table; GNSS alone follows the matchers of each condition."""
    rows, groups = [], list(summary["groups"])
    for index, group in enumerate(groups):
        rows.append(_row(group))
        last = index + 1 == len(groups) or groups[index + 1]["condition"] != group["condition"]
        if last:
            rows += _gnss_rows([each for each in groups if each["condition"] == group["condition"]])
    return Table(RESULTS, tuple(rows), names=2)


def _row(group: Tree) -> tuple[str, ...]:
    of = group["measures"]
    drives = str(group["drives"]) + (f" ({group['failed_runs']} failed)" if group["failed_runs"] else "")
    return (
        group["matcher"], group["condition"], drives, str(group["attempts_inside"]), share(of["availability"]),
        value(of["position_error_median_m"]), decimal(of["position_error_p95_m"]["value"]),
        value(of["yaw_error_median_deg"]), share(of["recall_position_1m"]), share(of["recall_position_3m"]),
        counted(of["false_accepts_of_published"], group["false_accepts_3m_count"]), value(of["nees_mean"]),
        decimal(group["latency_ms"]["p50"], 0),
    )  # fmt: skip


def _gnss_rows(groups: Sequence[Tree]) -> list[tuple[str, ...]]:
    """Return one row where GNSS was judged at the same attempts by all matchers, else one for each."""
    rows = {}
    for group in groups:
        of = group["measures"]
        if of["gnss_error_median_m"]["n"]:
            rows[group["matcher"]] = (
                group["condition"], str(group["drives"]), str(group["attempts_inside"]), share(of["gnss_availability"]),
                value(of["gnss_error_median_m"]), decimal(of["gnss_error_p95_m"]["value"]), NONE,
                share(of["gnss_recall_1m"]), share(of["gnss_recall_3m"]), share(of["gnss_false"]), NONE, NONE,
            )  # fmt: skip
    if len(set(rows.values())) == 1:
        return [("GNSS alone", *next(iter(rows.values())))]
    return [(f"GNSS alone, attempts of {matcher}", *row) for matcher, row in rows.items()]


def nees(summary: Tree) -> Table:
    """Return how honest the covariances are, per matcher and condition."""
    head = ("matcher", "condition", "n", "NEES (3)", "95 % if honest and independent", "95 % over drives",
            "median (2.4)", "x, y (2)", "yaw (1)", "in 1 σ (39%)", "in 2 σ (86%)", "in 3 σ (99%)", "protection level m",
            "errors above it")  # fmt: skip
    rows = []
    for group in summary["groups"]:
        pose, position, yaw = (group["nees"][part] for part in ("pose", "position", "yaw"))
        if pose["n"]:
            rows.append((
                group["matcher"], group["condition"], str(pose["n"]), decimal(pose["mean"]), _range(pose["chi2_95"]),
                _range(pose["drives_95"]), decimal(pose["median"]), decimal(position["mean"]), decimal(yaw["mean"]),
                *(percent(row["value"]) for row in group["coverage"]),
                decimal(group["measures"]["protection_level_median_m"]["value"]),
                percent(group["measures"]["integrity_failures"]["value"]),
            ))  # fmt: skip
    return Table(head, tuple(rows), names=2)


COMPARED = {
    "availability": ("availability, points", 100.0), "recall_position_1m": ("within 1 m, points", 100.0),
    "recall_position_3m": ("within 3 m, points", 100.0),
    "false_accepts_of_published": ("false accepts, points", 100.0),
    "position_error_median_m": ("median of published, m", 1.0),
    "all_attempts_position_median_m": ("median of all attempts, m", 1.0),
}  # fmt: skip


def differences(summary: Tree) -> Table:
    """Return by how much two matchers differ, and which one is better where that is certain."""
    head = ("condition", "first", "second", "drives", *(title for title, _ in COMPARED.values()))
    rows = [
        (each["condition"], each["first"], each["second"], str(each["drives"]),
         *(_difference(each["measures"][key], scale) for key, (_, scale) in COMPARED.items()))
        for each in summary["differences"]
    ]  # fmt: skip
    return Table(head, tuple(rows), names=3)


def _difference(found: Tree, scale: float) -> str:
    if found["value"] is None:
        return NONE
    digits = 2 if scale == 1.0 else 1
    text = f"{round(scale * found['value'], digits) + 0.0:+.{digits}f}"
    if found["low"] is not None:
        text += f" [{scale * found['low']:.{digits}f}, {scale * found['high']:.{digits}f}]"
    return text + (f" {found['better']}" if found["better"] else "")


def sweep(summary: Tree, axis: str) -> Table:
    """Return the curves of one axis as rows."""
    unit = summary["sweeps"][axis]["unit"]
    title = readable(summary, axis) + (f" ({unit})" if unit else "")
    head = (title, "matcher", "drives", "availability", "median m", "within 3 m", "false accepts", "GNSS alone m")
    rows = [
        (_text(point["value"]), matcher, str(point["drives"]), share(point["availability"]),
         value(point["position_error_median_m"]), share(point["recall_position_3m"]),
         share(point["false_accepts_of_published"]), decimal(point["gnss_error_median_m"]["value"]))
        for matcher, curve in summary["sweeps"][axis]["curves"].items() for point in curve
    ]  # fmt: skip
    return Table(head, tuple(rows), names=2)


def readable(summary: Tree, axis: str) -> str:
    """Return the name of an axis for people, without its unit."""
    return axis.removesuffix(f"_{summary['sweeps'][axis]['unit']}").replace("_", " ")


def fusion(summary: Tree) -> Table:
    """Return what a filter makes of the poses: a row per outage, a column per combination of sources."""
    tracks = list(dict.fromkeys(row["track"] for group in summary["groups"] for row in group["fusion"]))
    head = ("matcher", "condition", "GNSS", "n", *(f"{track}: median, 95 %, max m" for track in tracks))
    rows = []
    for group in summary["groups"]:
        for scenario in dict.fromkeys(row["scenario"] for row in group["fusion"]):
            found = {row["track"]: row for row in group["fusion"] if row["scenario"] == scenario}
            cells = (
                " / ".join(decimal(found[track][key]) for key in ("median", "p95", "max")) if track in found else NONE
                for track in tracks
            )
            n = str(max(row["n"] for row in found.values()))
            rows.append((group["matcher"], group["condition"], scenario, n, *cells))
    return Table(head, tuple(rows), names=3)


def per_drive(summary: Tree) -> Table:
    """Return the same numbers drive by drive."""
    head = ("drive", "matcher", "condition", "attempts", "availability", "median m", "95 % m", "median °", "within 3 m",
            "more than 3 m off", "NEES", "GNSS median m")  # fmt: skip
    rows = []
    for group in summary["groups"]:
        for drive in group["per_drive"]:
            of = drive["measures"]
            rows.append((
                drive["drive"], group["matcher"], group["condition"], str(drive["attempts_inside"]),
                percent(of["availability"]), decimal(of["position_error_median_m"]),
                decimal(of["position_error_p95_m"]), decimal(of["yaw_error_median_deg"]),
                percent(of["recall_position_3m"]), str(drive["false_accepts_3m_count"]), decimal(of["nees_mean"]),
                decimal(of["gnss_error_median_m"]),
            ))  # fmt: skip
    return Table(head, tuple(rows), names=3)


def failed(summary: Tree) -> Table:
    """Return the runs that ended with an error."""
    head = ("drive", "condition", "matcher", "error")
    return Table(head, tuple(tuple(run[key] for key in head) for run in summary["failed_runs"]), names=4)


def left_out(summary: Tree) -> Table:
    """Return what the suite asks for and a drive cannot give."""
    counts = Counter((skip["condition"], skip["reason"]) for skip in summary.get("skipped", ()))
    rows = tuple((condition, reason, str(count)) for (condition, reason), count in counts.items())
    return Table(("condition", "reason", "runs"), rows, names=2)


def value(measure: Tree, digits: int = 2) -> str:
    """Return a measure with its interval."""
    limits = _range([measure["low"], measure["high"]], digits=digits)
    return decimal(measure["value"], digits) + ("" if limits == NONE else f" [{limits}]")


def share(measure: Tree) -> str:
    """Return a share in percent with its interval."""
    if measure["low"] is None or measure["low"] == measure["high"]:
        return percent(measure["value"])
    return f"{percent(measure['value'])} [{100 * measure['low']:.0f}, {100 * measure['high']:.0f}]"


def counted(measure: Tree, count: int) -> str:
    """Return a share with its number behind it."""
    text, bracket, limits = share(measure).partition(" [")
    return NONE if measure["value"] is None else f"{text} ({count}){bracket}{limits}"


def percent(part: float | None) -> str:
    """Return a share in percent; only the whole is 100 %, only nothing is 0 %."""
    if part is None:
        return NONE
    text = f"{100 * part:.0f}" if 0.1 <= part <= 0.99 or part in (0.0, 1.0) else f"{100 * part:.1f}"
    return {"100.0": "> 99.9", "0.0": "< 0.1"}.get(text, text) + " %"


def plural(count: int, noun: str) -> str:
    """Return a number of things."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def decimal(number: float | None, digits: int = 2) -> str:
    """Return a number, with fewer decimals where it is large."""
    if number is None:
        return NONE
    return f"{number:.{max(0, digits - max(0, math.floor(math.log10(max(abs(number), 1.0)))))}f}"


def _range(limits: Iterable[float | None] | None, digits: int = 2) -> str:
    ends = list(limits or (None,))
    return NONE if None in ends else ", ".join(decimal(end, digits) for end in ends)


def _text(swept: Any) -> str:
    return f"{swept:g}" if isinstance(swept, (int, float)) and not isinstance(swept, bool) else str(swept)
