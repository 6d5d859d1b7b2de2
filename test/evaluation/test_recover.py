# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A recovered bag is sound and holds all that could be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cvloc_ros.errors import BagError
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.recover import rewrite


@pytest.mark.parametrize(("storage", "suffix"), [("mcap", ".mcap"), ("sqlite3", ".db3")])
def test_cut_off_bag_becomes_sound(make_bag: Callable[..., Path], tmp_path: Path, storage: str, suffix: str) -> None:
    path = make_bag(storage, steps=2000, cameras=("front",))
    file = next(path.glob(f"*{suffix}"))
    os.truncate(file, file.stat().st_size * 7 // 10)
    count, notes = rewrite(path, tmp_path / "sound")
    assert count > 1000 and "cut off" in " ".join(notes)
    with Bag.open(tmp_path / "sound") as bag:
        assert bag.notes == []
        assert bag.topics["/tf_static"].latched
        assert sum(1 for _ in bag.messages()) == count


def test_existing_target_and_ros1_are_refused(make_bag: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BagError, match="exists"):
        rewrite(make_bag(), tmp_path)
    with pytest.raises(BagError, match="rosbag reindex"):
        rewrite(make_bag("ros1"), tmp_path / "new")
