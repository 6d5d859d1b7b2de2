# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cvloc_ros.config import parse
from cvloc_ros.errors import ConfigError, ModelError, TileSourceError
from cvloc_ros.session import Session
from cvloc_ros.types import Pose2, Status


def test_past_the_edge_of_the_map_it_falls_silent(rig, silent) -> None:
    vehicle = rig()
    vehicle.truth = lambda t: Pose2(60.0 + 8.0 * t, 0.0, 0.0)
    vehicle.bias = np.array([1.0, 1.0])
    vehicle.know_heading()
    results = vehicle.run(*range(1, 10))
    assert vehicle.error(results[1], 2.0)[0] < 0.3  # 14 m before the edge
    for result in results[4:]:
        assert result.status in (Status.LOW_COVERAGE, Status.NO_TILES), result.reasons
    assert all(result.estimate is None or vehicle.error(result, t)[0] < 0.3 for t, result in enumerate(results, 1))


def test_set_up_without_a_map_or_with_a_wrong_one(map_file: Path, tmp_path: Path) -> None:
    geo = {"datum": [47.0, 8.0, 0.0]}
    with pytest.raises(ConfigError, match=r"tiles\.source is empty"):
        Session.open(parse({"geo": geo}))
    with pytest.raises(TileSourceError, match="no such file"):
        Session.open(parse({"geo": geo, "tiles": {"source": str(tmp_path / "missing.mbtiles")}}))
    with pytest.raises(ConfigError, match=r"geo\.datum is empty"):
        Session.open(parse({"tiles": {"source": str(map_file)}}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_and_not_there_stops_set_up(map_file: Path) -> None:
    tree = {"geo": {"datum": [47.0, 8.0, 0.0]}, "tiles": {"source": str(map_file)}, "matcher": {"device": "cuda"}}
    with pytest.raises(ModelError, match=r"set matcher\.device to auto or cpu"):
        Session.open(parse(tree))
