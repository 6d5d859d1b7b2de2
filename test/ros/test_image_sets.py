# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joining of images by stamp, and the order of stamps."""

from __future__ import annotations

import numpy as np

from cvloc_ros.ros.image_sets import PENDING, ImageSets
from cvloc_ros.ros.stamps import JUMP_NS, StampGuard
from cvloc_ros.types import CameraImage

MS = 10**6


def image(camera: str, stamp_ms: int) -> CameraImage:
    return CameraImage(camera, stamp_ms * MS, camera, lambda: np.zeros((1, 1, 3), np.uint8))


def names(images) -> list[str]:
    return [item.camera for item in images]


def test_one_camera_is_complete_at_once():
    assert names(ImageSets(["a"], 0, 1.0).add(image("a", 5), 0.0)) == ["a"]


def test_set_is_complete_with_the_last_camera_and_in_the_order_of_names():
    sets = ImageSets(["a", "b", "c"], 20 * MS, 1.0)
    assert sets.add(image("c", 100), 0.0) is None
    assert sets.add(image("b", 110), 0.0) is None
    assert names(sets.add(image("a", 90), 0.0)) == ["a", "b", "c"]
    assert sets.incomplete == 0


def test_images_too_far_apart_are_different_sets():
    sets = ImageSets(["a", "b"], 20 * MS, 1.0)
    sets.add(image("a", 100), 0.0)
    assert sets.add(image("b", 150), 0.0) is None
    assert names(sets.add(image("a", 151), 0.0)) == ["a", "b"]


def test_missing_camera_is_waited_for_once_and_again_after_its_return():
    sets = ImageSets(["a", "b"], 10 * MS, 0.3)
    sets.add(image("a", 0), 0.0)
    assert sets.due(0.2) is None
    assert names(sets.due(0.31)) == ["a"]
    assert names(sets.add(image("a", 100), 0.4)) == ["a"]
    sets.add(image("b", 200), 0.5)
    assert names(sets.add(image("a", 200), 0.5)) == ["a", "b"]
    assert sets.add(image("a", 300), 0.6) is None
    assert sets.incomplete == 2


def test_unfinished_sets_before_a_finished_one_are_let_go():
    sets = ImageSets(["a", "b"], 10 * MS, 0.3)
    sets.add(image("a", 0), 0.0)
    sets.add(image("a", 100), 0.1)
    sets.add(image("b", 100), 0.1)
    assert sets.due(10.0) is None


def test_number_of_unfinished_sets_is_bounded():
    sets = ImageSets(["a", "b"], 0, 1.0)
    for stamp in range(100):
        sets.add(image("a", stamp), 0.0)
    assert len(sets._pending) == PENDING


def test_stamps_are_judged_topic_by_topic():
    guard = StampGuard()
    assert guard.check("a", 10 * JUMP_NS) == ""
    assert guard.check("b", JUMP_NS) == ""
    assert guard.check("a", 10 * JUMP_NS) == "old_stamp"
    assert guard.check("a", 10 * JUMP_NS - JUMP_NS) == "old_stamp"
    assert guard.check("a", 9 * JUMP_NS - 1) == "clock_jump"
    assert guard.check("a", 0) == "zero_stamp"
    guard.clear()
    assert guard.check("a", 1) == ""
