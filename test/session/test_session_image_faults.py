# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from cvloc_ros import messages
from cvloc_ros.errors import ImageError
from cvloc_ros.imaging.camera import Pinhole
from cvloc_ros.types import CameraImage, Status


def test_missing_camera_info_names_the_topic(rig, silent) -> None:
    vehicle = rig()
    vehicle.session._cameras._models.clear()
    silent(vehicle.step(1.0), Status.NO_CAMERA_INFO, "front/camera_info")


def test_missing_mounting_names_the_frames(rig, silent) -> None:
    vehicle = rig(cameras={"front": {}})
    silent(vehicle.step(1.0), Status.NO_TRANSFORM, "frame base_link is unknown")
    vehicle.session.add_transform("base_link", "mast", 0, np.eye(4), static=True)
    silent(vehicle.step(2.0), Status.NO_TRANSFORM, "frame cam is unknown")


def test_image_of_another_size_than_its_calibration(rig, silent) -> None:
    vehicle = rig()
    vehicle.session.set_calibration("front", Pinhole(640, 480, 300.0, 300.0, 319.5, 239.5))
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "240x180, its calibration is for 640x480")


def test_an_image_too_high_for_a_panorama_is_a_bad_image(rig, silent) -> None:
    vehicle = rig(cameras={"front": {"mounting": [0.0, 0.0, 4.0, 0.0, 0.0, 0.0], "model": "equirectangular"}})
    vehicle.session._cameras._models.clear()
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "at most half as high as it is wide")


def test_mask_of_another_size_than_the_image(rig, tmp_path: Path, silent) -> None:
    mask = np.zeros((90, 120), np.uint8)
    mask[80:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    front = {"mounting": [0.0, 0.0, 4.0, 0.0, 0.8, 0.0], "mask_file": str(tmp_path / "mask.png")}
    vehicle = rig(cameras={"front": front})
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "mask_file or mask_topic is 120x90")


def compressed(vehicle, t: float, data: bytes) -> CameraImage:
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE).types
    header = types["std_msgs/msg/Header"]
    time = types["builtin_interfaces/msg/Time"]
    stamp = vehicle.ns(t)
    message = types["sensor_msgs/msg/CompressedImage"](
        header(time(stamp // 10**9, stamp % 10**9), "cam"), "jpeg", np.frombuffer(data, np.uint8)
    )
    return messages.image(message, "front")


def test_truncated_jpeg_is_a_bad_image_and_the_next_one_is_taken(driving, silent) -> None:
    jpeg = cv2.imencode(".jpg", driving.image(3.0).decode()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    driving.feed(5.0)
    for t, data in ((3.0, jpeg[: len(jpeg) // 2]), (3.3, b"\xff\xd8"), (3.6, b""), (3.9, b"no image at all")):
        silent(driving.session.localize([compressed(driving, t, data)]), Status.BAD_IMAGE, "camera front")
    whole = cv2.imencode(".jpg", driving.image(4.2).decode()[..., ::-1])[1].tobytes()
    assert driving.error(driving.session.localize([compressed(driving, 4.2, whole)]), 4.2)[0] < 0.3


def test_raw_image_whose_size_does_not_fit_its_data(driving, silent) -> None:
    stamp = SimpleNamespace(sec=driving.ns(3.0) // 10**9, nanosec=0)
    message = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="cam"), encoding="rgb8", width=240, height=180, step=720,
        is_bigendian=0, data=np.zeros(1000, np.uint8),
    )  # fmt: skip
    driving.feed(3.2)
    silent(driving.session.localize([messages.image(message, "front")]), Status.BAD_IMAGE)
    message.encoding, message.header.stamp.sec = "yuv_of_mars", stamp.sec + 1
    driving.feed(4.2)
    silent(driving.session.localize([messages.image(message, "front")]), Status.BAD_IMAGE, "yuv_of_mars")


def test_one_camera_of_two_fails_and_the_other_still_localizes(rig) -> None:
    same = {"mounting": [1.0, 0.2, 4.0, 0.02, 0.8, 0.1]}
    vehicle = rig(camera_names=["front", "rear"], cameras={"front": same, "rear": same})
    vehicle.know_heading()

    def broken():
        msg = "jpeg ends early"
        raise ImageError(msg)

    for t in (1.0, 2.0):
        result = vehicle.step(t, None, CameraImage("rear", vehicle.ns(t), "cam", broken))
    assert vehicle.error(result, 2.0)[0] < 0.3
    assert result.reasons == ("camera rear: jpeg ends early",)


def test_a_camera_that_looks_at_the_sky_publishes_nothing(rig, silent) -> None:
    vehicle = rig(cameras={"front": {"mounting": [1.0, 0.0, 4.0, 0.0, -0.9, 0.0]}})
    vehicle.know_heading()
    silent(vehicle.run(1.0, 2.0)[-1], Status.LOW_COVERAGE)


def test_images_of_another_world_publish_nothing(rig) -> None:
    vehicle = rig()
    vehicle.know_heading()
    rng = np.random.default_rng(3)
    for t in (1.0, 2.0, 3.0):
        vehicle.feed(t + 0.1)
        noise = cv2.GaussianBlur(rng.integers(0, 255, (180, 240, 3), np.uint8), (0, 0), 3)
        result = vehicle.session.localize([CameraImage("front", vehicle.ns(t), "cam", lambda noise=noise: noise)])
        assert result.estimate is None
    assert result.status in (Status.LOW_SCORE, Status.AMBIGUOUS, Status.WINDOW_EDGE, Status.UNCERTAIN)
