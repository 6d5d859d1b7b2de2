# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finding topics without configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cvloc_ros.config import Config, parse
from cvloc_ros.errors import BagError, ConfigError
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.salvage import Topic
from cvloc_ros.evaluation.topics import find_cameras, wire

DATA = Path(__file__).parents[2].parent / "shared" / "data"


class Listing:
    """Topics without messages."""

    path = "listing"

    def __init__(self, **topics: str) -> None:
        self.topics = {name: Topic(name, f"x/msg/{kind}", 1) for name, kind in topics.items()}

    def find(self, *types: str) -> list[Topic]:
        return sorted((t for t in self.topics.values() if t.type.split("/")[-1] in types), key=lambda t: t.name)


def cameras(**topics: str) -> dict[str, dict[str, str]]:
    return find_cameras(Listing(**topics))


def test_drive_is_wired_by_default_settings(make_bag: Callable[..., Path]) -> None:
    with Bag.open(make_bag()) as bag:
        wiring = wire(bag, Config())
    assert wiring.images == {"/camera/front/image/compressed": "front", "/camera/rear/image/compressed": "rear"}
    assert wiring.infos == {"/camera/front/camera_info": "front", "/camera/rear/camera_info": "rear"}
    assert (wiring.fix, wiring.odom, wiring.truth) == ("/fix", "/odom", "/ground_truth/pose")
    assert wiring.config.cameras["front"].transport == "compressed"
    assert wiring.config.inputs.fix_topic == "/fix"


@pytest.mark.skipif(not DATA.is_dir(), reason="shared/data is absent")
def test_paris_drive_is_wired_by_default_settings() -> None:
    with Bag.open(DATA / "paris_drive" / "bag") as bag:
        wiring = wire(bag, Config())
    assert wiring.config.camera_names == ["front", "left", "rear", "right"]
    assert len(wiring.infos) == 4
    assert (wiring.fix, wiring.odom, wiring.truth, wiring.notes) == ("/fix", "/odom", "/ground_truth/pose", ())


def test_one_camera_and_common_spellings() -> None:
    found = cameras(**{"/camera/image_raw": "Image", "/camera/image_rect": "Image", "/camera/camera_info": "CameraInfo",
                       "/camera/image_raw/compressed": "CompressedImage", "/camera/depth/image": "Image"})
    assert found == {"camera": {"image_topic": "/camera/image_raw", "camera_info_topic": "/camera/camera_info",
                                "transport": "raw"}}
    assert list(cameras(**{"/image": "Image"})) == ["camera"]
    found = cameras(**{"/cam/image": "Image", "/elsewhere/camera_info": "CameraInfo"})
    assert found["cam"]["camera_info_topic"] == "/elsewhere/camera_info"


def test_names_are_what_tells_cameras_apart() -> None:
    found = cameras(**{"/sensors/cam-0/image_color": "Image", "/sensors/cam-1/image_color": "Image"})
    assert list(found) == ["cam_0", "cam_1"]
    found = cameras(**{"/front/left/image": "Image", "/rear/left/image": "Image"})
    assert list(found) == ["front_left", "rear_left"]


def test_configured_topic_must_exist(make_bag: Callable[..., Path]) -> None:
    with Bag.open(make_bag()) as bag:
        with pytest.raises(BagError, match=r"/gps/fix.*/fix"):
            wire(bag, parse({"inputs": {"fix_topic": "gps/fix"}}))
        with pytest.raises(BagError, match="front/image/compressed"):
            wire(bag, parse({"cameras": {"a": {"image_topic": "/nothing"}}}))
        with pytest.raises(BagError, match="--truth-topic"):
            wire(bag, Config(), "nothing")
        lenient = wire(bag, parse({"inputs": {"fix_topic": "gps/fix"}}), strict=False)
        assert lenient.fix == "" and "gps/fix" in lenient.notes[0]


def test_found_cameras_can_be_adjusted(make_bag: Callable[..., Path]) -> None:
    with Bag.open(make_bag()) as bag:
        wiring = wire(bag, Config(), cameras={"rear": {"stamp_offset_s": 0.5}})
        assert wiring.config.cameras["rear"].stamp_offset_s == 0.5
        with pytest.raises(ConfigError, match=r"cameras\.left.*front, rear"):
            wire(bag, Config(), cameras={"left": {}})


def test_inputs_can_be_turned_off_and_choices_are_told() -> None:
    listing = Listing(**{"/image": "Image", "/fix": "NavSatFix", "/odom": "Odometry", "/visual/odom": "Odometry"})
    assert wire(listing, parse({"inputs": {"fix_topic": ""}})).fix == ""
    odometry = {"/wheel/odom": "Odometry", "/visual/x": "Odometry"}
    listing = Listing(**{"/image": "Image", "/a/datum": "NavSatFix", **odometry})
    wiring = wire(listing, Config())
    assert (wiring.odom, wiring.fix, wiring.datum) == ("/wheel/odom", "", "/a/datum")
    assert any("/visual/x" in note for note in wiring.notes)


def test_bag_without_camera_is_refused() -> None:
    with pytest.raises(BagError, match="no image topic"):
        wire(Listing(**{"/fix": "NavSatFix"}), Config())
