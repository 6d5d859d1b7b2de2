# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every key of /diagnostics: what it means, when its group warns or fails, and what becomes of ~/pose then.

The node sends these keys and docs/diagnostics.md is made of this table; tests keep all three in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One key; `<...>` in it stands for a name. `output` tells what happens to ~/pose; empty: nothing."""

    key: str
    meaning: str
    warn: str = ""
    error: str = ""
    output: str = ""


TABLE: Mapping[str, tuple[Row, ...]] = {
    "localization": (
        Row("state", "lifecycle state", error="configuration failed", output="stops unless `active`"),
        Row(
            "enabled", "false after `~/enable` with false; the message is then `disabled` and the level OK",
            output="stops while false",
        ),
        Row("device", "where the matcher runs"),
        Row("attempts", "attempts since the node started (images that were not tried by design are not counted)"),
        Row("published", "attempts that ended in a pose"),
        Row("acceptance_rate", "published over attempts, last 50"),
        Row(
            "consecutive_rejections", "poses found and refused since the last published one",
            "`diagnostics.rejections_warn` or more", "`diagnostics.rejections_error` or more",
        ),
        Row("last_status", "status of the latest image, `none` before the first", error="`error`"),
        Row("last_reason", "the same with its sentences"),
        Row("cameras", "cameras whose images the last attempt matched"),
        Row(
            "pose_age_s", "since the last published pose, `never` before it (the levels count from activation then)",
            "above `diagnostics.pose_age_warn_s`", "above `diagnostics.pose_age_error_s`",
        ),
        Row("latency_s", "image stamp to end of the last attempt, ROS clock"),
        Row("prior_source", "what bounded the last search, such as `odom+fix` ([prior.md](prior.md))"),
        Row("prior_sigma_m", "largest standard deviation of its position", output="refused above `prior.max_sigma_m`"),
        Row("window_radius_m", "half side of the square that was searched"),
        Row("innovation_m", "distance of the last candidate to the prior"),
        Row(
            "innovation_sigma", "the same with the yaw, in sigma of both",
            output="refused above `estimation.gate_sigma`",
        ),
        Row("score", "similarity of the last candidate", output="refused below `estimation.min_score`"),
        Row(
            "ambiguity", "likelihood of the best other place relative to it",
            output="refused above `estimation.max_ambiguity`",
        ),
        Row("sigma_m", "largest standard deviation of its position", output="refused above `estimation.max_sigma_m`"),
        Row("sigma_deg", "standard deviation of its yaw", output="refused above `estimation.max_sigma_deg`"),
        Row(
            "protection_level_m",
            "bound on its horizontal error at `estimation.integrity_risk` ([ros.md](ros.md#protection-level))",
        ),
        Row(
            "depth_scale",
            "factor on the depth of the images that was found with the pose (`loc2`); NaN where none is sought",
        ),
    ),
    "inputs": (
        Row(
            "image_age_s.<camera>", "since the last image arrived (wall time), `never` before the first",
            "above `output.image_timeout_s`", "the same of all cameras", "goes on with the other cameras",
        ),
        Row("images.<camera>", "images that arrived"),
        Row("image_reliability.<camera>", "reliability of the image reader; it follows what the publishers offer"),
        Row(
            "camera_info_age_s.<camera>", "since the last calibration arrived",
            output="goes on without this camera if it never came",
        ),
        Row(
            "mask_age_s.<camera>", "since the last mask of `mask_topic` arrived",
            output="goes on with the last one, or with `mask_file`",
        ),
        Row(
            "fix_age_s", "since the last GNSS fix arrived", "above `prior.fix_max_age_s`",
            output="goes on until the prior is stale or weak ([prior.md](prior.md))",
        ),
        Row(
            "odom_age_s", "since the last odometry arrived", "above `diagnostics.odom_age_warn_s`",
            output="goes on without keyframes and heading of the odometry",
        ),
        Row(
            "filter_age_s", "since the last pose of another filter arrived",
            output="goes on with fixes and odometry",
        ),
        Row("heading_age_s", "since the last absolute heading arrived"),
        Row("imu_age_s", "since the last attitude arrived"),
        Row("dropped_images", "image sets replaced by newer ones before they were looked at"),
        Row("incomplete_sets", "image sets without all cameras"),
        Row(
            "refused.<input>: <reason>",
            "inputs not used, by reason: `no_fix`, `not_finite`, `zero_stamp`, `old_stamp`, `no_transform`, ...",
        ),
        Row(
            "clock_jumps", "times that the clock or stamps went back; history is cleared each time",
            "within 10 s of one", output="starts anew",
        ),
        Row(
            "trouble.<what>",
            "standing faults with their remedy: a camera whose images cannot be used, incompatible QoS, wrong message "
            "type, useless calibration, unknown mounting, a second sender of our transform, frames with two parents, "
            "unknown antenna frame, no attitude, no depth, no calibration of the covariance or that of another solver, "
            "a navsat_transform with another datum, GNSS that disagrees ([prior.md](prior.md)), ...",
            "`camera`, `odom frame`, `filter frame`, `tf conflict`, `antenna`, `imu`, `calibration`, `depth`, `gnss`",
            "all others", "as its text says",
        ),
    ),
    "map": (
        Row("source", "`tiles.source`, keys and user names hidden"),
        Row("attribution", "to be shown wherever the imagery is shown"),
        Row(
            "coverage", "share of the last patch that has imagery", "status `no_tiles`",
            output="stops where there is none",
        ),
        Row("tiles", "tiles that the last patch needed; the next five add up to it"),
        Row("tiles_cached", "taken from memory or disk"),
        Row("tiles_fetched", "taken from the network"),
        Row("tiles_pending", "still under way"),
        Row("tiles_missing", "the source has none there"),
        Row("tiles_failed", "could not be had; tried again later", "above 0"),
        Row("tiles_stale", "served although past their expiry"),
        Row("tiles_message", "last fault of the source"),
        Row("prefetch", "state of the last `~/prefetch`"),
        Row(
            "datum_check",
            "whether `geo.navsat_node` lies in the same map ([robot-localization.md](robot-localization.md#one-datum));"
            " a fault is also in `inputs` as `trouble.datum`",
        ),
    ),
    "timing": (
        Row("stage_p50_ms.<stage>", "median time of a stage, last 50 attempts"),
        Row("stage_p95_ms.<stage>", "its 95 %"),
        Row("latency_p50_s", "median latency, last 50 attempts"),
        Row(
            "latency_p95_s", "95 % latency",
            "last one above `estimation.max_latency_s`, or stamps over 0.5 s ahead",
            "last one above 60 s: clocks differ", "stops (`too_late`)",
        ),
    ),
}  # fmt: skip


def render_markdown() -> str:
    """Return the part of docs/diagnostics.md that lists the keys."""
    lines = []
    for group, rows in TABLE.items():
        lines += [f"## {group}", "", "| key | meaning | WARN | ERROR | output |", "|---|---|---|---|---|"]
        for row in rows:
            cells = f"`{row.key}`", row.meaning, row.warn, row.error, row.output
            lines.append("|" + "".join(f" {cell} |" if cell else " |" for cell in cells))
        lines.append("")
    return "\n".join(lines)
