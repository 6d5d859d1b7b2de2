# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`LocalizationResult` as the package's own message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cvloc_ros.config import Config
from cvloc_ros.ros import convert
from cvloc_ros.ros.compat import LocalizationStatus
from cvloc_ros.status_fields import evidence, without_secrets
from cvloc_ros.types import LocalizationResult, Status, TileState


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a result does not know of itself. `latency_s` is image stamp to end of attempt on the ROS clock."""

    sequence: int
    latency_s: float
    dropped_images: int


def status_message(result: LocalizationResult, config: Config, around: Circumstances) -> Any:
    """Make the message; numbers that were not computed are NaN."""
    patch = result.patch
    return LocalizationStatus(
        header=convert.header(result.stamp_ns, config.frames.map),
        sequence=around.sequence,
        status=result.status.value,
        reasons=list(result.reasons),
        accepted=result.status is Status.OK,
        cameras=list(result.cameras),
        latency_s=float(around.latency_s),
        stages=list(result.timings_s),
        stage_s=[float(value) for value in result.timings_s.values()],
        dropped_images=around.dropped_images,
        matcher=config.matcher.name,
        map_source=without_secrets(config.tiles.source),
        attribution=patch.attribution if patch is not None else "",
        **evidence(
            result.estimate or result.candidate,
            result.prior,
            result.window,
            patch.tiles if patch is not None else TileState(),
            config.estimation.integrity_risk,
        ),
    )
