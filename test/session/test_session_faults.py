# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from cvloc_ros import messages
from cvloc_ros.config import parse
from cvloc_ros.errors import ConfigError, ImageError, ModelError, TileSourceError
from cvloc_ros.geo import se3
from cvloc_ros.imaging.camera import Pinhole
from cvloc_ros.session import Session
from cvloc_ros.types import CameraImage, HeadingSample, OdomSample, Pose2, Status


def silent(result, status: Status, text: str = "") -> None:
    assert result.status is status, (result.status, result.reasons)
    assert result.estimate is None
    assert text in "; ".join(result.reasons)


@pytest.fixture
def driving(rig):
    """A vehicle that has published once, at 2 s."""
    vehicle = rig()
    vehicle.know_heading()
    assert vehicle.run(1.0, 2.0)[-1].status is Status.OK
    return vehicle


# --- GNSS


def test_no_gnss_and_no_initial_pose(rig) -> None:
    vehicle = rig()
    vehicle.fixes = False
    for result in vehicle.run(1.0, 2.0, 3.0):
        silent(result, Status.NO_PRIOR, "inputs.fix_topic")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"latitude_deg": math.nan}, "not_finite"),
        ({"longitude_deg": math.inf}, "not_finite"),
        ({"covariance_m2": np.full((2, 2), math.nan)}, "not_finite"),
        ({"quality": -1}, "no_fix"),
        ({"quality": -1, "latitude_deg": math.nan}, "no_fix"),
        ({"latitude_deg": 97.0}, "out_of_range"),
        ({"longitude_deg": -200.0}, "out_of_range"),
    ],
)
def test_bad_fixes_are_refused_by_name_and_make_no_prior(rig, changes, reason) -> None:
    vehicle = rig()
    vehicle.fixes = False
    for t in (0.5, 1.0, 1.5):
        assert vehicle.session.add_fix(vehicle.fix(t, **changes)) == reason
    silent(vehicle.step(2.0), Status.NO_PRIOR)


def test_stale_gnss_without_own_poses(rig) -> None:
    vehicle = rig()
    vehicle.feed(2.0)
    vehicle.fixes = False
    silent(vehicle.run(3.0, 8.0)[-1], Status.STALE_PRIOR, "6.0 s old")


def test_own_poses_carry_on_where_gnss_stops(driving) -> None:
    driving.fixes = False
    for t in (4.0, 6.0, 8.0, 10.0):
        assert driving.error(driving.step(t), t)[0] < 0.3


def test_gnss_far_away_from_the_map_has_no_tiles(rig) -> None:
    vehicle = rig()
    vehicle.bias = np.array([5000.0, 0.0])
    vehicle.know_heading()
    silent(vehicle.run(1.0, 2.0)[-1], Status.NO_TILES, "no imagery")


def test_a_multipath_jump_publishes_nothing_wrong(driving) -> None:
    driving.bias = np.array([25.0, -18.0])
    published = 0
    for t in np.arange(3.0, 8.0, 0.5):
        result = driving.step(float(t))
        if result.status is Status.OK:
            published += 1
            assert driving.error(result, float(t))[0] < 0.3
    assert published > 5


@pytest.mark.parametrize("heading", [True, False])
def test_gnss_surer_of_itself_than_it_is_right_publishes_nothing_wrong(rig, heading) -> None:
    vehicle = rig()
    vehicle.bias = np.array([18.0, -14.0])  # the truth lies outside of the search window
    if heading:
        vehicle.know_heading()
    results = vehicle.run(*np.arange(1.0, 6.0))
    assert all(result.estimate is None for result in results)
    assert all(result.candidate is not None for result in results[1:])


# --- odometry


def test_odometry_that_stops_makes_the_prior_stale(driving) -> None:
    driving.odometry = False
    silent(driving.step(3.0), Status.STALE_PRIOR, "odometry does not cover")


def test_odometry_of_nan_is_refused_and_harmless(driving) -> None:
    assert driving.session.add_odom(OdomSample(driving.ns(2.05), Pose2(math.nan, 0.0, 0.0))) == "not_finite"
    assert driving.error(driving.step(3.0), 3.0)[0] < 0.3


