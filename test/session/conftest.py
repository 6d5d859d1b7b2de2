# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A flat world of random texture, its map as MBTiles, and a vehicle with a camera that drives through it."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import mercantile
import numpy as np
import pytest
import torch

from cvloc_ros.config import Config, parse
from cvloc_ros.geo import webmercator
from cvloc_ros.geo.projection import Projection
from cvloc_ros.imaging.camera import Pinhole
from cvloc_ros.session import Session
from cvloc_ros.types import F64, U8, CameraImage, GeoFix, LocalizationResult, OdomSample, Pose2, Status

S = 1_000_000_000
START = 1_000
"""Seconds at which the drive begins."""

ZOOM = 20
HALF_M = 90.0
PIXEL_M = 0.1
DATUM = [47.0, 8.0, 0.0]
MOUNTING = [1.0, 0.2, 4.0, 0.02, 0.8, 0.1]
CAMERA = Pinhole(240, 180, 130.0, 130.0, 119.5, 89.5)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True, eq=False)
class Ground:
    """Texture (rows, columns, 3) of the world, centred on the origin of the map."""

    rgb: U8

    def look(self, points: F64) -> U8:
        column = ((points[..., 0] + HALF_M) / PIXEL_M - 0.5).astype(np.float32)
        row = ((HALF_M - points[..., 1]) / PIXEL_M - 0.5).astype(np.float32)
        return cv2.remap(self.rgb, column, row, cv2.INTER_LINEAR)


