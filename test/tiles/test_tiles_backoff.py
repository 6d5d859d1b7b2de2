# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pauses double, end, and cover the provider when it is the provider that fails."""

import random

import pytest

from cvloc_ros.tiles.backoff import Backoff
from cvloc_ros.tiles.store import TileKey

ONE, OTHER = TileKey(1, 0, 0), TileKey(1, 1, 0)


@pytest.fixture
def clock():
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def backoff(clock):
    return Backoff(clock, random.Random(1))  # noqa: S311


def test_pause_of_a_tile_doubles_ends_and_leaves_others_alone(backoff, clock):
    pauses = []
    for _ in range(12):
        backoff.tile_failed(ONE, "broken")
        backoff.succeeded(OTHER)
        pauses.append(backoff.wait_for(ONE).seconds)
        assert backoff.wait_for(OTHER) is None
        clock.now += pauses[-1]
        assert backoff.wait_for(ONE) is None
    assert all(2.0 * 2**n <= pause <= 2.5 * 2**n for n, pause in enumerate(pauses[:8]))
    assert max(pauses) <= 750.0


def test_success_forgets(backoff):
    backoff.tile_failed(ONE, "broken")
    backoff.all_failed("gone")
    backoff.succeeded(ONE)
    assert backoff.wait_for(ONE) is None


def test_wish_of_the_server_is_kept_within_an_hour(backoff):
    backoff.all_failed("busy", 120.0)
    assert backoff.wait_for(OTHER).seconds == 120.0
    backoff.all_failed("busy", 1e9)
    assert backoff.wait_for(OTHER).seconds == 3600.0


@pytest.mark.parametrize(("refused", "count"), [(True, 3), (False, 6)])
def test_many_faults_in_a_row_pause_the_provider(backoff, refused, count):
    for n in range(count):
        assert backoff.wait_for(TileKey(9, 9, 9)) is None
        backoff.tile_failed(TileKey(5, n, 0), "no", refused=refused)
    wait = backoff.wait_for(TileKey(9, 9, 9))
    assert wait.reason == "no"
    assert wait.refused is refused


def test_two_requests_that_fail_together_lengthen_the_pause_once(backoff, clock):
    for _ in range(4):
        backoff.all_failed("no route")
        backoff.all_failed("no route")
        pause_s = backoff.wait_for(ONE).seconds
        clock.now += pause_s
    assert 16.0 <= pause_s <= 20.0


def test_map_is_asked_for_every_minute_after_a_long_outage(backoff, clock):
    for _ in range(20):
        backoff.all_failed("no route")
        clock.now += backoff.wait_for(ONE).seconds
    backoff.all_failed("no route")
    assert backoff.wait_for(ONE).seconds <= 75.0
