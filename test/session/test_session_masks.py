# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks that come by topic: what moves with the vehicle, such as a trailer or a wiper."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cvloc_ros.types import CameraImage, Status

FRONT = {"mounting": [1.0, 0.2, 4.0, 0.02, 0.8, 0.1], "camera_info_topic": "front/camera_info", "mask_topic": "trailer"}


def picture(columns: slice, shape: tuple[int, int] = (180, 240)) -> np.ndarray:
    grey = np.zeros(shape, np.uint8)
    grey[:, columns] = 255
    return grey


def send(vehicle, grey: np.ndarray) -> None:
    image = CameraImage("front", 1, "cam", lambda: np.dstack([grey] * 3))
    assert vehicle.session.add_mask(image) == ""


@pytest.fixture
def vehicle(rig):
    made = rig(cameras={"front": FRONT})
    made.know_heading()
    return made


def test_each_mask_holds_until_the_next_and_earlier_places_keep_theirs(vehicle) -> None:
    vehicle.step(1.0)
    assert "no mask arrived on trailer yet" in vehicle.session.troubles()["camera"]
    send(vehicle, picture(slice(0, 60)))
    vehicle.step(2.0)
    assert vehicle.session.troubles()["camera"] == ""
    send(vehicle, picture(slice(200, 240)))
    result = vehicle.step(3.0)
    assert vehicle.error(result, 3.0)[0] < 0.3
    newest, before, first = result.views
    assert (~newest.valid).nonzero()[1].min() == 200
    assert (~before.valid).nonzero()[1].max() == 59
    assert first.valid is None


def test_what_the_trailer_covers_is_not_matched(vehicle) -> None:
    """Without its mask, a striped trailer in half of the image is matched like the road."""
    stripes = np.zeros((180, 120, 3), np.uint8)
    stripes[:, ::8] = 255

    def covered(t: float) -> CameraImage:
        seen = vehicle.image(t)
        return CameraImage("front", seen.stamp_ns, "cam", lambda: np.hstack([seen.decode()[:, :120], stripes]))

    send(vehicle, picture(slice(120, 240)))
    for t in (1.0, 2.0, 3.0):
        vehicle.feed(t + 0.1)
        result = vehicle.session.localize([covered(t)])
    assert vehicle.error(result, 3.0)[0] < 0.4


def test_mask_that_cannot_be_used_is_told_and_the_last_one_stays(vehicle) -> None:
    send(vehicle, picture(slice(0, 60)))
    vehicle.step(1.0)
    send(vehicle, np.full((180, 240), 128, np.uint8))
    result = vehicle.step(2.0)
    assert (~result.views[0].valid).nonzero()[1].max() == 59
    assert "camera front: trailer: mask holds 1 values besides 0 and 255" in vehicle.session.troubles()["camera"]


def test_camera_that_is_covered_altogether_is_left_out(vehicle, silent) -> None:
    send(vehicle, picture(slice(0, 240)))
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "its mask leaves no pixel")


def test_mask_of_another_size_than_the_image(vehicle, silent) -> None:
    send(vehicle, picture(slice(0, 10), (90, 120)))
    silent(vehicle.step(1.0), Status.BAD_IMAGE, "mask_topic is 120x90")


def test_mask_of_the_file_is_added(rig, tmp_path: Path) -> None:
    bonnet = np.zeros((180, 240), np.uint8)
    bonnet[160:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), bonnet)
    vehicle = rig(cameras={"front": {**FRONT, "mask_file": str(tmp_path / "mask.png")}})
    vehicle.know_heading()
    assert (vehicle.step(1.0).views[0].valid == (bonnet == 0)).all()
    send(vehicle, picture(slice(0, 60)))
    both = vehicle.step(2.0).views[0].valid
    assert (both == (picture(slice(0, 60)) | bonnet == 0)).all()
    send(vehicle, picture(slice(0, 10), (90, 120)))
    assert vehicle.step(3.0).views[0].valid is both
    assert "both must have the size" in vehicle.session.troubles()["camera"]


def test_camera_without_the_topic_takes_no_mask(rig) -> None:
    image = CameraImage("front", 1, "cam", lambda: np.zeros((180, 240, 3), np.uint8))
    assert rig().session.add_mask(image) == "no_mask_topic"
