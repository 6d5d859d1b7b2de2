# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""/diagnostics from what `Health` recorded; `diagnostic_keys` tells what each key means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from cvloc_ros.config import Config
from cvloc_ros.estimation.gates import largest_sigma
from cvloc_ros.estimation.integrity import protection_level
from cvloc_ros.ros.health import Snapshot
from cvloc_ros.status_fields import without_secrets
from cvloc_ros.types import LocalizationResult, Status, TileState

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

JUMP_SHOWN_S = 10.0
FOREIGN_CLOCK_S = 60.0
AHEAD_S = 0.5
MILD = ("camera", "odom frame", "filter frame", "tf conflict", "antenna", "imu", "calibration", "depth", "gnss")
"""Standing faults that do not stop the output."""

QUALITY = ("score", "ambiguity", "sigma_m", "sigma_deg", "protection_level_m", "depth_scale")
"""Values that tell how good the last pose was."""

@dataclass(frozen=True, slots=True)
class Situation:
    """What the node knows beside `Health`. `image_topics` and `reliability` are by camera, for messages to people."""

    state: str
    enabled: bool
    device: str
    dropped_images: int = 0
    incomplete_sets: int = 0
    image_topics: Mapping[str, str] | None = None
    reliability: Mapping[str, str] | None = None
    prefetch: str = ""
    datum_check: str = ""
    failure: str = ""
    """Why configuration failed, if it did."""


def statuses(node: str, config: Config | None, seen: Snapshot, now: Situation) -> list[DiagnosticStatus]:
    """Make the four statuses: localization, inputs, map, timing. Before configuration there is only the first."""
    if config is None:
        level, message = (ERROR, now.failure) if now.failure else (OK, now.state)
        return [_status(node, "localization", [(level, message)], {"state": now.state})]
    return [
        _status(node, "localization", *_localization(config, seen, now)),
        _status(node, "inputs", *_inputs(config, seen, now)),
        _status(node, "map", *_map(config, seen, now)),
        _status(node, "timing", *_timing(config, seen)),
    ]


Findings = list[tuple[bytes, str]]