def test_inputs_out_of_order_give_the_same_pose(rig) -> None:
    def last(order) -> Pose2:
        vehicle = rig()
        vehicle.know_heading()
        vehicle.run(1.0, 2.0)
        vehicle.odometry = vehicle.fixes = False
        start = vehicle.truth(0.0).inverse()
        for tick in order(list(range(43, 63))):
            pose = Pose2(7.0, 9.0, -1.0) @ start @ vehicle.truth(tick / 20)
            assert vehicle.session.add_odom(OdomSample(vehicle.ns(tick / 20), pose)) == ""
        for t in order([2.5, 3.0]):
            assert vehicle.session.add_fix(vehicle.fix(t)) == ""
        result = vehicle.step(3.0)
        assert vehicle.error(result, 3.0)[0] < 0.3
        return result.estimate.pose

    assert last(lambda items: items[::2] + items[1::2]) == last(lambda items: items)


# --- clock


def test_old_images_are_refused_and_change_nothing(driving) -> None:
    for t in (2.0, 1.5, -300.0):
        silent(driving.session.localize([driving.image(t)]), Status.OLD_STAMP, "before the last one")
    assert driving.error(driving.step(3.0), 3.0)[0] < 0.3


def test_after_the_clock_went_back_a_reset_recovers(driving) -> None:
    driving.rewind(10.0)
    session = driving.session
    assert session.add_odom(OdomSample(driving.ns(0.0), driving.truth(0.0))) == "clock_jump"
    assert session.add_fix(driving.fix(0.0)) == "clock_jump"
    silent(session.localize([driving.image(1.0)]), Status.OLD_STAMP)
    session.reset()
    silent(session.localize([driving.image(0.1)]), Status.NO_PRIOR)
    driving.know_heading()
    assert driving.run(1.0, 2.0)[-1].status is Status.OK
    assert driving.error(driving.step(3.0), 3.0)[0] < 0.3


def test_after_a_reset_the_heading_has_to_be_told_or_confirmed_again(driving) -> None:
    driving.session.reset()
    driving.rewind(2000.0)
    results = driving.run(1.0, 2.0)
    assert all(result.status is not Status.OK for result in results)


# --- images, calibration, mounting


def test_missing_camera_info_names_the_topic(rig) -> None:
    vehicle = rig()
    vehicle.session._cameras._models.clear()
    silent(vehicle.step(1.0), Status.NO_CAMERA_INFO, "front/camera_info")


def test_missing_mounting_names_the_frames(rig) -> None:
    vehicle = rig(cameras={"front": {}})
    silent(vehicle.step(1.0), Status.NO_TRANSFORM, "frame base_link is unknown")
    vehicle.session.add_transform("base_link", "mast", 0, np.eye(4), static=True)
    silent(vehicle.step(2.0), Status.NO_TRANSFORM, "frame cam is unknown")


def test_image_of_another_size_than_its_calibration(rig) -> None:
    vehicle = rig()
    vehicle.session.set_calibration("front", Pinhole(640, 480, 300.0, 300.0, 319.5, 239.5))
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "240x180, its calibration is for 640x480")


def test_an_image_too_high_for_a_panorama_is_a_bad_image(rig) -> None:
    vehicle = rig(cameras={"front": {"mounting": [0.0, 0.0, 4.0, 0.0, 0.0, 0.0], "model": "equirectangular"}})
    vehicle.session._cameras._models.clear()
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "at most half as high as it is wide")


def test_mask_of_another_size_than_the_image(rig, tmp_path: Path) -> None:
    mask = np.zeros((90, 120), np.uint8)
    mask[80:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    front = {"mounting": [0.0, 0.0, 4.0, 0.0, 0.8, 0.0], "mask_file": str(tmp_path / "mask.png")}
    vehicle = rig(cameras={"front": front})
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "mask_file is 120x90")


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


