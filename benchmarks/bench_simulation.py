# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Speed of rendering simulated worlds; empty where there is no OpenGL."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from cvloc_ros.simulation.world import World
    from cvloc_ros.types import Pose2


def run() -> list[dict[str, Any]]:
    """Measure; one row {name, unit, p50, p95, n, note} for each operation."""
    from cvloc_ros.simulation.gl.context import open_context, unavailable

    why = unavailable()
    if why:
        sys.stderr.write(f"simulation is not measured: {why}\n")
        return []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return _rows(str(open_context().info["GL_RENDERER"]))
    finally:
        cv2.setNumThreads(threads)


def _rows(device: str) -> list[dict[str, Any]]:
    from cvloc_ros.simulation.drive import motion_of
    from cvloc_ros.simulation.gl.build import drive_stage, map_stage
    from cvloc_ros.simulation.gl.renderer import Renderer
    from cvloc_ros.simulation.gl.rig import Rig
    from cvloc_ros.simulation.raster import Grid
    from cvloc_ros.simulation.scene import FRONT, Scene
    from cvloc_ros.simulation.worlds import make_world

    note = f"town of 400 x 300 m, 4 samples a pixel, up to 8 along the ground, {device}"
    front = replace(FRONT, width=640, height=360, distortion=())
    scene = Scene(renderer="gl", cameras=(front,))
    start = time.perf_counter()
    world = make_world(scene)
    rig = Rig(world, drive_stage(world))
    made_s = time.perf_counter() - start
    aerial = Renderer(map_stage(world))
    motion = motion_of(world)
    poses = [motion.pose(float(t)) for t in np.linspace(4.0, 60.0, 40)]
    camera = rig.cameras[0]
    grids = [Grid(pose.x_m - 51.2, pose.y_m + 51.2, 0.2, 512, 512) for pose in poses]
    rows = [
        {"name": "world and renderer", "unit": "s", "p50": made_s, "p95": made_s, "n": 1, "note": note},
        _row("ground image 640x360", lambda k: rig.renderer.view(
            camera.model, rig.T_world_base(poses[k]) @ camera.T_base_camera), len(poses), note),
        _row("ground image 640x360, traffic, noise, lens", lambda k: camera.render(poses[k], k), len(poses), note),
        _row("depth 640x360", lambda k: camera.depth(poses[k], 0), len(poses), note),
        _row("aerial patch 512x512", lambda k: aerial.aerial(grids[k]), len(poses), note),
    ]  # fmt: skip
    views = rows[1]["p50"]
    rows.append({"name": "ground images per second", "unit": "1/s", "p50": 1e3 / views, "p95": 1e3 / rows[1]["p95"],
                 "n": len(poses), "note": note})  # fmt: skip
    rig.close()
    aerial.close()
    return rows + _pair_rows(world, poses, note)


def _pair_rows(world: World, poses: list[Pose2], note: str) -> list[dict[str, Any]]:
    """Pairs as they are, with motion blur, with a registration field, with correspondences."""
    from cvloc_ros.simulation.gl.stream import PairMaker
    from cvloc_ros.types import Pose2

    step = Pose2(0.05, 0.0, 0.002)
    dim = replace(world.scene.look, exposure_s=0.008)
    kinds: dict[str, tuple[dict[str, Any], int]] = {
        "": ({}, 0),
        ", motion blur": ({"look": dim}, 0),
        ", registration field": ({"map_error_m": 1.0}, 0),
        ", 500 correspondences": ({}, 500),
    }
    rows = []
    for name, (settings, pixels) in kinds.items():
        maker = PairMaker(replace(world, scene=replace(world.scene, **settings)), pixels=pixels)
        row = _row(
            f"training pair{name}", lambda k, m=maker: m.at(poses[k], k, ends=(poses[k], poses[k] @ step)), 20, note
        )
        maker.close()
        per_s = {"name": f"training pairs per second{name}", "unit": "1/s", "n": 20, "note": note}
        rows += [row, {**per_s, "p50": 1e3 / row["p50"], "p95": 1e3 / row["p95"]}]
    return rows


def _row(name: str, work: Callable[[int], object], n: int, note: str) -> dict[str, Any]:
    work(0)
    times = []
    for k in range(n):
        start = time.perf_counter()
        work(k)
        times.append((time.perf_counter() - start) * 1e3)
    p50, p95 = np.percentile(times, [50, 95])
    return {"name": name, "unit": "ms", "p50": float(p50), "p95": float(p95), "n": n, "note": note}


if __name__ == "__main__":
    for row in run():
        print(f"{row['name']:45} {row['p50']:8.2f} {row['p95']:8.2f} {row['unit']}  n={row['n']}  {row['note']}")
