# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""report.html of a suite: one page that opens offline."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.report.frame import template
from cvloc_ros.evaluation.suite import tables
from cvloc_ros.evaluation.suite.tables import Table, Tree, counted, decimal, plural, share, value

COLOURS = 6
WRONG_NEES = 10.0
NOT_DRAWN = {"definitions", "failed_runs", "skipped", "notes"}


def page(summary: Mapping[str, Any]) -> str:
    """Return the page.

    Raises:
        ConfigError: plotly, which draws the charts, is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as err:
        msg = "report.html needs plotly: pip install cvloc_ros[viz]"
        raise ConfigError(msg) from err
    own, shared = files("cvloc_ros.evaluation.suite"), files("cvloc_ros.evaluation.report")
    names = list(dict.fromkeys(group["condition"] for group in summary["groups"]))
    heading = summary["suite"] or "Evaluation"
    return template("cvloc_ros.evaluation.suite").substitute(
        title=escape(f"{heading} · cross-view localization"),
        heading=escape(heading),
        subtitle=escape(tables.conditions(summary)),
        verdict="<br>".join(map(escape, tables.headline(summary))),
        notices=_notices(summary),
        options="".join(f"<option>{escape(name)}</option>" for name in names),
        cards=_cards(summary),
        results=html(tables.results(summary), "sortable"),
        intervals=escape(tables.INTERVALS.format(**summary["intervals"])),
        nees=html(tables.nees(summary), "sortable"),
        sweeps="".join(_sweep(summary, axis, number) for number, axis in enumerate(summary["sweeps"])),
        more=_more(summary),
        definitions="".join(_row(key, text) for key, text in summary["definitions"].items()),
        style="".join((folder / "page.css").read_text(encoding="utf-8") for folder in (shared, own)),
        script="".join(file.read_text(encoding="utf-8") for file in (shared / "chart.js", own / "page.js")),
        plotly=get_plotlyjs(),
        data=json.dumps(_drawn(summary), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    )


def html(table: Table, kind: str = "") -> str:
    """Return a table as HTML; intervals are set small."""
    head = "".join(
        f'<th scope="col"{" class=name" if index < table.names else ""}>{escape(cell)}</th>'
        for index, cell in enumerate(table.head)
    )
    rows = ""
    for row in table.rows:
        cells = "".join(f'<th scope="row" class="name">{escape(cell)}</th>' for cell in row[: table.names])
        cells += "".join(f"<td>{_small(escape(cell))}</td>" for cell in row[table.names :])
        rows += f'<tr{" class=gnss" if row[0].startswith("GNSS alone") else ""}>{cells}</tr>'
    return f'<table class="numbers grid {kind}"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _small(text: str) -> str:
    return re.sub(r"(\[[^\]]*\])", r"<small>\1</small>", text)


def _notices(summary: Tree) -> str:
    found = [(title, text, title.lower()) for title, text in tables.notices(summary)]
    found += [("About", summary["about"], "note")] if summary.get("about") else []
    found += [("Imagery", text, "attribution") for text in summary["attribution"]]
    found += [("Note", text, "note") for text in summary["notes"]]
    return "".join(
        f'<p class="notice {escape(kind.split()[0])}"><b>{escape(title)}</b> {escape(text)}</p>'
        for title, text, kind in found
    )


def _cards(summary: Tree) -> str:
    """Return the cards of all conditions; the script shows those of one."""
    matchers = _matchers(summary)
    found = ""
    for condition in dict.fromkeys(group["condition"] for group in summary["groups"]):
        cards = "".join(
            _card(group, matchers.index(group["matcher"]) % COLOURS)
            for group in summary["groups"] if group["condition"] == condition
        )  # fmt: skip
        found += f'<section class="cards wide" data-condition="{escape(condition)}">{cards}</section>'
    return found


def _card(group: Tree, colour: int) -> str:
    of, latency = group["measures"], group["latency_ms"]
    gnss, memory = of["gnss_error_median_m"]["value"], group["memory_peak_mb"]
    failed = f", {group['failed_runs']} failed" if group["failed_runs"] else ""
    rows = [
        ("published", share(of["availability"]), ""),
        ("within 1 m", share(of["recall_position_1m"]), ""),
        ("within 3 m", share(of["recall_position_3m"]), ""),
        ("false accepts", counted(of["false_accepts_of_published"], group["false_accepts_3m_count"]),
         "bad" if group["false_accepts_3m_count"] else ""),
        ("yaw, median", value(of["yaw_error_median_deg"]) + " °", ""),
        ("NEES (3)", value(of["nees_mean"]), "bad" if (of["nees_mean"]["value"] or 0.0) > WRONG_NEES else ""),
        ("integrity failures", share(of["integrity_failures"]), ""),
        ("p50, p95", f"{decimal(latency['p50'], 0)}, {decimal(latency['p95'], 0)} ms", ""),
        ("memory", tables.NONE if memory is None else f"{memory:.0f} MB", ""),
    ]  # fmt: skip
    lines = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="{tone}">{_small(escape(text))}</td></tr>'
        for name, text, tone in rows if not text.startswith(tables.NONE)
    )  # fmt: skip
    median = of["position_error_median_m"]
    big = "no pose" if median["value"] is None else f"{decimal(median['value'])} m"
    limits = "" if median["low"] is None else f"[{decimal(median['low'])}, {decimal(median['high'])}]"
    beside = "" if gnss is None else f'<p class="beside">GNSS alone <b>{decimal(gnss)} m</b></p>'
    drives, attempts = plural(group["drives"], "drive"), plural(group["attempts_inside"], "attempt")
    return (
        f'<article class="card" style="--mark:var(--m{colour})"><h2>{escape(group["matcher"])}</h2>'
        f'<div class="of">{escape(group["condition"])} · {drives}{failed} · {attempts}</div>'
        f'<div class="big">{big} <small>{"median error" if median["n"] else ""} {limits}</small></div>{beside}'
        f"<table><tbody>{lines}</tbody></table></article>"
    )


def _sweep(summary: Tree, axis: str, number: int) -> str:
    charts = (("median error, m", "error"), ("published, %", "share"), ("of these more than 3 m off, %", "false"))
    places = "".join(
        f'<div><h3>{title}</h3><div id="sweep-{number}-{name}" class="chart"></div></div>' for title, name in charts
    )
    table, name = html(tables.sweep(summary, axis)), escape(tables.readable(summary, axis))
    return (
        f'<section class="card wide"><h2>Over {name}</h2><div class="three">{places}</div>'
        f'<details><summary>Numbers</summary><div class="scroll">{table}</div></details></section>'
    )


def _more(summary: Tree) -> str:
    """Return the sections that are tables alone, those that have rows."""
    better = (
        "First minus second on the drives of both; the better one is named where the 95 % interval excludes zero. "
        "Where nothing differs, one comparison in twenty names one by chance."
    )
    found = [
        ("Which matcher is better", better, tables.differences(summary), True),
        ("Preview of a filter", tables.PREVIEW, tables.fusion(summary), True),
        ("Drive by drive", "", tables.per_drive(summary), False),
        ("Failed runs", "", tables.failed(summary), True),
        ("Left out", "What the suite asks for and these drives cannot give.", tables.left_out(summary), False),
    ]
    return "".join(_section(*part) for part in found if part[2].rows)


def _section(title: str, lead: str, table: Table, shown: bool) -> str:  # noqa: FBT001
    body = f'<p class="lead">{escape(lead)}</p><div class="scroll">{html(table, "sortable")}</div>'
    if not shown:
        return f'<section class="card wide"><details><summary>{escape(title)}</summary>{body}</details></section>'
    return f'<section class="card wide"><h2>{escape(title)}</h2>{body}</section>'


def _drawn(summary: Tree) -> dict[str, Any]:
    """Return what the charts need."""
    kept = {key: part for key, part in summary.items() if key not in NOT_DRAWN}
    groups = [{key: group[key] for key in group if key not in ("per_drive", "fusion")} for group in summary["groups"]]
    return {**kept, "groups": groups, "matchers": _matchers(summary)}


def _matchers(summary: Tree) -> list[str]:
    swept: Iterable[str] = (name for axis in summary["sweeps"].values() for name in axis["curves"])
    return list(dict.fromkeys([*(group["matcher"] for group in summary["groups"]), *swept]))


def _row(key: str, text: str) -> str:
    return f'<tr><th scope="row">{escape(key)}</th><td>{escape(text)}</td></tr>'
