# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frame tree: interpolation, refusals, conflicts."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.errors import TransformError
from cvloc_ros.geo import se3
from cvloc_ros.geo.transforms import ALWAYS_NS, FrameLookupError, TransformTree

if TYPE_CHECKING:
    from cvloc_ros.types import F64

S = 1_000_000_000
CAMERA = se3.from_rpy(-math.pi / 2, 0.1, -math.pi / 2, (1.5, 0.2, 1.6))


def vehicle() -> TransformTree:
    """odom -> base_link at 10 Hz for 10..11 s, driving along x; base_link -> camera static."""
    tree = TransformTree()
    tree.add("base_link", "camera", 0, CAMERA, static=True)
    for k in range(11):
        tree.add("odom", "base_link", 10 * S + k * S // 10, se3.from_rpy(0, 0, 0.1 * k, (k, 0, 0)), static=False)
    return tree


def refusal(tree: TransformTree, target: str, source: str, stamp_ns: int) -> FrameLookupError:
    with pytest.raises(FrameLookupError) as caught:
        tree.lookup(target, source, stamp_ns)
    assert isinstance(caught.value, TransformError)
    return caught.value


def test_lookup_interpolates_at_the_stamp() -> None:
    found = vehicle().lookup("odom", "base_link", 10 * S + S // 20)
    assert found == pytest.approx(se3.from_rpy(0, 0, 0.05, (0.5, 0, 0)))


def test_lookup_goes_up_and_down_the_tree() -> None:
    tree = vehicle()
    tree.add("base_link", "imu", 0, se3.from_translation((0, 0, 1)), static=True)
    assert tree.lookup("imu", "camera", 5 * S) == pytest.approx(se3.from_translation((0, 0, -1)) @ CAMERA)
    stamp = 10 * S + 3 * S // 10
    assert tree.lookup("odom", "camera", stamp) == pytest.approx(se3.from_rpy(0, 0, 0.3, (3, 0, 0)) @ CAMERA)
    assert tree.lookup("camera", "odom", stamp) == pytest.approx(np.linalg.inv(tree.lookup("odom", "camera", stamp)))
    assert tree.lookup("base_link", "base_link", 0) == pytest.approx(np.eye(4))


def test_static_chains_hold_at_any_stamp_even_below_missing_odometry() -> None:
    tree = vehicle()
    assert tree.lookup("base_link", "camera", 99 * S) == pytest.approx(CAMERA)
    assert tree.latest_stamp("base_link", "camera") == ALWAYS_NS


def test_each_refusal_has_its_reason_and_names_the_frames() -> None:
    tree = vehicle()
    tree.add("world", "drone", 0, np.eye(4), static=True)
    unknown = refusal(tree, "base_link", "kamera", 10 * S)
    assert (unknown.reason, "kamera" in str(unknown), "camera" in str(unknown)) == ("unknown_frame", True, True)
    assert refusal(tree, "odom", "drone", 10 * S).reason == "not_connected"
    early = refusal(tree, "odom", "camera", 9 * S)
    assert (early.reason, early.missing_s) == ("too_early", pytest.approx(1.0))
    late = refusal(tree, "odom", "camera", 11 * S + S // 4)
    assert (late.reason, late.missing_s) == ("not_yet", pytest.approx(0.25))
    assert "base_link" in str(late)
    assert refusal(TransformTree(), "a", "b", 0).reason == "unknown_frame"


def test_latest_stamp_is_that_of_the_slowest_link() -> None:
    tree = vehicle()
    tree.add("map", "odom", 10 * S + S // 2, np.eye(4), static=False)
    assert tree.latest_stamp("odom", "camera") == 11 * S
    assert tree.latest_stamp("map", "camera") == 10 * S + S // 2
    assert tree.latest_stamp("map", "nowhere") is None


def test_leading_slashes_are_ignored() -> None:
    tree = TransformTree()
    tree.add("/odom", "/base_link", S, np.eye(4), static=False)
    assert tree.frames() == {"base_link": "odom"}
    assert tree.lookup("/odom", "base_link", S) == pytest.approx(np.eye(4))


@pytest.mark.parametrize(
    ("parent", "child", "matrix", "reason"),
    [
        ("a", "a", np.eye(4), "self_parent"),
        ("", "a", np.eye(4), "empty_name"),
        ("a", "/", np.eye(4), "empty_name"),
        ("a", "b", np.full((4, 4), np.nan), "not_finite"),
        ("a", "b", se3.from_quaternion((0, 0, 0, 0)), "not_finite"),
        ("a", "b", np.diag([2.0, 2, 2, 1]), "not_rigid"),
        ("a", "b", np.zeros((4, 4)), "not_rigid"),
        ("a", "b", np.eye(3), "not_rigid"),
        ("camera", "odom", np.eye(4), "loop"),
    ],
)
def test_bad_input_is_refused_with_its_reason(parent: str, child: str, matrix: F64, reason: str) -> None:
    tree = vehicle()
    before = tree.frames()
    assert tree.add(parent, child, 11 * S, matrix, static=False) == reason
    assert tree.frames() == before


def test_out_of_order_stamps_are_sorted_in() -> None:
    tree = TransformTree()
    for second in (1, 3, 2):
        assert tree.add("a", "b", second * S, se3.from_translation((second**2, 0, 0)), static=False) == ""
    assert tree.lookup("a", "b", 3 * S // 2)[0, 3] == pytest.approx(2.5)
    assert tree.latest_stamp("a", "b") == 3 * S


def test_same_stamp_replaces() -> None:
    tree = TransformTree()
    for x in (1.0, 2.0):
        tree.add("a", "b", S, se3.from_translation((x, 0, 0)), static=False)
    assert tree.lookup("a", "b", S)[0, 3] == 2.0


def test_history_is_bounded() -> None:
    tree = TransformTree(history_s=5.0)
    for second in range(20):
        tree.add("a", "b", second * S, np.eye(4), static=False)
    assert refusal(tree, "a", "b", 13 * S).reason == "too_early"
    assert tree.lookup("a", "b", 14 * S) == pytest.approx(np.eye(4))


def test_a_clock_that_jumps_back_is_reported_and_cleared() -> None:
    tree = vehicle()
    assert tree.add("odom", "base_link", 2 * S, np.eye(4), static=False) == "clock_jump"
    tree.clear()
    assert tree.lookup("base_link", "camera", 0) == pytest.approx(CAMERA), "static transforms stay"
    assert tree.add("odom", "base_link", 2 * S, np.eye(4), static=False) == ""
    assert refusal(tree, "odom", "camera", 10 * S).reason == "not_yet"
    short = TransformTree(history_s=1.0)
    short.add("a", "b", 10 * S, np.eye(4), static=False)
    assert short.add("a", "b", 10 * S - 3 * S // 2, np.eye(4), static=False) == "too_old"


def test_two_publishers_of_one_frame_are_a_conflict_never_a_mixture() -> None:
    tree = vehicle()
    assert tree.add("map", "base_link", 11 * S + 1, np.eye(4), static=False) == ""
    assert tree.frames()["base_link"] == "map", "the newest parent wins"
    failed = refusal(tree, "map", "camera", 10 * S)
    assert failed.reason == "conflict"
    assert "odom" in str(failed)
    assert "map" in str(failed)
    assert tree.add("odom", "base_link", 11 * S, np.eye(4), static=False) == "older_parent"
    assert len(tree.conflicts()) == 1
    tree.clear()
    assert tree.conflicts() == ()


def test_a_static_frame_published_dynamically_is_a_conflict() -> None:
    tree = vehicle()
    tree.add("base_link", "camera", 11 * S, np.eye(4), static=False)
    assert "static" in tree.conflicts()[0]
    assert refusal(tree, "base_link", "camera", 10 * S).reason == "conflict"


def test_repeated_static_transform_replaces() -> None:
    tree = vehicle()
    tree.add("base_link", "camera", 0, np.eye(4), static=True)
    assert tree.lookup("base_link", "camera", 0) == pytest.approx(np.eye(4))
    assert tree.conflicts() == ()


def test_stored_transforms_are_copies() -> None:
    tree = TransformTree()
    matrix = np.eye(4)
    tree.add("a", "b", S, matrix, static=False)
    matrix[0, 3] = 7.0
    tree.lookup("a", "b", S)[0, 3] = 9.0
    assert tree.lookup("a", "b", S)[0, 3] == 0.0


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=20, unique=True), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(stamps: list[int], rng: object) -> None:
    shuffled = sorted(stamps, key=lambda _: rng.random())  # type: ignore[attr-defined]
    trees = []
    for order in (sorted(stamps), shuffled):
        tree = TransformTree()
        for stamp in order:
            tree.add("a", "b", stamp, se3.from_rpy(0, 0, stamp * 1e-9, (stamp * 1e-9, 0, 0)), static=False)
        trees.append(tree)
    middle = (min(stamps) + max(stamps)) // 2
    found = trees[0].lookup("a", "b", middle)
    assert np.array_equal(found, trees[1].lookup("a", "b", middle))
    assert se3.to_pose2(found).yaw_rad == pytest.approx(middle * 1e-9)


def test_threads_may_write_while_one_reads() -> None:
    tree = vehicle()
    def write(child: str) -> None:
        for k in range(300):
            tree.add("base_link", child, 10 * S + k, np.eye(4), static=False)

    writers = [threading.Thread(target=write, args=(f"wheel{n}",)) for n in range(3)]
    for writer in writers:
        writer.start()
    found = [tree.lookup("odom", "camera", 10 * S + S // 3) for _ in range(300)]
    for writer in writers:
        writer.join()
    assert all(np.array_equal(transform, found[0]) for transform in found)
    assert len(tree.frames()) == 5
