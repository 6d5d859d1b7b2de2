# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc simulate`: write a simulated drive."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal


def simulate(
    out: Path,
    seed: int = 7,
    minutes: float = 1.0,
    storage: Literal["mcap", "sqlite3"] = "mcap",
    distro: Literal["jazzy", "humble"] = "jazzy",
    scene: Path | None = None,
) -> int:
    """Write a simulated drive: ROS 2 bag, MBTiles map, truth and scene file. The same seed gives the same bytes.

    Args:
        out: Folder for bag/, map.mbtiles, truth.tum, scene.yaml and cvloc.yaml (parameters of the node).
        seed: Chooses the town, the route and all errors.
        minutes: Length of the drive.
        storage: Storage of the bag.
        distro: ROS 2 distribution that shall read the bag; humble writes the older metadata.
        scene: Scene file of an earlier drive; it is made again, and the options above but --out are not used.
    """
    from cvloc_ros.simulation.scene import Scene
    from cvloc_ros.simulation.writer import write_drive

    if scene is not None:
        chosen = Scene.load(scene)
    else:
        version: Literal[8, 9] = 8 if distro == "humble" else 9
        chosen = Scene(seed=seed, duration_s=60.0 * minutes, storage=storage, bag_version=version)
    write_drive(chosen, out, progress_bar)
    return 0


def progress_bar(total: int, title: str) -> AbstractContextManager[Any]:
    """Return a tqdm bar; in a log file it writes a line now and then only."""
    from tqdm import tqdm

    return tqdm(total=total, desc=title, unit="", mininterval=0.2 if sys.stderr.isatty() else 10.0)
