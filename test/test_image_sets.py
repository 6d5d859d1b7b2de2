# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Joining of images by stamp, and the order of stamps."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from cvloc_ros.image_sets import KEPT, ImageSets
from cvloc_ros.stamps import JUMP_NS, StampGuard
from cvloc_ros.types import CameraImage

MS = 10**6


def image(camera: str, stamp_ms: int) -> CameraImage:
    return CameraImage(camera, stamp_ms * MS, camera, lambda: np.zeros((1, 1, 3), np.uint8))


def names(sets) -> list[str]:
    """Cameras of each set, joined."""
    return [" ".join(item.camera for item in images) for images in sets]


def test_one_camera_is_complete_at_once():
    assert names(ImageSets(["a"], 0, 1.0).add(image("a", 5), 0.0)) == ["a"]


def test_set_is_complete_with_the_last_camera_and_in_the_order_of_names():
    sets = ImageSets(["a", "b", "c"], 20 * MS, 1.0)
    assert sets.add(image("c", 100), 0.0) == []
    assert sets.add(image("b", 110), 0.0) == []
    assert names(sets.add(image("a", 90), 0.0)) == ["a b c"]
    assert sets.incomplete == 0


def test_images_too_far_apart_are_different_sets():
    sets = ImageSets(["a", "b"], 20 * MS, 1.0)
    sets.add(image("a", 100), 0.0)
    assert names(sets.add(image("b", 150), 0.0)) == ["a"]
    assert names(sets.add(image("a", 151), 0.0)) == ["a b"]


def test_missing_camera_is_waited_for_once_and_again_after_its_return():
    sets = ImageSets(["a", "b"], 10 * MS, 0.3)
    sets.add(image("a", 0), 0.0)
    assert sets.due(0.2) == []
    assert names(sets.due(0.31)) == ["a"]
    assert names(sets.add(image("a", 100), 0.4)) == ["a"]
    sets.add(image("b", 200), 0.5)
    assert names(sets.add(image("a", 200), 0.5)) == ["a b"]
    assert sets.add(image("a", 300), 0.6) == []
    assert sets.incomplete == 2


def test_unfinished_sets_before_a_finished_one_come_before_it():
    sets = ImageSets(["a", "b"], 10 * MS, 0.3)
    sets.add(image("a", 0), 0.0)
    sets.add(image("a", 100), 0.1)
    assert names(sets.add(image("b", 100), 0.1)) == ["a", "a b"]  # the first image of b is of later
    assert sets.due(10.0) == []


def test_number_of_unfinished_sets_is_bounded():
    sets, used = ImageSets(["a", "b"], 0, 1.0), []
    for stamp in range(100):
        used += sets.add(image("a", stamp), 0.0)
    assert len(sets._pending) == KEPT
    assert [images[0].stamp_ns for images in used] == [stamp * MS for stamp in range(100 - KEPT)]


def test_cameras_are_given_up_on_at_the_deadline():
    sets = ImageSets(["a", "b"], 10 * MS, 0.3)
    assert sets.deadline_s == math.inf
    sets.add(image("a", 0), 1.7e9 + 0.1)  # seconds since 1970, of which a float holds no tenth exactly
    sets.add(image("a", 100), 1.7e9 + 0.2)
    assert sets.due(sets.deadline_s - 1e-6) == []
    assert names(sets.due(sets.deadline_s)) == ["a", "a"]
    assert sets.deadline_s == math.inf


@dataclasses.dataclass(frozen=True)
class Lens:
    """A simulated camera: images every `period_ms` from `phase_ms` on, which arrive `delay_ms` (and more) later."""

    period_ms: float
    phase_ms: float = 0.0
    delay_ms: float = 20.0
    jitter_ms: float = 0.0
    lost_ms: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Used:
    """A set that was handed on: its images, and how long its first one waited."""

    images: tuple[CameraImage, ...]
    at_ms: float
    waited_ms: float

    @property
    def names(self) -> set[str]:
        return {item.camera for item in self.images}


def play(
    lenses: dict[str, Lens], seconds: float = 12.0, patience_s: float = 0.3,
    on_late: Callable[[str], None] = lambda _: None,
) -> list[Used]:  # fmt: skip
    """Hand the images of all cameras over as they arrive, and look for late sets every 20 ms, as the node does."""
    rng = np.random.default_rng(7)
    arrivals: list[tuple[float, str, int]] = []
    for name, lens in lenses.items():
        for number in range(int(seconds * 1000 / lens.period_ms)):
            stamp = lens.phase_ms + number * lens.period_ms
            if not lens.lost_ms[0] <= stamp < lens.lost_ms[1]:
                arrivals.append((stamp + lens.delay_ms + rng.uniform(0, lens.jitter_ms), name, round(stamp)))
    events = sorted([*arrivals, *((float(tick), "", 0) for tick in range(0, round(seconds * 1000) + 2000, 20))])
    sets, arrived, used = ImageSets(list(lenses), 50 * MS, patience_s, on_late), {}, []
    for at_ms, name, stamp in events:
        if name:
            arrived[name, stamp * MS] = at_ms
        for found in sets.add(image(name, stamp), at_ms / 1000) if name else sets.due(at_ms / 1000):
            first = min(arrived[item.camera, item.stamp_ns] for item in found)
            used.append(Used(found, at_ms, at_ms - first))
    return used


