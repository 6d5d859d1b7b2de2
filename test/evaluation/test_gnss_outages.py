# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated drive whose GNSS jumps by 25 m now and then, replayed with the real matcher, and with GNSS withheld."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cvloc_ros import config
from cvloc_ros.evaluation.run import Options, Replayed, replay_bag
from cvloc_ros.session import Session
from cvloc_ros.simulation.scene import FRONT, REAR, Scene
from cvloc_ros.simulation.writer import write_drive
from cvloc_ros.types import Status

BASE = Scene(seed=3)
SCENE = replace(
    BASE,
    duration_s=80.0,
    size_m=(260.0, 200.0),
    resolution_m=0.1,
    image_rate_hz=0.34,
    cameras=tuple(replace(spec, width=320, height=200, focal_px=200.0) for spec in (FRONT, REAR)),
    gnss=replace(BASE.gnss, jump_m=25.0, jump_every_s=25.0),
    imu=replace(BASE.imu, rate_hz=0.0),
)


@contextmanager
def silent(total: int, title: str) -> Iterator[Any]:
    class Bar:
        def update(self, steps: int) -> None: ...

    yield Bar()


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("jumps")
    write_drive(SCENE, out, silent)
    return out


def replayed(drive: Path, *outages: tuple[float, float]) -> Replayed:
    settings = config.merge(
        config.load(drive / "cvloc.yaml"),
        {"tiles": {"source": str(drive / "map.mbtiles")}, "matcher": {"device": "cpu", "keyframes_min": 2},
         "estimation": {"agreement": 2}},
    )  # fmt: skip
    return replay_bag(settings, Options(drive / "bag", Path(), report=False, gnss_outages=outages), Session.open)


def reasons(found: Replayed) -> str:
    return " ".join(reason for judged in found.judged for reason in judged.attempt.reasons)


@pytest.mark.parametrize(
    ("outages", "told"), [(((10.0, 10.0), (35.0, 30.0)), True), (((15.0, 60.0),), False)], ids=["10+30", "60"]
)
def test_jumps_and_outages_of_gnss_move_no_pose_and_cost_none(
    drive: Path, outages: tuple[tuple[float, float], ...], told: bool
) -> None:
    found = replayed(drive, *outages)
    assert found.metrics["position_error_m"]["max"] < 1.0
    first = next(index for index, judged in enumerate(found.judged) if judged.attempt.status is Status.OK)
    assert {judged.attempt.status for judged in found.judged[first:]} <= {Status.OK, Status.STANDSTILL}
    assert found.metrics["published"] >= 20
    assert (found.metrics["gnss_position_error_m"]["max"] > 20.0) == told
    assert ("gnss disagrees" in reasons(found)) == told
