# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The vehicle is found as what stays while all else moves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from cvloc_ros.imaging.camera import Camera, Pinhole, from_camera_info
from cvloc_ros.imaging.mounting import ground_points
from cvloc_ros.imaging.own_vehicle import load_mask
from cvloc_ros.imaging.own_vehicle_estimate import OwnVehicleMask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cvloc_ros.types import F64

CAMERA = Pinhole(512, 384, 260.0, 260.0, 255.5, 191.5)


def _drive(T: F64, vehicle: np.ndarray | None, frames: int = 24) -> Iterator[np.ndarray]:
    """Yield pictures of a random ground from 2.3 m to 2.3 m, kerbs along the way, the vehicle painted over it."""
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (400, 1600), np.uint8), (0, 0), 1.5).astype(np.float32)
    ground = np.clip((ground - 127) * 4 + 127, 0, 255)
    ground[185:188] = 255  # a line along the way looks the same all the time
    paint = cv2.GaussianBlur(rng.integers(0, 255, (384, 512), np.uint8), (0, 0), 4.0).astype(np.float32)
    paint = np.clip((paint - 127) * 12 + 127, 0, 255)
    v, u = np.mgrid[0:384, 0:512].astype(np.float64)
    points = ground_points(np.stack([u, v], axis=-1), CAMERA, T)
    for number in range(frames):
        at = np.nan_to_num((points + np.array([2.3 * number, 0.0])) * 16.0 + 200.0, nan=-1e4).astype(np.float32)
        image = cv2.remap(ground, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        image[np.isnan(points[..., 0])] = 230
        image *= 0.8 + 0.2 * math.sin(number)
        if vehicle is not None:
            image[vehicle] = paint[vehicle] * (0.9 + 0.1 * math.cos(number))
        yield np.repeat(image.astype(np.uint8)[..., None], 3, axis=-1)


def _bonnet() -> np.ndarray:
    v, u = np.mgrid[0:384, 0:512]
    return (v > 300 + 0.001 * (u - 256) ** 2) | ((np.abs(u - 380) < 25) & (v > 260))


def _estimate(T: F64, vehicle: np.ndarray | None) -> np.ndarray:
    estimator = OwnVehicleMask(CAMERA, T)
    for number, image in enumerate(_drive(T, vehicle)):
        assert estimator.add(image, 2.3 * number)
    valid = estimator.mask()
    assert valid is not None
    assert valid.shape == (384, 512)
    return ~valid


@pytest.mark.parametrize("roll", [0.0, math.pi])
def test_bonnet_and_mirror_are_found(roll: float, mounting: Callable[..., F64]) -> None:
    vehicle = _bonnet() if roll == 0.0 else _bonnet()[::-1, ::-1]
    found = _estimate(mounting(z=1.6, down=0.2, roll=roll), vehicle)
    assert (found & vehicle).sum() / (found | vehicle).sum() > 0.7
    assert (found & vehicle).sum() / vehicle.sum() > 0.98


def test_nothing_is_found_where_no_vehicle_is_seen(mounting: Callable[..., F64]) -> None:
    assert _estimate(mounting(z=1.6, down=0.2), None).mean() < 0.01


def test_standing_still_gives_no_mask(mounting: Callable[..., F64]) -> None:
    T = mounting(z=1.6, down=0.2)
    estimator = OwnVehicleMask(CAMERA, T)
    image = next(_drive(T, None, 1))
    assert [estimator.add(image, 5.0 + 0.01 * number) for number in range(50)] == [True] + [False] * 49
    assert estimator.mask() is None
    assert not estimator.add(image[:100], 50.0)


def test_real_vehicle_is_found(paris: Path) -> None:
    highlevel = pytest.importorskip("rosbags.highlevel")
    cameras, mountings, images = _read(highlevel, paris / "bag")
    for name, least in (("front", 0.8), ("rear", 0.8), ("left", None), ("right", None)):
        frame = f"camera_{name}_optical_frame"
        estimator = OwnVehicleMask(cameras[frame], mountings[frame])
        for number, data in enumerate(images[frame]):
            estimator.add(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), 3.1 * number)
        valid = estimator.mask()
        assert valid is not None
        if least is None:
            assert valid.mean() > 0.99
            continue
        given = ~load_mask(paris / f"vehicle_mask_{name}.png", (1024, 1024))
        assert (~valid & given).sum() / (~valid | given).sum() > least
        assert (~valid & ~given).mean() < 0.02


def _read(highlevel: object, bag: Path) -> tuple[dict[str, Camera], dict[str, F64], dict[str, list[np.ndarray]]]:
    from scipy.spatial.transform import Rotation

    cameras: dict[str, Camera] = {}
    mountings: dict[str, F64] = {}
    images: dict[str, list[np.ndarray]] = {}
    with highlevel.AnyReader([bag]) as reader:  # type: ignore[attr-defined]
        wanted = [c for c in reader.connections if c.topic == "/tf_static" or c.topic.startswith("/camera/")]
        for connection, _, raw in reader.messages(wanted):
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == "/tf_static":
                for item in message.transforms:
                    q, p = item.transform.rotation, item.transform.translation
                    T = mountings[item.child_frame_id] = np.eye(4)
                    T[:3, :3], T[:3, 3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), (p.x, p.y, p.z)
            elif connection.topic.endswith("camera_info"):
                info = (message.distortion_model, message.width, message.height, message.k, message.d)
                cameras[message.header.frame_id] = from_camera_info(*info)
            else:
                images.setdefault(message.header.frame_id, []).append(message.data)
    return cameras, mountings, images
