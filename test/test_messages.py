# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The conversions, with the message classes of rosbags (no ROS needed)."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from cvloc_ros import messages
from cvloc_ros.errors import ImageError
from cvloc_ros.types import Pose2

STORE = get_typestore(Stores.ROS2_HUMBLE)
T = STORE.types


def header(sec: int = 5, nanosec: int = 7, frame: str = "map"):
    return T["std_msgs/msg/Header"](T["builtin_interfaces/msg/Time"](sec, nanosec), frame)


def quaternion(roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0):
    cr, sr, cp, sp, cy, sy = (f(a / 2) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    return T["geometry_msgs/msg/Quaternion"](
        sr * cp * cy - cr * sp * sy, cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy, cr * cp * cy + sr * sp * sy,
    )


def pose_covariance(x: float, y: float, q, covariance=None):
    pose = T["geometry_msgs/msg/Pose"](T["geometry_msgs/msg/Point"](x, y, 9.0), q)
    return T["geometry_msgs/msg/PoseWithCovariance"](pose, np.zeros(36) if covariance is None else covariance)


def fix_message(covariance=(4.0, 1.0, 0.0, 1.0, 9.0, 0.0, 0.0, 0.0, 25.0), kind: int = 2, altitude: float = 1.0):
    status = T["sensor_msgs/msg/NavSatStatus"](0, 1)
    return T["sensor_msgs/msg/NavSatFix"](
        header(frame="/gnss"), status, 47.0, 8.0, altitude, np.array(covariance, dtype=float), kind
    )


def imu_message(q, first: float = 0.01):
    V = T["geometry_msgs/msg/Vector3"]
    covariance = np.zeros(9)
    covariance[0] = first
    return T["sensor_msgs/msg/Imu"](header(), q, covariance, V(0, 0, 0), np.zeros(9), V(0, 0, 0), np.zeros(9))


def test_stamp_is_an_exact_integer_and_the_offset_is_added():
    assert messages.stamp_ns(fix_message()) == 5_000_000_007
    assert messages.stamp_ns(fix_message(), -0.25) == 4_750_000_007


def test_fix_keeps_the_east_north_covariance_and_accepts_nan_altitude():
    fix = messages.fix(fix_message(altitude=math.nan))
    assert fix.covariance_m2.tolist() == [[4.0, 1.0], [1.0, 9.0]]
    assert (fix.latitude_deg, fix.longitude_deg, fix.quality, fix.frame_id) == (47.0, 8.0, 0, "gnss")


@pytest.mark.parametrize(
    ("covariance", "kind"), [((1.0,) * 9, 0), ((0.0,) * 9, 2), ((math.nan,) * 9, 2), ((-1.0,) + (0.0,) * 8, 3)]
)
def test_fix_without_usable_covariance_takes_the_documented_one(covariance, kind):
    assert np.array_equal(messages.fix(fix_message(covariance, kind)).covariance_m2, np.eye(2) * 25.0)


def test_odometry_takes_the_planar_part_and_the_child_frame_is_moved_to_base():
    covariance = np.arange(36.0)
    message = T["nav_msgs/msg/Odometry"](
        header(), "imu", pose_covariance(1.0, 2.0, quaternion(yaw=math.pi / 2), covariance), None
    )
    sample = messages.odometry(message)
    assert sample.pose.yaw_rad == pytest.approx(math.pi / 2)
    assert sample.covariance.tolist() == [[0, 1, 5], [6, 7, 11], [30, 31, 35]]
    moved = messages.odometry(message, T_child_base=Pose2(1.0, 0.0, 0.0)).pose
    assert (moved.x_m, moved.y_m) == pytest.approx((1.0, 3.0))


def test_odometry_without_covariance_states_none():
    message = T["nav_msgs/msg/Odometry"](header(), "base_link", pose_covariance(0.0, 0.0, quaternion()), None)
    assert messages.odometry(message).covariance is None


@pytest.mark.parametrize("q", [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 2.0)])
def test_impossible_quaternion_becomes_nan_not_identity(q):
    assert np.isnan(messages.rotation(T["geometry_msgs/msg/Quaternion"](*q))).all()


