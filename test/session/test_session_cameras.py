# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which cameras a pose was made of."""

from __future__ import annotations

import math

import pytest

from cvloc_ros.types import Status

FRONT = {"mounting": [1.0, 0.2, 4.0, 0.02, 0.8, 0.1], "camera_info_topic": "front/camera_info"}
REAR = {"mounting": [-1.0, 0.0, 4.0, 0.0, 0.8, math.pi], "camera_info_topic": "rear/camera_info"}


@pytest.fixture
def two_eyed(rig):
    made = rig(camera_names=["front", "rear"], cameras={"front": FRONT, "rear": REAR})
    made.know_heading()
    made.step(1.0, None, made.image(1.02, "rear"))
    return made


def test_result_names_the_cameras_of_this_moment_and_not_those_of_earlier_places(two_eyed) -> None:
    both = two_eyed.step(2.0, None, two_eyed.image(2.02, "rear"))
    assert (both.status, both.cameras) == (Status.OK, ("front", "rear"))
    alone = two_eyed.step(3.0)
    assert two_eyed.error(alone, 3.0)[0] < 0.3
    assert alone.cameras == ("front",)
    assert {view.camera_name for view in alone.views} == {"front", "rear"}


def test_a_camera_that_cannot_be_used_is_told_and_the_others_go_on(two_eyed) -> None:
    del two_eyed.session._cameras._models["rear"]
    result = two_eyed.step(2.0, None, two_eyed.image(2.02, "rear"))
    assert two_eyed.error(result, 2.0)[0] < 0.3
    assert result.cameras == ("front",)
    assert "camera rear: no calibration arrived" in result.reasons[-1]
    assert "camera rear: no calibration arrived" in two_eyed.session.troubles()["camera"]
    two_eyed.step(3.0)
    assert two_eyed.session.troubles()["camera"] == ""
