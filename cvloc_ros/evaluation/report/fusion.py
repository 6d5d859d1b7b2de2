# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of the report that shows what a filter makes of the poses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_COLUMNS = ("median", "p95", "max", "final")


def table(fusion: Mapping[str, Any]) -> str:
    """Return the rows: one for each track, through the whole drive and through every outage."""
    return "".join(_rows(fusion))


def _rows(fusion: Mapping[str, Any]) -> Iterator[str]:
    for case in fusion.get("scenarios", ()):
        if not case["outages_s"]:
            yield _group("Whole drive, GNSS as recorded")
            yield from (_row(name, track["whole"], track) for name, track in case["tracks"].items())
        for index, (start, length) in enumerate(case["outages_s"]):
            yield _group(f"{length:g} s without GNSS, from {start:.1f} s to {start + length:.1f} s")
            yield from (_row(name, track["during"][index], track) for name, track in case["tracks"].items())


def _group(title: str) -> str:
    return f'<tr class="group"><th scope="rowgroup" colspan="9">{escape(title)}</th></tr>'


def _row(name: str, values: Mapping[str, Any], track: Mapping[str, Any]) -> str:
    cells = [_number(values[key], " m") for key in _COLUMNS] + [_number(values["nees_mean"], "")]
    cells += [f"{sum(track[what].values())}" for what in ("fused", "rejected", "too_late")]
    inside = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{escape(name)}</th>{inside}</tr>'


def remarks(fusion: Mapping[str, Any]) -> str:
    """Return what the reader has to know, and what was left out and why."""
    if not fusion.get("scenarios"):
        return "".join(f"<p>{escape(reason)}</p>" for reason in fusion.get("left_out", ()))
    text = (
        f"{fusion['note']} In the outages GNSS is missing for the {fusion['gnss_missing_for']}. All tracks begin with "
        f"the {fusion['start']}. Gate {fusion['gate_sigma']:g} sigma, history {fusion['history_s']:g} s."
    )
    reasons = "".join(f"<br>Left out: {escape(reason)}." for reason in fusion["left_out"])
    return f'<p class="lead">{escape(text)}{reasons}</p>'


def _number(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.2f}{unit}"
