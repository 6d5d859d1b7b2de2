# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Puts report.html together: text, tables, pictures, data and scripts in one file without any outside address."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from cvloc_ros.config import Camera, Config
from cvloc_ros.errors import ConfigError
from cvloc_ros.evaluation.outputs import writing
from cvloc_ros.evaluation.replayed import Replayed
from cvloc_ros.evaluation.report import fusion
from cvloc_ros.evaluation.report.frame import template
from cvloc_ros.evaluation.report.series import collect
from cvloc_ros.status_fields import without_secrets

SHOWN_FIRST = ("simulated", "map description", "attribution", "note")


def write_report(path: Path, replayed: Replayed) -> None:
    """Write the page.

    Raises:
        ConfigError: plotly, which draws the charts, is not installed.
        CvlocError: the file cannot be written.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as err:
        msg = "the report needs plotly: pip install cvloc_ros[viz], or use --no-report"
        raise ConfigError(msg) from err
    folder = files("cvloc_ros.evaluation.report")
    conditions = replayed.conditions
    page = template("cvloc_ros.evaluation.report").substitute(
        title=escape(f"{conditions['bag']} · cross-view localization"),
        heading=escape(conditions["bag"]),
        verdict=escape(verdict(replayed.metrics)),
        subtitle=escape(_subtitle(conditions)),
        notices=_notices(conditions, replayed.metrics.get("notes", ())),
        tiles="".join(_tile(*tile) for tile in tiles(replayed.metrics)),
        gallery=_gallery(replayed),
        conditions=_rows(_conditions(conditions, replayed.metrics)),
        changed=_rows(_changed(replayed.config)),
        settings=escape(without_secrets(yaml.safe_dump(replayed.config.model_dump(), sort_keys=False))),
        accuracy=_accuracy(replayed.metrics),
        fusion_remarks=fusion.remarks(replayed.fusion),
        fusion_table=fusion.table(replayed.fusion),
        definitions=_rows(replayed.metrics["definitions"].items()),
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script="".join((folder / name).read_text(encoding="utf-8") for name in ("chart.js", "page.js")),
        plotly=get_plotlyjs(),
        data=json.dumps(collect(replayed), allow_nan=False, separators=(",", ":")).replace("</", "<\\/"),
    )
    with writing(path):
        path.write_text(page, encoding="utf-8")


def verdict(metrics: Mapping[str, Any]) -> str:
    """Return the result in two sentences."""
    inside, availability = metrics["attempts_inside"], metrics["availability"]
    if not inside:
        return "No attempt was made inside the map: nothing can be said about the method."
    text = f"Inside the map {round(availability * inside)} of {inside} attempts gave a pose."
    ours, gnss = metrics["position_error_m"], metrics["gnss_position_error_m"]
    if ours["n"]:
        text += f" Half of all published poses are within {ours['median']:.2f} m of the truth,"
        text += f" the worst is {ours['max']:.2f} m off"
        text += f"; GNSS alone: {gnss['median']:.2f} m and {gnss['max']:.2f} m." if gnss["n"] else "."
    elif not metrics["attempts_inside_with_truth"]:
        text += " There is no truth to compare with."
    return text


def tiles(metrics: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return (label, value, remark, tone) of the numbers on top."""
    ours, gnss, latency = metrics["position_error_m"], metrics["gnss_position_error_m"], metrics["latency_ms"]
    yaw, wrong, nees = metrics["yaw_error_deg"], metrics["false_accepts_3m_count"], metrics["nees_mean"]
    level = metrics["integrity"]["protection_level_m"]
    known, inside = metrics["attempts_inside_with_truth"], metrics["attempts_inside"]
    published = f"of {metrics['attempts']} attempts, {metrics['image_sets']} image sets"
    within = f"of {known} inside with truth; 1 m alone {_percent(metrics['within_1m'])}"
    found = [
        ("Published", f"{metrics['published']}", published, ""),
        ("Availability", _percent(metrics["availability"]), f"of {inside} attempts inside the map", ""),
        ("Within 1 m and 3°", _percent(metrics["within_1m_3deg"]), within, ""),
        ("Position error", _value(ours["median"], "m"), _spread(ours, "m"), "ours"),
        ("GNSS alone", _value(gnss["median"], "m"), _spread(gnss, "m"), "gnss"),
        ("Yaw error", _value(yaw["median"], "°"), _spread(yaw, "°"), "ours"),
        ("More than 3 m off", f"{wrong}" if ours["n"] else "–", "published poses, anywhere", "bad" if wrong else ""),
        (
            "NEES",
            _value(nees, ""),
            f"mean; 3 is ideal{_caution(nees)}; n = {metrics['nees_n']}",
            "bad" if (nees or 0) > 10 else "",
        ),
        ("Protection level", _value(level["median"], "m"), _kept(metrics["integrity"]),
         "bad" if metrics["integrity"]["failures"] else ""),
        ("Latency", _value(latency["p50"], "ms", 0), f"median; p95 {_value(latency['p95'], 'ms', 0)}", ""),
    ]
    return [tile for tile in found if tile[1] != "–"]


