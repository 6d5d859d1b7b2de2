# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Real bags, written by rosbags, of a vehicle that drives straight east."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from cvloc_ros.config import Config
from cvloc_ros.depth_images import DepthImage
from cvloc_ros.evaluation.qos import LATCHED
from cvloc_ros.geo.projection import Projection
from cvloc_ros.geo.transforms import TransformTree
from cvloc_ros.types import (
    AerialPatch,
    CameraImage,
    GeoFix,
    LocalizationResult,
    Pose2,
    PoseEstimate,
    PosePrior,
    SearchWindow,
    Status,
)

LATITUDE, LONGITUDE = 47.0, 8.0
METRE_NORTH = 1 / 111_180.0
METRE_EAST = 1 / (111_320.0 * math.cos(math.radians(LATITUDE)))
START_NS = 1_700_000_000 * 10**9
STEP_NS = 100_000_000


class Maker:
    """Makes messages of one type store; ROS 1 headers carry `seq`."""

    def __init__(self, store: Typestore) -> None:
        self.store = store

    def new(self, kind: str, **fields: object) -> object:
        return self.store.types[kind](**fields)

    def header(self, stamp_ns: int, frame: str) -> object:
        stamp = self.new("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        extra = {"seq": 0} if "seq" in self.store.types["std_msgs/msg/Header"].__dataclass_fields__ else {}
        return self.new("std_msgs/msg/Header", stamp=stamp, frame_id=frame, **extra)

    def pose(self, x: float, y: float, z: float = 0.0, q: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)) -> object:
        point = self.new("geometry_msgs/msg/Point", x=x, y=y, z=z)
        turn = self.new("geometry_msgs/msg/Quaternion", x=q[0], y=q[1], z=q[2], w=q[3])
        return self.new("geometry_msgs/msg/Pose", position=point, orientation=turn)

    def fix(self, stamp_ns: int, x: float, y: float, status: int = 0) -> object:
        return self.new(
            "sensor_msgs/msg/NavSatFix",
            header=self.header(stamp_ns, "gnss"),
            status=self.new("sensor_msgs/msg/NavSatStatus", status=status, service=1),
            latitude=LATITUDE + y * METRE_NORTH,
            longitude=LONGITUDE + x * METRE_EAST,
            altitude=400.0,
            position_covariance=np.diag([4.0, 4.0, 9.0]).ravel(),
            position_covariance_type=2,
        )

    def odom(self, stamp_ns: int, x: float) -> object:
        zero = self.new("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        twist = self.new("geometry_msgs/msg/Twist", linear=zero, angular=zero)
        return self.new(
            "nav_msgs/msg/Odometry",
            header=self.header(stamp_ns, "odom"),
            child_frame_id="base_link",
            pose=self.new("geometry_msgs/msg/PoseWithCovariance", pose=self.pose(x, 0.0), covariance=np.zeros(36)),
            twist=self.new("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
        )

    def truth(self, stamp_ns: int, x: float) -> object:
        pose = self.new("geometry_msgs/msg/PoseWithCovariance", pose=self.pose(x, 0.0), covariance=np.zeros(36))
        return self.new("geometry_msgs/msg/PoseWithCovarianceStamped", header=self.header(stamp_ns, "map"), pose=pose)

    def transform(self, stamp_ns: int, parent: str, child: str, *xyz: float, q: tuple[float, ...] = (0, 0, 0, 1)
                  ) -> object:
        move = self.new("geometry_msgs/msg/Vector3", x=xyz[0], y=xyz[1], z=xyz[2])
        turn = self.new("geometry_msgs/msg/Quaternion", x=float(q[0]), y=float(q[1]), z=float(q[2]), w=float(q[3]))
        item = self.new(
            "geometry_msgs/msg/TransformStamped",
            header=self.header(stamp_ns, parent),
            child_frame_id=child,
            transform=self.new("geometry_msgs/msg/Transform", translation=move, rotation=turn),
        )
        return self.new("tf2_msgs/msg/TFMessage", transforms=[item])

    def image(self, stamp_ns: int, camera: str, value: int) -> object:
        pixels = np.full((32, 48, 3), value % 256, np.uint8)
        data = cv2.imencode(".jpg", pixels)[1].ravel()
        frame = f"camera_{camera}_optical_frame"
        return self.new(
            "sensor_msgs/msg/CompressedImage", header=self.header(stamp_ns, frame), format="jpeg", data=data
        )

    def depth(self, stamp_ns: int, camera: str, metres: np.ndarray) -> object:
        """An image of 32FC1, registered to the camera's."""
        rows, cols = metres.shape
        return self.new(
            "sensor_msgs/msg/Image", header=self.header(stamp_ns, f"camera_{camera}_optical_frame"), height=rows,
            width=cols, encoding="32FC1", is_bigendian=0, step=4 * cols,
            data=np.ascontiguousarray(metres, np.float32).view(np.uint8).ravel(),
        )

    def camera_info(self, stamp_ns: int, camera: str) -> object:
        names = "dkrp" if "k" in self.store.types["sensor_msgs/msg/CameraInfo"].__dataclass_fields__ else "DKRP"
        K = np.array([30.0, 0, 24, 0, 30, 16, 0, 0, 1])
        P = np.array([30.0, 0, 24, 0, 0, 30, 16, 0, 0, 0, 1, 0])
        arrays = dict(zip(names, (np.zeros(5), K, np.eye(3).ravel(), P), strict=True))
        roi = self.new(
            "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self.new(
            "sensor_msgs/msg/CameraInfo", header=self.header(stamp_ns, f"camera_{camera}_optical_frame"), height=32,
            width=48, distortion_model="plumb_bob", binning_x=0, binning_y=0, roi=roi, **arrays,
        )


def with_tf2(store: Typestore) -> Typestore:
    """Add tf2_msgs, which the ROS 1 store lacks."""
    text = "geometry_msgs/TransformStamped[] transforms"
    store.register(get_types_from_msg(text, "tf2_msgs/msg/TFMessage"))
    return store


LOOK_FORWARD = (-0.5, 0.5, -0.5, 0.5)


def drive(maker: Maker, steps: int = 40, cameras: tuple[str, ...] = ("front", "rear"), truth: bool = True
          ) -> list[tuple[str, str, int, object]]:
    """Return (topic, type, log time, message): 10 Hz odometry and TF, 1 Hz fix, image sets every 0.5 s at 2 m/s."""
    rows: list[tuple[str, str, int, object]] = []
    for camera in cameras:
        mounting = maker.transform(START_NS, "base_link", f"camera_{camera}_optical_frame", 0.5, 0, 2, q=LOOK_FORWARD)
        rows.append(("/tf_static", "tf2_msgs/msg/TFMessage", START_NS, mounting))
    for step in range(steps):
        stamp, x = START_NS + step * STEP_NS, step * 0.2
        rows.append(("/odom", "nav_msgs/msg/Odometry", stamp + 5_000_000, maker.odom(stamp, x)))
        rows.append(
            ("/tf", "tf2_msgs/msg/TFMessage", stamp + 5_000_000, maker.transform(stamp, "odom", "base_link", x, 0, 0))
        )
        if step % 10 == 0:
            rows.append(("/fix", "sensor_msgs/msg/NavSatFix", stamp + 90_000_000, maker.fix(stamp, x + 3.0, 0.0)))
        if step % 5 == 0:
            for number, camera in enumerate(cameras):
                info = maker.camera_info(stamp, camera)
                rows.append((f"/camera/{camera}/camera_info", "sensor_msgs/msg/CameraInfo", stamp + 10_000_000, info))
                image = maker.image(stamp + number * 1_000_000, camera, step)
                rows.append((f"/camera/{camera}/image/compressed", "sensor_msgs/msg/CompressedImage",
                             stamp + 60_000_000 + number * 1_000_000, image))
        if truth:
            kind = "geometry_msgs/msg/PoseWithCovarianceStamped"
            rows.append(("/ground_truth/pose", kind, stamp + 1_000_000, maker.truth(stamp, x)))
    return sorted(rows, key=lambda row: row[2])


def write_ros2(path: Path, rows: list[tuple[str, str, int, object]], storage: StoragePlugin, store: Typestore,
               custom: dict[str, str] | None = None) -> Path:
    """Write a ROS 2 bag folder."""
    writer = Writer(path, version=9, storage_plugin=storage)
    for key, value in (custom or {}).items():
        writer.set_custom_data(key, value)
    with writer:
        connections = {}
        for topic, kind, stamp, message in rows:
            if topic not in connections:
                qos = [LATCHED] if topic == "/tf_static" else []
                connections[topic] = writer.add_connection(topic, kind, typestore=store, offered_qos_profiles=qos)
            writer.write(connections[topic], stamp, store.serialize_cdr(message, kind))
    return path


def write_ros1(path: Path, rows: list[tuple[str, str, int, object]], store: Typestore) -> Path:
    """Write a ROS 1 bag file."""
    with Writer1(path) as writer:
        connections = {}
        for topic, kind, stamp, message in rows:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], stamp, store.serialize_ros1(message, kind))
    return path