RIGS = {
    "one": {"a": Lens(50)},
    "two of one rate": {"a": Lens(50), "b": Lens(50, 12, 60, 15)},
    "two free running at 5 Hz": {"a": Lens(200), "b": Lens(200, 110)},
    "four, one of them slow": {"a": Lens(50), "b": Lens(50, 5), "c": Lens(100, 20, 40), "d": Lens(1000, 30)},
    "six rates": {"a": Lens(33.4), "b": Lens(40, 3), "c": Lens(50, 7, 50), "d": Lens(66.7, 9),
                  "e": Lens(100, 1, 80, 20), "f": Lens(500, 100)},
}  # fmt: skip


@pytest.mark.parametrize("lenses", RIGS.values(), ids=RIGS)
def test_sets_hold_what_belongs_together_in_order_and_none_waits_longer_than_it_may(lenses):
    used = play(lenses)
    for item in used:
        stamps = [picture.stamp_ns for picture in item.images]
        assert max(stamps) - min(stamps) <= 100 * MS
        assert [picture.camera for picture in item.images] == [name for name in lenses if name in item.names]
        assert item.waited_ms <= 300 + 20
    ends = [(min(s), max(s)) for s in ([picture.stamp_ns for picture in item.images] for item in used)]
    assert all(before[1] < after[0] for before, after in pairwise(ends))
    assert set().union(*(item.names for item in used)) == set(lenses)


@pytest.mark.parametrize("lenses", RIGS.values(), ids=RIGS)
def test_every_image_is_in_one_set_or_is_told_to_be_late(lenses):
    late: list[str] = []
    used = Counter(picture.camera for item in play(lenses, on_late=late.append) for picture in item.images)
    assert used + Counter(late) == {name: int(12_000 / lens.period_ms) for name, lens in lenses.items()}
    assert len(late) <= 0.1 * used.total()


@pytest.mark.parametrize("lenses", RIGS.values(), ids=RIGS)
def test_no_set_waits_for_a_camera_that_comes_later_by_its_own_rhythm(lenses):
    settled = [item for item in play(lenses) if 2000 < item.at_ms < 12_000]  # while all of them send
    fastest = min(lens.period_ms for lens in lenses.values())
    waits = sorted(item.waited_ms for item in settled)
    assert waits[len(waits) // 2] < 100
    assert waits[-1] < 300
    assert len(settled) > 0.4 * 10_000 / fastest


@pytest.mark.parametrize("count", [2, 4, 6])
def test_lost_cameras_are_waited_for_once_and_are_back_with_their_first_images(count):
    lost = (3000.0, 8000.0)
    lenses = {f"c{i}": Lens(100, 2 * i, 20 + 5 * i, 5, lost if i % 2 else (0.0, 0.0)) for i in range(count)}
    used = play(lenses)
    stayed = {f"c{i}" for i in range(0, count, 2)}
    assert all(item.names == set(lenses) for item in used if 500 < item.at_ms < 3000)
    without = [item for item in used if 3500 < item.at_ms < 8000]
    assert all(item.names == stayed and item.waited_ms < 50 for item in without)
    assert len(without) > 40
    assert all(item.names == set(lenses) for item in used if item.at_ms > 8300)
    assert sum(item.waited_ms > 150 for item in used) <= 3


def test_cameras_of_one_trigger_were_parted_when_it_came_sooner_than_before():
    sets, used = ImageSets(["a", "b", "c"], 50 * MS, 0.3), []
    for stamp in (0, 2000, 4000, 5400, 5800, 7800, 7900, 8000):
        for number, name in enumerate("abc"):
            used += sets.add(image(name, stamp + 2 * number), (stamp + 60 + number) / 1000)
    assert names(used) == ["a b c"] * 8


def test_images_older_than_a_set_in_use_are_told_and_left_out():
    late: list[str] = []
    sets = ImageSets(["a", "b"], 10 * MS, 0.3, late.append)
    sets.add(image("a", 100), 0.0)
    assert names(sets.due(0.31)) == ["a"]
    assert sets.add(image("b", 95), 2.0) == []
    assert late == ["b"]
    assert names(sets.add(image("a", 200), 2.1)) == ["a"]  # b is far too late to be waited for
    assert names(sets.add(image("b", 205), 2.15)) == ["b"]
    assert sets.add(image("a", 300), 2.3) == []  # it is back
    assert late == ["b"]


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