def test_truncated_jpeg_is_a_bad_image_and_the_next_one_is_taken(driving) -> None:
    jpeg = cv2.imencode(".jpg", driving.image(3.0).decode()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    driving.feed(5.0)
    for t, data in ((3.0, jpeg[: len(jpeg) // 2]), (3.3, b"\xff\xd8"), (3.6, b""), (3.9, b"no image at all")):
        silent(driving.session.localize([compressed(driving, t, data)]), Status.BAD_IMAGE, "camera front")
    whole = cv2.imencode(".jpg", driving.image(4.2).decode()[..., ::-1])[1].tobytes()
    assert driving.error(driving.session.localize([compressed(driving, 4.2, whole)]), 4.2)[0] < 0.3


def test_raw_image_whose_size_does_not_fit_its_data(driving) -> None:
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


def test_a_camera_that_looks_at_the_sky_publishes_nothing(rig) -> None:
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


# --- map and set-up


def test_past_the_edge_of_the_map_it_falls_silent(rig) -> None:
    vehicle = rig()
    vehicle.truth = lambda t: Pose2(60.0 + 8.0 * t, 0.0, 0.0)
    vehicle.bias = np.array([1.0, 1.0])
    vehicle.know_heading()
    results = vehicle.run(*range(1, 10))
    assert vehicle.error(results[1], 2.0)[0] < 0.3  # 14 m before the edge
    for result in results[4:]:
        assert result.status in (Status.LOW_COVERAGE, Status.NO_TILES), result.reasons
    assert all(result.estimate is None or vehicle.error(result, t)[0] < 0.3 for t, result in enumerate(results, 1))


def test_set_up_without_a_map_or_with_a_wrong_one(map_file: Path, tmp_path: Path) -> None:
    geo = {"datum": [47.0, 8.0, 0.0]}
    with pytest.raises(ConfigError, match=r"tiles\.source is empty"):
        Session.open(parse({"geo": geo}))
    with pytest.raises(TileSourceError, match="no such file"):
        Session.open(parse({"geo": geo, "tiles": {"source": str(tmp_path / "missing.mbtiles")}}))
    with pytest.raises(ConfigError, match=r"geo\.datum is empty"):
        Session.open(parse({"tiles": {"source": str(map_file)}}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_and_not_there_stops_set_up(map_file: Path) -> None:
    tree = {"geo": {"datum": [47.0, 8.0, 0.0]}, "tiles": {"source": str(map_file)}, "matcher": {"device": "cuda"}}
    with pytest.raises(ModelError, match=r"set matcher\.device to auto or cpu"):
        Session.open(parse(tree))


# --- samples that cannot be used


def test_headings_and_attitudes_that_are_not_numbers(rig) -> None:
    session = rig().session
    assert session.add_heading(HeadingSample(1, math.nan, 0.1)) == "not_finite"
    assert session.add_heading(HeadingSample(1, 0.0, math.nan)) == "not_finite"
    assert session.add_heading(HeadingSample(1, 0.0, 0.0)) == "not_finite"
    assert session.add_attitude(1, math.nan, 0.0) == "not_finite"


def test_initial_poses_that_cannot_be_used(rig) -> None:
    session = rig().session
    good = np.eye(3)
    assert session.set_initial_pose(1, Pose2(math.nan, 0.0, 0.0), good) == "not_finite"
    assert session.set_initial_pose(1, Pose2(0.0, 0.0, 0.0), np.full((3, 3), math.inf)) == "not_finite"
    assert session.set_initial_pose(1, Pose2(0.0, 0.0, 0.0), np.zeros((3, 3))) == "covariance_not_positive"


def test_transforms_that_cannot_be_used(rig) -> None:
    add = rig(inputs={"odom_topic": ""}).session.add_transform
    assert add("odom", "base_link", 1, np.full((4, 4), math.nan), static=False) == "not_finite"
    assert add("odom", "odom", 1, np.eye(4), static=False) == "self_parent"
    assert add("odom", "base_link", 10**10, se3.from_pose2(Pose2(1.0, 0.0, 0.0)), static=False) == ""
    assert add("odom", "base_link", 10**9, np.eye(4), static=False) == "clock_jump"
