# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded motion gives the speeds along the route."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvloc_ros.errors import ConfigError
from cvloc_ros.simulation.drive import make_trajectory
from cvloc_ros.simulation.scene import Scene
from cvloc_ros.simulation.town import make_layout

SCENE = Scene(seed=7, duration_s=20.0, resolution_m=0.2)


def test_the_recorded_speeds_are_driven(tmp_path: Path) -> None:
    time_s = np.arange(0.0, 20.0, 0.1) + 5.0
    x = 3.0 * (time_s - 5.0) + np.sin(time_s)
    np.savez(tmp_path / "m.npz", pose_t=time_s, pose_enu=np.stack([x, 0 * x, 0 * x], axis=-1))
    trajectory = make_trajectory(replace(SCENE, motion=str(tmp_path / "m.npz")), make_layout(SCENE))
    assert np.allclose(trajectory.travelled(time_s - 5.0), x - x[0], atol=1e-6)


@pytest.mark.parametrize("fault", ["gone", "text", "keys", "length"])
def test_other_files_are_refused_by_name(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    if fault == "text":
        path.write_text("no archive")
    elif fault == "keys":
        np.savez(path, pose_t=np.arange(3.0))
    elif fault == "length":
        np.savez(path, pose_t=np.arange(3.0), pose_enu=np.zeros((2, 3)))
    with pytest.raises(ConfigError, match=r"m\.npz"):
        make_trajectory(replace(SCENE, motion=str(path)), make_layout(SCENE))
