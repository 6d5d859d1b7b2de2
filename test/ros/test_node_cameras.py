# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One to six cameras, raw and compressed, that are lost and come back, and what the node says of it."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rig import HEIGHT, WIDTH, Rig, stamp_now, wait_for
from sensor_msgs.msg import CompressedImage, Image

from cvloc_ros.ros import compat, convert
from cvloc_ros.ros.diagnostics import ERROR, WARN
from cvloc_ros.ros.standins import byte_array

JPEG = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 100, np.uint8))[1].tobytes()
MS = 1_000_000

pytestmark = pytest.mark.skipif(compat.LocalizationStatus is None, reason="the status message was not generated")


class Fleet:
    """A node with several cameras; those of odd number are compressed."""

    def __init__(self, rig, count: int, wait_s: float = 0.3) -> None:
        self.names = [f"c{number}" for number in range(count)]
        sections = {}
        for number, name in enumerate(self.names):
            sections[f"cameras.{name}.image_topic"] = name
            sections[f"cameras.{name}.camera_info_topic"] = "camera_info"
            sections[f"cameras.{name}.transport"] = "compressed" if number % 2 else "raw"
        self.made: Rig = rig(
            camera_names=self.names, inputs__wait_s=wait_s, prior__fix_max_age_s=120.0, output__image_timeout_s=0.5,
            estimation__max_latency_s=30.0, **sections,
        )  # fmt: skip
        self.statuses = self.made.listen("~/status", compat.LocalizationStatus)
        self.made.ready_to_drive()
        self.made.send_odom(stamp_now(3600.0), x=1.0)  # no image waits for odometry
        wait_for(lambda: set(self.made.session.models) == set(self.names), what="calibration of all")

    def topic(self, name: str) -> str:
        return f"{name}/compressed" if int(name[1:]) % 2 else name

    def open(self, names: list[str], qos: str = "reliable") -> None:
        for name in names:
            compressed = self.topic(name) != name
            self.made.publisher(self.topic(name), CompressedImage if compressed else Image, qos)

    def lose(self, names: list[str]) -> None:
        for name in names:
            self.made.vehicle.destroy_publisher(self.made._publishers.pop(self.topic(name)))

    def send(self, names: list[str], qos: str = "reliable") -> None:
        """Send one image of each, a few milliseconds apart."""
        stamp = stamp_now()
        for number, name in enumerate(names):
            self.send_one(name, stamp + number * 2_000_000, qos)

    def send_one(self, name: str, stamp_ns: int, qos: str = "reliable") -> None:
        if self.topic(name) == name:
            self.made.send_image(stamp_ns, topic=name, qos=qos)
        else:
            self.made.send_compressed(stamp_ns, JPEG, self.topic(name))

    def again(self, names: list[str], qos: str = "reliable") -> None:
        self.send(names, qos)
        time.sleep(0.1)

    def drive(self, names: list[str], qos: str = "reliable") -> None:
        """Send images until a pose was made of just these cameras."""
        before = len(self.statuses)

        def used() -> bool:
            self.again(names, qos)
            return any(item.accepted and set(item.cameras) == set(names) for item in self.statuses[before:])

        wait_for(used, 30.0, f"a pose by {names}")


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_cameras_are_lost_and_come_back_with_another_reliability_and_each_pose_names_its_own(rig, count):
    fleet = Fleet(rig, count)
    lost, rest = fleet.names[::2], fleet.names[1::2]
    told = fleet.made.listen("/diagnostics", DiagnosticArray)

    def inputs(level: bytes, text: str) -> bool:
        groups = [status for item in told[-1:] for status in item.status if status.name.endswith("inputs")]
        return any(status.level == level and text in status.message for status in groups)

    fleet.open(fleet.names)
    fleet.drive(fleet.names)
    fleet.lose(lost)
    if rest:
        fleet.drive(rest)
        silent = f"no image on /{fleet.made.namespace}/{lost[0]}"
        wait_for(lambda: fleet.again(rest) or inputs(WARN, silent), 30.0, "warning of the lost camera")
    else:
        fleet.made.status("no_image", 30.0)
        wait_for(lambda: inputs(ERROR, "no image on"), 30.0, "error of the only camera")
    fleet.open(lost, "best_effort")
    fleet.drive(fleet.names, "best_effort")


def test_cameras_of_unequal_rates_are_joined_where_they_meet_and_none_is_waited_for_in_vain(rig):
    """At 10 Hz and at 4 Hz, as in test_replay_image_sets: each image of the slow one is used beside one of the fast."""
    fleet = Fleet(rig, 2, wait_s=5.0)  # how busy this machine is decides nothing
    fleet.open(fleet.names)
    fast, slow = range(10, 2000, 100), range(0, 2000, 250)
    start, sent = stamp_now(), {"c0": 0, "c1": 0}
    for stamp_ms, name in sorted([*((ms, "c0") for ms in fast), *((ms, "c1") for ms in slow)]):
        fleet.send_one(name, start + stamp_ms * MS)
        sent[name] += 1
        fleet.made.arrived(f"image {name}", sent[name])
        fleet.made.run(lambda: True)  # after the callback
        wait_for(lambda: not fleet.made.node._slot._full, what="worker")
    # The second one waits for the rhythm of the slow camera and is overtaken, the last one waits still.
    expected = [[ms, *(other for other in slow if abs(other - ms) <= 50)] for ms in fast if ms not in (110, 1910)]
    wait_for(lambda: len(fleet.made.session.localized) == len(expected), what="all sets")
    used = [[(image.stamp_ns - start) // MS for image in images] for images in fleet.made.session.localized]
    assert used == expected
    assert fleet.made.node._inputs.incomplete_sets == 1 + sum(len(found) == 1 for found in expected)


def test_diagnostics_name_the_cameras_of_the_last_pose(rig):
    fleet = Fleet(rig, 2)
    told = fleet.made.listen("/diagnostics", DiagnosticArray)
    fleet.open(fleet.names)
    fleet.drive(["c0", "c1"])

    def named() -> bool:
        statuses = [status for item in told for status in item.status]
        return any(pair.key == "cameras" and pair.value == "c0 c1" for status in statuses for pair in status.values)

    wait_for(named, what="cameras in diagnostics")


def mask(rows: int) -> Image:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[-rows:] = 255
    return Image(header=convert.header(stamp_now(), "camera"), height=HEIGHT, width=WIDTH, encoding="mono8", step=WIDTH,
                 data=byte_array(pixels))  # fmt: skip


def test_masks_stream_to_the_session_undecoded(rig):
    made = rig(cameras__camera__mask_topic="mask")
    publisher = made.publisher("mask", Image, "best_effort", match=False)
    wait_for(publisher.get_subscription_count, what="reader of masks")
    for rows in (2, 5):
        publisher.publish(mask(rows))
        made.arrived("mask camera", 1 if rows == 2 else 2)
    assert [(item.decode()[:, 0, 0] == 255).sum() for item in made.session.masks] == [2, 5]


def test_a_mask_that_was_sent_once_before_the_node_came_is_heard(rig):
    made = rig(start=False, cameras__camera__mask_topic="mask")
    made.publisher("mask", Image, "latched", match=False).publish(mask(3))
    assert made.start()
    made.arrived("mask camera")
    assert (made.session.masks[0].decode()[:, 0, 0] == 255).sum() == 3
