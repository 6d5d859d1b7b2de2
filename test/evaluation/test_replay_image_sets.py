# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replays of cameras of unequal rates, of one that stops, and of images that cannot be waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cvloc_ros.config import Config, parse
from cvloc_ros.evaluation.bag import Bag
from cvloc_ros.evaluation.feed import Feed
from cvloc_ros.evaluation.replay import Outcome, play
from cvloc_ros.evaluation.topics import wire
from cvloc_ros.session import Session
from cvloc_ros.types import Status

MakeBag = Callable[..., Path]
CONFIG = parse({"geo": {"datum": [47.0, 8.0, 0.0]}, "tiles": {"source": "none.mbtiles"}})
START_NS = 1_700_000_000 * 10**9
MS = 1_000_000
LATE_MS = 60


def played(path: Path, session_type: Callable) -> tuple[list[Outcome], object, Feed]:
    with Bag.open(path) as bag:
        wiring = wire(bag, CONFIG)
        session = session_type(wiring.config)
        feed = Feed(session, wiring)
        outcomes: list[Outcome] = []
        play(bag, session, wiring, feed, outcomes.append)
    return outcomes, session, feed


def without_map(config: Config) -> Session:
    """Make a real session; what is looked at are the views and when they were made."""
    return Session(config, None)


def stamped(outcomes: list[Outcome]) -> list[dict[str, int]]:
    """Cameras of each set with the stamps of their images, in milliseconds from the start."""
    return [{i.camera: round((i.stamp_ns - START_NS) / 1e6) for i in outcome.images} for outcome in outcomes]


def delay_ms(outcome: Outcome) -> float:
    return (outcome.log_time_ns - outcome.images[0].stamp_ns) / 1e6


def with_images(rows: list, maker: object, stamps_ms: dict[str, list[int]]) -> list:
    """Have these images in place of those of the drive, each a little late in the log."""
    kind = "sensor_msgs/msg/CompressedImage"
    images = [
        (f"/camera/{camera}/image/compressed", kind, START_NS + (ms + LATE_MS) * MS,
         maker.image(START_NS + ms * MS, camera, ms))
        for camera, found in stamps_ms.items() for ms in found
    ]  # fmt: skip
    return sorted([*(row for row in rows if row[1] != kind), *images], key=lambda row: row[2])


def test_cameras_of_unequal_rates_are_joined_where_they_meet_and_none_is_waited_for_in_vain(
    make_bag: MakeBag, session: type, rows: list, maker: object
) -> None:
    """Front at 10 Hz, rear at 4 Hz: all images are used, each of the rear one beside one of the front."""
    stamps = {"front": [*range(10, 3600, 100)], "rear": [*range(0, 3600, 250)]}
    outcomes, _, _ = played(make_bag(rows=with_images(rows, maker, stamps)), session)
    sets = stamped(outcomes)
    assert [found["front"] for found in sets] == stamps["front"]
    assert [found["rear"] for found in sets if "rear" in found] == stamps["rear"]
    assert all(abs(found["rear"] - found["front"]) <= 50 for found in sets if "rear" in found)
    settled = [o for o in outcomes if o.images[0].stamp_ns > START_NS + 600 * MS]
    assert max(delay_ms(o) for o in settled) < LATE_MS + 100 + 50  # for the next odometry, for the rear


def test_a_replay_goes_on_without_a_camera_that_stops_and_with_it_again(
    make_bag: MakeBag, rows: list, maker: object
) -> None:
    times = [*range(0, 3600, 200)]
    stamps = {"front": times, "rear": [ms for ms in times if not 1000 <= ms < 2400]}
    path = make_bag(rows=with_images(rows, maker, stamps))
    outcomes, real, feed = played(path, without_map)
    names = {round((o.result.stamp_ns - START_NS) / 1e6): o.result.cameras for o in outcomes}
    assert [ms for ms, cameras in names.items() if "front" in cameras] == times, names
    assert {ms for ms, cameras in names.items() if cameras == ("front",)} >= {*range(1000, 2400, 200)}
    assert all(cameras == ("front", "rear") for ms, cameras in names.items() if ms < 1000 or ms > 2400)
    waited = [round((o.result.stamp_ns - START_NS) / 1e6) for o in outcomes if delay_ms(o) > 200]
    assert waited == [1000, 1200], "the lost camera is waited for once, by the sets that were open then"
    assert feed.refused["image of rear", "late"] == 1, "its first image comes after that of the front was used alone"
    real.close()


def test_images_without_a_stamp_that_moves_on_are_told_and_not_tried(
    make_bag: MakeBag, session: type, rows: list, maker: object
) -> None:
    path = make_bag(rows=with_images(rows, maker, {"front": [0, 500, 500, 1000, 1500], "rear": []}))
    outcomes, _, _ = played(path, session)
    assert [o.result.status is Status.OLD_STAMP for o in outcomes] == [False, False, True, False, False]
    assert outcomes[2].result.reasons == ("image front: stamp is not newer than the last",)


def test_images_wait_for_odometry_but_not_for_ever(make_bag: MakeBag, rows: list) -> None:
    end_ns = START_NS + 2000 * MS
    kept = [row for row in rows if row[0] not in ("/odom", "/tf") or row[2] < end_ns]
    outcomes, real, _ = played(make_bag(rows=kept), without_map)
    assert len(outcomes) == 8
    late = [o for o in outcomes if o.images[0].stamp_ns >= end_ns]
    assert len(late) == 4
    assert all(delay_ms(o) >= LATE_MS + 1000 * CONFIG.inputs.wait_s for o in late[:-1])  # the last one: the bag ends
    assert all(delay_ms(o) < LATE_MS + 50 for o in outcomes if o not in late)
    real.close()
