# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cvloc_ros.cli.main import main
from cvloc_ros.config import Config
from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.own_vehicle import as_image, find_masks


def test_masks_of_a_real_drive_agree_with_those_drawn_by_hand(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("paris_drive")
    found = dict(find_masks(folder / "bag", Config()))
    for camera in ("front", "rear"):
        mask = found[camera]
        assert mask is not None
        vehicle, drawn = as_image(mask) > 0, cv2.imread(str(folder / f"vehicle_mask_{camera}.png"), 0) > 0
        assert (vehicle & drawn).sum() / (vehicle | drawn).sum() > 0.8
    for camera in ("left", "right"):
        assert found[camera] is not None
        assert np.mean(found[camera]) > 0.98


def test_a_short_drive_gives_no_mask_and_says_so(make_bag: Callable[..., Path], tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert main(["mask", str(make_bag()), "--out", str(tmp_path / "masks")]) == 1
    assert "too few pictures of new places" in capsys.readouterr().out
    assert not list((tmp_path / "masks").iterdir())


def test_a_drive_without_odometry_is_refused(make_bag: Callable[..., Path], rows: list) -> None:
    path = make_bag(rows=[row for row in rows if row[0] != "/odom"])
    with pytest.raises(BagError, match="no odometry"):
        list(find_masks(path, Config()))