@pytest.fixture(scope="session")
def ground() -> Ground:
    rng = np.random.default_rng(11)
    side = round(2 * HALF_M / PIXEL_M)
    coarse = cv2.resize(rng.random((side // 12, side // 12), np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.random((side, side), np.float32), (0, 0), 4) * 3
    grey = np.clip((coarse + fine - 1.2) * 160 + 110, 0, 255).astype(np.uint8)
    return Ground(np.dstack([grey] * 3))


@pytest.fixture(scope="session")
def map_file(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "flat.mbtiles"
    projection = Projection("local_enu", DATUM[0], DATUM[1])
    lon, lat = projection.map_to_imagery(np.array([[-HALF_M, -HALF_M], [HALF_M, HALF_M]]))
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        base.execute("CREATE TABLE tiles (zoom_level INT, tile_column INT, tile_row INT, tile_data BLOB)")
        base.execute("INSERT INTO metadata VALUES ('attribution', 'flat test world')")
        for tile in mercantile.tiles(lon[0], lat[0], lon[1], lat[1], ZOOM):
            corners = np.array([[0.0, 0.0], [255.0, 0.0], [0.0, 255.0]])
            there = webmercator.lonlat_from_pixel(corners + 0.5 + 256 * np.array([tile.x, tile.y]), ZOOM)
            # Over 25 m Web Mercator is affine to a fraction of a millimetre.
            affine = cv2.getAffineTransform(np.float32(corners), np.float32(projection.imagery_to_map(*there)))
            points = np.stack([*np.meshgrid(np.arange(256), np.arange(256)), np.ones((256, 256))], -1) @ affine.T
            inside = np.abs(points).max(-1) < HALF_M
            png = cv2.imencode(".png", np.dstack([ground.look(points), inside * np.uint8(255)]))[1].tobytes()
            base.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (ZOOM, tile.x, 2**ZOOM - 1 - tile.y, png))
    base.close()
    return path


def bend(t: float) -> Pose2:
    """Base in map, t seconds after the start: 4 m/s on a wide bend through the middle of the world."""
    yaw = 0.4 + 0.08 * t
    return Pose2(50.0 * (math.sin(yaw) - math.sin(0.4)) - 15.0, 50.0 * (math.cos(0.4) - math.cos(yaw)) - 15.0, yaw)


@pytest.fixture
def truth() -> Callable[[float], Pose2]:
    return bend


def mounting_matrix(values: list[float] | None = None) -> F64:
    """Optical frame in base, written out by hand: yaw, pitch, roll, then z forward."""
    x, y, z, roll, pitch, yaw = values or MOUNTING
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    forward = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = about_z @ about_y @ about_x @ forward, (x, y, z)
    return T


def render(ground: Ground, pose: Pose2, T_base_camera: F64) -> U8:
    """Trace every pixel to the ground; sky is grey."""
    column, row = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    rays = np.stack([(column - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy, np.ones(column.shape)], -1)
    rays = rays @ T_base_camera[:3, :3].T
    down = rays[..., 2] < -1e-3
    reach = np.where(down, -T_base_camera[2, 3] / np.where(down, rays[..., 2], -1.0), 0.0)
    points = T_base_camera[:2, 3] + reach[..., None] * rays[..., :2]
    return np.where(down[..., None], ground.look(pose.apply(points)), np.uint8(127))


class Rig:
    """A vehicle that feeds a session; every input can be left out or spoilt."""

    def __init__(self, config: Config, ground: Ground) -> None:
        self.config, self.ground = config, ground
        self.session = Session.open(config)
        self.projection = Projection("local_enu", DATUM[0], DATUM[1])
        self.bias = np.array([3.0, -2.0])
        self.mountings = {name: mounting_matrix(camera.mounting) for name, camera in config.cameras.items()}
        self.truth: Callable[[float], Pose2] = bend
        self.odometry = self.fixes = True
        self.clock_s = float(START)
        self._fed = -1
        for name in config.cameras:
            self.session.set_calibration(name, CAMERA)

    def ns(self, t: float) -> int:
        return round((self.clock_s + t) * S)

    def fix(self, t: float, **changes: Any) -> GeoFix:
        lat, lon = self.projection.to_geodetic(self.truth(t).xy + self.bias)
        values = {"latitude_deg": float(lat), "longitude_deg": float(lon), "stamp_ns": self.ns(t), **changes}
        return GeoFix(**{"covariance_m2": np.eye(2) * 4.0, **values})

    def feed(self, until: float) -> None:
        """Odometry at 20 Hz in a frame of its own, fixes at 2 Hz with a constant bias."""
        for tick in range(self._fed + 1, round(until * 20) + 1):
            t = tick / 20
            if self.odometry:
                sample = OdomSample(self.ns(t), Pose2(7.0, 9.0, -1.0) @ self.truth(0.0).inverse() @ self.truth(t))
                assert self.session.add_odom(sample) == ""
            if self.fixes and tick % 10 == 0:
                assert self.session.add_fix(self.fix(t)) == ""
            self._fed = max(self._fed, tick)

    def rewind(self, clock_s: float) -> None:
        """Let the clock of all sensors start again elsewhere."""
        self.clock_s, self._fed = clock_s, -1

    def image(self, t: float, camera: str = "front", frame_id: str = "cam") -> CameraImage:
        T_base_camera = self.mountings[camera]
        return CameraImage(camera, self.ns(t), frame_id, lambda: render(self.ground, self.truth(t), T_base_camera))

    def step(self, t: float, age_s: float | None = None, *extra: CameraImage) -> LocalizationResult:
        """Feed everything up to the image and beyond, and localize it."""
        self.feed(t + 0.1)
        return self.session.localize([self.image(t), *extra], age_s)

    def run(self, *times: float) -> list[LocalizationResult]:
        return [self.step(t) for t in times]

    def know_heading(self) -> None:
        """Tell a rough heading, as an operator would."""
        start = self.truth(0.0)
        rough = Pose2(start.x_m, start.y_m, start.yaw_rad + 0.05)
        covariance = np.diag([1e6, 1e6, math.radians(5.0) ** 2])
        assert self.session.set_initial_pose(self.ns(0.0), rough, covariance) == ""

    def error(self, result: LocalizationResult, t: float) -> tuple[float, float]:
        """Metres and degrees that a published pose is off."""
        assert result.status is Status.OK, (result.status, result.reasons)
        assert result.estimate is not None
        pose, true = result.estimate.pose, self.truth(t)
        yaw = math.remainder(pose.yaw_rad - true.yaw_rad, math.tau)
        return math.hypot(pose.x_m - true.x_m, pose.y_m - true.y_m), abs(math.degrees(yaw))


def settings(map_file: Path) -> dict[str, Any]:
    return {
        "geo": {"projection": "local_enu", "datum": DATUM},
        "camera_names": ["front"],
        "cameras": {"front": {"mounting": MOUNTING, "camera_info_topic": "front/camera_info"}},
        "tiles": {"source": str(map_file), "resolution_m": 0.25},
        "matcher": {
            "device": "cpu", "keyframes": 3, "keyframes_min": 2, "keyframe_max_age_m": 12.0,
            "classical": {"range_m": 12.0},
        },
        "output": {"min_travel_m": 0.25},
    }  # fmt: skip


@pytest.fixture
def rig(ground: Ground, map_file: Path) -> Iterator[Callable[..., Rig]]:
    """Make a vehicle; keyword arguments are sections of the configuration that differ."""
    made: list[Rig] = []

    def make(**changes: Any) -> Rig:
        tree = settings(map_file)
        for key, value in changes.items():
            whole = key in ("camera_names", "cameras")
            tree[key] = value if whole else {**tree.get(key, {}), **value}
        made.append(Rig(parse(tree), ground))
        return made[-1]

    yield make
    for vehicle in made:
        vehicle.session.close()


@pytest.fixture
def driving(rig: Callable[..., Rig]) -> Rig:
    """Give a vehicle that has published once, at 2 s."""
    vehicle = rig()
    vehicle.know_heading()
    assert vehicle.run(1.0, 2.0)[-1].status is Status.OK
    return vehicle


@pytest.fixture
def silent() -> Callable[..., None]:
    """Check that nothing was published, and why."""

    def check(result: LocalizationResult, status: Status, text: str = "") -> None:
        assert result.status is status, (result.status, result.reasons)
        assert result.estimate is None
        assert text in "; ".join(result.reasons)

    return check