def test_rotation_agrees_with_scipy():
    from scipy.spatial.transform import Rotation

    q = quaternion(0.3, -0.7, 2.5)
    assert messages.rotation(q) == pytest.approx(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix())
    assert messages.rotation(q) == pytest.approx(Rotation.from_euler("xyz", [0.3, -0.7, 2.5]).as_matrix())


def test_heading_takes_the_mounting_of_the_imu_into_account():
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # imu's x axis points left
    sample = messages.heading(imu_message(quaternion(yaw=math.pi / 2)), 0.1, turned)
    assert sample.yaw_rad == pytest.approx(0.0)
    assert sample.sigma_rad == 0.1


def test_attitude_is_roll_and_pitch():
    assert messages.attitude(imu_message(quaternion(0.1, -0.2, 1.0)))[1:] == pytest.approx((0.1, -0.2))


def test_imu_without_orientation_gives_nothing():
    assert messages.heading(imu_message(quaternion(), first=-1.0), 0.1) is None
    assert messages.attitude(imu_message(quaternion(), first=-1.0)) is None


def test_transforms_strip_the_leading_slash():
    item = T["geometry_msgs/msg/TransformStamped"](
        header(frame="/odom"),
        "/base_link",
        T["geometry_msgs/msg/Transform"](T["geometry_msgs/msg/Vector3"](1.0, 2.0, 3.0), quaternion(yaw=math.pi / 2)),
    )
    (edge,) = messages.transforms(type("TFMessage", (), {"transforms": [item]}))
    assert edge[:3] == ("odom", "base_link", 5_000_000_007)
    assert edge.matrix @ [1, 0, 0, 1] == pytest.approx([1, 3, 3, 1])


def test_initial_pose_is_planar():
    covariance = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).ravel()
    message = T["geometry_msgs/msg/PoseWithCovarianceStamped"](
        header(), pose_covariance(3.0, 4.0, quaternion(yaw=-1.0), covariance)
    )
    frame, stamp, pose, planar = messages.pose_with_covariance(message)
    assert (frame, stamp) == ("map", 5_000_000_007)
    assert (pose.x_m, pose.y_m, pose.yaw_rad) == pytest.approx((3.0, 4.0, -1.0))
    assert planar.tolist() == np.diag([1.0, 2.0, 6.0]).tolist()


def image_message(encoding: str = "bgr8"):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., 0] = 200
    return T["sensor_msgs/msg/Image"](header(frame="optical"), 4, 6, encoding, 0, 18, pixels.ravel())


def test_raw_image_decodes_to_rgb_when_asked():
    image = messages.image(image_message(), "front", 0.5)
    assert (image.camera, image.stamp_ns, image.frame_id) == ("front", 5_500_000_007, "optical")
    rgb = image.decode()
    assert rgb.shape == (4, 6, 3)
    assert rgb[0, 0].tolist() == [0, 0, 200]


def test_frame_of_the_configuration_wins_over_that_of_the_image():
    assert messages.image(image_message(), "front", frame_id="mine").frame_id == "mine"


def test_fault_of_an_image_shows_when_it_is_decoded():
    image = messages.image(image_message("nonsense"), "front")
    with pytest.raises(ImageError):
        image.decode()


def test_compressed_image_decodes():
    data = cv2.imencode(".png", np.full((4, 6, 3), 7, np.uint8))[1].ravel()
    image = messages.image(T["sensor_msgs/msg/CompressedImage"](header(), "png", data), "front")
    assert (image.decode() == 7).all()


def camera_info(k=(500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0)):
    roi = T["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return T["sensor_msgs/msg/CameraInfo"](
        header(), 480, 640, "plumb_bob", np.zeros(5), np.array(k), np.eye(3).ravel(), np.zeros(12), 0, 0, roi
    )


def test_camera_info_becomes_a_model():
    model = messages.camera_model(camera_info())
    assert (model.width, model.height) == (640, 480)
    assert model.project(np.array([0.0, 0.0, 1.0]))[0] == pytest.approx([320.0, 240.0])


def test_camera_info_of_ros_1_reads_the_same():
    new = camera_info()
    old = type("Ros1", (), {name.upper() if len(name) == 1 else name: getattr(new, name) for name in vars(new)})
    assert messages.camera_model(old) == messages.camera_model(new)


def test_uncalibrated_camera_is_an_error():
    with pytest.raises(ImageError):
        messages.camera_model(camera_info(np.zeros(9)))