def _status(node: str, group: str, findings: Findings, values: Mapping[str, Any]) -> DiagnosticStatus:
    worst = max((level for level, _ in findings), default=OK)
    texts = [text for level, text in findings if level == worst and text]
    return DiagnosticStatus(
        level=worst,
        name=f"{node}: {group}",
        message="; ".join(texts) or "ok",
        hardware_id=node,
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _localization(config: Config, seen: Snapshot, now: Situation) -> tuple[Findings, dict[str, Any]]:
    last = seen.recent[-1] if seen.recent else None
    result = seen.idle or (last.result if last is not None else None)
    limits, reason = config.diagnostics, _reason(result)
    refused = f"{seen.rejected_in_a_row} poses refused in a row, last: {_reason(None if last is None else last.result)}"
    findings: Findings = [(OK, "disabled" if not now.enabled else now.state)]
    if seen.rejected_in_a_row >= limits.rejections_warn:
        level = ERROR if seen.rejected_in_a_row >= limits.rejections_error else WARN
        findings.append((level, refused))
    if now.enabled and seen.waiting_s is not None and seen.waiting_s > limits.pose_age_warn_s:
        level = ERROR if seen.waiting_s > limits.pose_age_error_s else WARN
        findings.append((level, f"no pose for {seen.waiting_s:.0f} s, last: {reason or 'no image was tried'}"))
    if result is not None and result.status is Status.ERROR:
        findings.append((ERROR, reason))
    accepted = [attempt.result.status is Status.OK for attempt in seen.recent]
    return findings, {
        "state": now.state,
        "enabled": now.enabled,
        "device": now.device,
        "attempts": seen.attempts,
        "published": seen.published,
        "acceptance_rate": float(np.mean(accepted)) if accepted else math.nan,
        "consecutive_rejections": seen.rejected_in_a_row,
        "last_status": "none" if result is None else result.status.value,
        "last_reason": reason,
        "cameras": " ".join(last.result.cameras) if last is not None else "",
        "pose_age_s": "never" if seen.pose_age_s is None else seen.pose_age_s,
        "latency_s": math.nan if last is None else last.latency_s,
        **_prior(None if last is None else last.result),
        "innovation_sigma": math.nan if last is None else last.innovation_sigma,
        **_quality(None if last is None else last.result, config.estimation.integrity_risk),
    }


def _prior(result: LocalizationResult | None) -> dict[str, Any]:
    prior = None if result is None else result.prior
    found = None if result is None else result.estimate or result.candidate
    window = None if result is None else result.window
    apart = math.nan if prior is None or found is None else float(np.linalg.norm(found.pose.xy - prior.pose.xy))
    return {
        "prior_source": "" if prior is None else prior.source,
        "prior_sigma_m": math.nan if prior is None else largest_sigma(prior.covariance)[0],
        "window_radius_m": math.nan if window is None else float(window.radius_m),
        "innovation_m": apart,
    }


def _quality(result: LocalizationResult | None, risk: float) -> dict[str, float]:
    estimate = None if result is None else result.estimate or result.candidate
    if result is None or estimate is None:
        return dict.fromkeys(QUALITY, math.nan)
    return {
        "score": float(estimate.score),
        "ambiguity": float(estimate.ambiguity),
        "sigma_m": largest_sigma(estimate.covariance)[0],
        "sigma_deg": math.degrees(math.sqrt(max(float(estimate.covariance[2, 2]), 0.0))),
        "protection_level_m": protection_level(estimate, result.window, risk),
        "depth_scale": math.nan if estimate.scale is None else estimate.scale,
    }


def _reason(result: LocalizationResult | None) -> str:
    return "" if result is None else f"{result.status.value}: {' '.join(result.reasons)}".removesuffix(": ")


def silent_cameras(config: Config, seen: Snapshot, now: Situation) -> list[str]:
    """Return a sentence, with the remedy, for each camera whose images stay out."""
    texts = []
    for name in config.camera_names:
        age = seen.ages_s.get(f"image {name}")
        if age is not None and age > config.output.image_timeout_s and now.state == "active":
            topic = (now.image_topics or {}).get(name, "")
            hint = f"check its publisher, remapping and cameras.{name}.transport"
            texts.append(f"no image on {topic} for {age:.1f} s: {hint}")
    return texts


def _inputs(config: Config, seen: Snapshot, now: Situation) -> tuple[Findings, dict[str, Any]]:
    findings: Findings = [(WARN if what in MILD else ERROR, text) for what, text in seen.troubles.items()]
    silent = silent_cameras(config, seen, now)
    findings += [(ERROR if len(silent) == len(config.camera_names) else WARN, text) for text in silent]
    values: dict[str, Any] = {}
    for name in config.camera_names:
        age = seen.ages_s.get(f"image {name}")
        values[f"image_age_s.{name}"] = "never" if age is None else age
        values[f"images.{name}"] = seen.received.get(f"image {name}", 0)
        values[f"image_reliability.{name}"] = (now.reliability or {}).get(name, "unknown")
        values[f"camera_info_age_s.{name}"] = seen.ages_s.get(f"camera_info {name}", "never")
        if config.cameras[name].mask_topic:
            values[f"mask_age_s.{name}"] = seen.ages_s.get(f"mask {name}", "never")
    for source, limit in (("fix", config.prior.fix_max_age_s), ("odom", config.diagnostics.odom_age_warn_s)):
        if (age := seen.ages_s.get(source)) is not None and age > limit:
            findings.append((WARN, f"no {source} for {age:.1f} s"))
    others = ("fix", "odom", "filter", "heading", "imu")
    values |= {f"{source}_age_s": seen.ages_s.get(source, "never") for source in others}
    values["dropped_images"] = now.dropped_images
    values["incomplete_sets"] = now.incomplete_sets
    values |= {f"refused.{what}": count for what, count in sorted(seen.refused.items())}
    values["clock_jumps"] = seen.clock_jumps
    if seen.clock_jump_age_s is not None and seen.clock_jump_age_s < JUMP_SHOWN_S:
        findings.append((WARN, f"clock went back, history was cleared: {seen.clock_jump}"))
    values |= {f"trouble.{what}": text for what, text in sorted(seen.troubles.items())}
    return findings, values


def _map(config: Config, seen: Snapshot, now: Situation) -> tuple[Findings, dict[str, Any]]:
    patches = [item.result.patch for item in seen.recent if item.result.patch is not None]
    tiles = patches[-1].tiles if patches else TileState()
    findings: Findings = []
    if tiles.failed:
        findings.append((WARN, f"{tiles.failed} of {tiles.tiles} tiles failed: {without_secrets(tiles.message)}"))
    if seen.recent and seen.recent[-1].result.status is Status.NO_TILES:
        findings.append((WARN, _reason(seen.recent[-1].result)))
    values: dict[str, Any] = {
        "source": without_secrets(config.tiles.source),
        "attribution": patches[-1].attribution if patches else "",
        "coverage": float(patches[-1].coverage) if patches else math.nan,
        "tiles": tiles.tiles,
    }
    values |= {
        f"tiles_{name}": getattr(tiles, name) for name in ("cached", "fetched", "pending", "missing", "failed", "stale")
    }
    values["tiles_message"] = without_secrets(tiles.message)
    return findings, values | {"prefetch": now.prefetch, "datum_check": now.datum_check}


def _timing(config: Config, seen: Snapshot) -> tuple[Findings, dict[str, Any]]:
    stages: dict[str, list[float]] = {}
    for attempt in seen.recent:
        for stage, seconds in attempt.result.timings_s.items():
            stages.setdefault(stage, []).append(seconds * 1e3)
    values: dict[str, Any] = {
        f"stage_p{share}_ms.{stage}": _percentile(ms, share) for share in (50, 95) for stage, ms in stages.items()
    }
    latencies = [attempt.latency_s for attempt in seen.recent]
    values["latency_p50_s"] = _percentile(latencies, 50)
    values["latency_p95_s"] = _percentile(latencies, 95)
    findings: Findings = []
    if latencies and latencies[-1] > FOREIGN_CLOCK_S:
        hint = "set use_sim_time with a bag (and play it with --clock), or synchronise the clocks"
        findings.append((ERROR, f"images are {latencies[-1]:.0f} s old: {hint}"))
    elif latencies and latencies[-1] < -AHEAD_S:
        findings.append((WARN, f"image stamps lie {-latencies[-1]:.2f} s in the future: synchronise the clocks"))
    elif latencies and latencies[-1] > config.estimation.max_latency_s:
        findings.append((WARN, f"latency {latencies[-1]:.2f} s exceeds estimation.max_latency_s"))
    return findings, values


def _percentile(values: Iterable[float], share: int) -> float:
    known = list(values)
    return float(np.percentile(known, share)) if known else math.nan