def _kept(integrity: Mapping[str, Any]) -> str:
    exceeded = f"exceeded by {integrity['failures']} of {integrity['n']}" if integrity["n"] else "no truth"
    return f"median; at a risk of {integrity['risk']:g}; {exceeded}"


def _spread(values: Mapping[str, Any], unit: str) -> str:
    return f"median; p95 {_value(values['p95'], unit)}, n = {values['n']}"


def _tile(label: str, value: str, remark: str, tone: str) -> str:
    return (
        f'<div class="tile {tone}"><span class="label">{escape(label)}</span>'
        f'<span class="value">{escape(value)}</span><span class="remark">{escape(remark)}</span></div>'
    )


def _subtitle(conditions: Mapping[str, str]) -> str:
    return " · ".join([
        f"recorded {conditions['recorded']}", f"map {conditions.get('map', 'unknown')}", conditions["matcher"],
        f"{conditions['cameras'].count(',') + 1} cameras", f"cvloc_ros {conditions['version']}",
    ])


def _caution(nees: float | None) -> str:
    """Say which way a covariance is off."""
    if nees is None or 1.5 <= nees <= 6.0:
        return ""
    return ", less: sigma is too large here" if nees < 1.5 else ", more: sigma is too small"


def _notices(conditions: Mapping[str, str], notes: Iterable[str]) -> str:
    titles = {"simulated": "Simulated", "map description": "About this map", "attribution": "Imagery", "note": "Note"}
    parts = [(titles[key], conditions[key], key) for key in SHOWN_FIRST if conditions.get(key)]
    parts += [("Bag", note, "note") for note in notes]
    return "".join(
        f'<p class="notice {kind.split()[0]}"><b>{escape(title)}</b> {escape(text)}</p>' for title, text, kind in parts
    )


def _conditions(conditions: Mapping[str, str], metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    run = metrics["run"]
    rows = [(key, value) for key, value in conditions.items() if key not in SHOWN_FIRST]
    speed = f" ({run['times_real_time']:g} times real time)" if run["times_real_time"] else ""
    rows += [("replayed", run["date"]), ("hardware", run["hardware"]),
             ("duration", f"{run['driven_s']:g} s driven, replayed in {run['replay_s']:g} s{speed}")]
    refused = metrics.get("inputs_refused", {})
    return rows + [("refused inputs", f"{what}: {count}") for what, count in refused.items()]


def _changed(config: Config) -> list[tuple[str, str]]:
    usual = {name: Camera().model_dump() for name in config.camera_names}
    now, plain = _flat(config.model_dump()), _flat({**Config().model_dump(), "cameras": usual})
    return [(key, without_secrets(str(value))) for key, value in now.items() if key not in plain or plain[key] != value]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def _accuracy(metrics: Mapping[str, Any]) -> str:
    names = {
        "position_error_m": ("Position", "m"), "lateral_error_m": ("lateral", "m"),
        "longitudinal_error_m": ("longitudinal", "m"), "yaw_error_deg": ("Yaw", "°"),
        "gnss_position_error_m": ("GNSS alone", "m"),
    }
    rows = ""
    for key, (name, unit) in names.items():
        values = metrics[key]
        cells = "".join(f"<td>{_value(values[column], unit)}</td>" for column in ("mean", "median", "p95", "max"))
        rows += f'<tr><th scope="row">{name}</th>{cells}<td>{values["n"]}</td></tr>'
    return rows


def _rows(pairs: Iterable[tuple[str, Any]]) -> str:
    return "".join(f'<tr><th scope="row">{escape(str(k))}</th><td>{escape(str(v))}</td></tr>' for k, v in pairs)


def _gallery(replayed: Replayed) -> str:
    cards = ""
    for title, exhibit in replayed.gallery.choose():
        off = "" if exhibit.error_m is None else f", {exhibit.error_m:.2f} m from the truth"
        text = escape(f"#{exhibit.number} {title}{off}; score {exhibit.score:.3f}")
        uri = base64.b64encode(exhibit.jpeg).decode()
        image = f'<img loading="lazy" alt="{text}" src="data:image/jpeg;base64,{uri}">'
        cards += f"<figure>{image}<figcaption>{text}</figcaption></figure>"
    return cards or "<p>No attempt came far enough to be drawn.</p>"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{math.floor(share * 1000) / 10:g} %"


def _value(value: float | None, unit: str, digits: int = 2) -> str:
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + ("" if not unit else unit if unit == "°" else f" {unit}")
