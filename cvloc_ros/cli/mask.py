# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc mask`."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from cvloc_ros.errors import BagError


def mask(bag: tyro.conf.Positional[Path], out: Path = Path("out/masks"), config: Path | None = None) -> int:
    """Find the vehicle itself in the pictures of a drive, and write a mask_file for each camera.

    The vehicle is what stays while the ground moves on: the drive should be some hundred metres long and not follow one
    straight kerb. Look at the masks before you use them.

    Args:
        bag: ROS 2 bag (folder, .mcap or .db3) or ROS 1 .bag with images, camera_info, TF and odometry.
        out: Folder for mask_<camera>.png, white where the vehicle is seen.
        config: YAML file with settings that name cameras and topics.
    """
    import cv2

    from cvloc_ros.config import Config, load
    from cvloc_ros.evaluation.own_vehicle import as_image, find_masks

    settings = load(config) if config else Config()
    out.mkdir(parents=True, exist_ok=True)
    written = 0
    for camera, found in find_masks(bag, settings, progress=True):
        if found is None:
            sys.stdout.write(f"{camera}: too few pictures of new places; no mask\n")
            continue
        path = out / f"mask_{camera}.png"
        if not cv2.imwrite(str(path), as_image(found)):
            msg = f"{path} cannot be written; choose another --out"
            raise BagError(msg)
        written += 1
        sys.stdout.write(f"{camera}: {100 * (1 - found.mean()):.1f} % is the vehicle; {path}\n")
    return 0 if written else 1