@pytest.fixture(scope="session")
def maker() -> Maker:
    return Maker(get_typestore(Stores.ROS2_JAZZY))


@pytest.fixture(scope="session")
def maker1() -> Maker:
    return Maker(with_tf2(get_typestore(Stores.ROS1_NOETIC)))


@pytest.fixture
def rows(maker: Maker) -> list[tuple[str, str, int, object]]:
    return drive(maker)


@pytest.fixture
def make_bag(tmp_path: Path, maker: Maker, maker1: Maker) -> Callable[..., Path]:
    """Return a function that writes the drive: storage "mcap", "sqlite3" or "ros1"."""

    def make(storage: str = "mcap", name: str = "drive", rows: object = None, custom: dict[str, str] | None = None,
             **options: object) -> Path:
        if storage == "ros1":
            return write_ros1(tmp_path / f"{name}.bag", rows or drive(maker1, **options), maker1.store)
        plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
        made = drive(maker, **options) if rows is None else rows
        return write_ros2(tmp_path / name, made, plugin, maker.store, custom)

    return make


class FakeSession:
    """Answers as a `Session` does: the pose is what TF says of odometry, `wrong_m` off; a map from x = -20 to 6 m."""

    wrong_m = 0.1
    covariance_source = "set by hand"

    def __init__(self, config: Config) -> None:
        self.config = config
        datum = config.geo.datum
        self.projection = Projection.from_config(config.geo) if datum else None
        self.transforms = TransformTree(1e6)
        self.aerial = None
        self.calls: list[tuple[str, object]] = []
        self.initial: tuple[int, Pose2] | None = None
        self._number = 0

    def warm_up(self) -> float:
        return 0.0

    def close(self) -> None:
        self.calls.append(("close", None))

    def set_calibration(self, camera: str, model: object) -> None:  # noqa: ARG002
        self.calls.append(("calibration", camera))

    def add_transform(self, parent: str, child: str, stamp_ns: int, T: np.ndarray, *, static: bool) -> str:
        return self.transforms.add(parent, child, stamp_ns, T, static=static)

    def add_fix(self, fix: GeoFix) -> str:
        if fix.quality < 0:
            return "no_fix"
        if self.projection is None:
            self.projection = Projection.at_fix(self.config.geo, fix.latitude_deg, fix.longitude_deg)
        return ""

    def add_odom(self, sample: object) -> str:
        self.calls.append(("odom", sample))
        return ""

    def add_filter_pose(self, sample: object) -> str:
        self.calls.append(("filter", sample))
        return ""

    def add_depth(self, image: DepthImage) -> str:
        self.calls.append(("depth", image))
        return ""

    def set_initial_pose(self, stamp_ns: int, pose: Pose2, covariance: np.ndarray) -> str:  # noqa: ARG002
        self.initial = (stamp_ns, pose)
        return ""

    def ready(self, stamp_ns: int) -> bool:
        newest = self.transforms.latest_stamp("odom", "base_link")
        return newest is not None and newest >= stamp_ns

    def localize(self, images: Sequence[CameraImage]) -> LocalizationResult:
        stamp = images[0].stamp_ns
        self.calls.append(("localize", (stamp, tuple(image.camera for image in images), self.ready(stamp))))
        self._number += 1
        if self._number == 1:
            return LocalizationResult(Status.WAITING_KEYFRAMES, stamp, ("1 place seen, 3 needed",))
        T = self.transforms.lookup("odom", "base_link", stamp)
        pose = Pose2(float(T[0, 3]), self.wrong_m, 0.0)
        estimate = PoseEstimate(pose, np.diag([0.04, 0.04, 0.0004]), 0.5, 0.1)
        patch = flat_patch()
        prior = PosePrior(pose, np.diag([4.0, 4.0, 0.01]), stamp, True, "odom+fix")
        window = SearchWindow(pose, 10.0, 0.2)
        common = {"prior": prior, "window": window, "patch": patch, "timings_s": {"match": 0.01, "total": 0.02}}
        if pose.x_m > 6.0:
            why = ("imagery <ends> & here",)
            return LocalizationResult(Status.LOW_COVERAGE, stamp, why, candidate=estimate, **common)
        return LocalizationResult(Status.OK, stamp, estimate=estimate, **common)


def flat_patch() -> AerialPatch:
    """Return 128 x 128 m of map around the origin at 0.5 m, without imagery beyond x = 11 m."""
    valid = np.ones((256, 256), dtype=bool)
    valid[:, 151:] = False
    rgb = np.full((256, 256, 3), 120, np.uint8)
    return AerialPatch(rgb, valid, 0.5, np.array([[0.5, 0.0, -63.75], [0.0, -0.5, 63.75]]), "(c) test", 0.6, ("flat",))


@pytest.fixture
def session() -> type[FakeSession]:
    return FakeSession
