# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Own-vehicle masks of all cameras, found in a bag of a drive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cvloc_ros import messages
from cvloc_ros.config import Config
from cvloc_ros.errors import BagError, ImageError, TransformError
from cvloc_ros.evaluation.bag import Bag, BagMessage
from cvloc_ros.evaluation.topics import Wiring, wire
from cvloc_ros.geo.transforms import TransformTree
from cvloc_ros.imaging.own_vehicle_estimate import OwnVehicleMask
from cvloc_ros.odometry import OdometryTrack
from cvloc_ros.types import CameraModel, Mask


def find_masks(path: Path, config: Config, *, progress: bool = False) -> Iterator[tuple[str, Mask | None]]:
    """Yield each camera and its mask (H, W), True where the picture is usable; None where too few images moved on.

    Raises:
        BagError: the bag cannot be read, or lacks odometry or calibration.
    """
    with Bag.open(path) as bag:
        wiring = wire(bag, config, "", {})
        if not wiring.odom:
            msg = f"{path}: no odometry; masks are found from how pictures change with the travelled distance"
            raise BagError(msg)
        models, tree, track = _circumstances(bag, wiring)
        estimates = {
            camera: OwnVehicleMask(model, tree.lookup(config.frames.base, frame, stamp_ns))
            for camera, (model, frame, stamp_ns) in models.items()
        }
        if not estimates:
            msg = f"{path}: no camera_info; the mounting and the horizon are needed to find the vehicle"
            raise BagError(msg)
        total = sum(bag.topics[topic].count for topic in wiring.images)
        for item in tqdm(bag.messages(list(wiring.images)), total=total, disable=None if progress else True):
            _add(item, wiring, estimates, track)
    for camera, estimate in estimates.items():
        yield camera, estimate.mask()


def as_image(mask: Mask) -> np.ndarray:
    """Return the picture of `mask_file`: 255 where the vehicle is seen."""
    return np.where(mask, 0, 255).astype(np.uint8)


def _circumstances(
    bag: Bag, wiring: Wiring
) -> tuple[dict[str, tuple[CameraModel, str, int]], TransformTree, OdometryTrack]:
    models: dict[str, tuple[CameraModel, str, int]] = {}
    tree, track = TransformTree(history_s=1e6), OdometryTrack(history_s=1e6)
    topics = [*wiring.infos, wiring.odom, *(topic for topic in ("/tf", "/tf_static") if topic in bag.topics)]
    for item in bag.messages(topics):
        if item.topic == wiring.odom:
            track.add(messages.odometry(item.message))
        elif item.topic in wiring.infos:
            camera = wiring.infos[item.topic]
            model = messages.camera_model(item.message, wiring.config.cameras[camera])
            stamp_ns = messages.stamp_ns(item.message)
            models.setdefault(camera, (model, messages.frame(item.message.header.frame_id), stamp_ns))
        else:
            for edge in messages.transforms(item.message):
                tree.add(edge.parent, edge.child, edge.stamp_ns, edge.matrix, static=item.topic == "/tf_static")
    return models, tree, track


def _add(item: BagMessage, wiring: Wiring, estimates: dict[str, OwnVehicleMask], track: OdometryTrack) -> None:
    camera = wiring.images[item.topic]
    point = track.nearest(messages.stamp_ns(item.message))
    if camera not in estimates or point is None:
        return
    try:
        estimates[camera].add(messages.image(item.message, camera).decode(), point.travelled_m)
    except (ImageError, TransformError):
        return
