# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Newest-wins slot and stamp-sorted history."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvloc_ros.buffers import NewestSlot, StampBuffer

S = 1_000_000_000


def test_slot_keeps_the_newest_and_counts_drops() -> None:
    slot: NewestSlot[str] = NewestSlot()
    assert slot.put("a")
    assert not slot.put("b")
    assert not slot.put("c")
    assert slot.take(0) == "c"
    assert slot.take(0) is None
    assert slot.dropped == 2


def test_slot_wakes_a_waiting_thread() -> None:
    slot: NewestSlot[int] = NewestSlot()
    taken: list[int | None] = []
    waiter = threading.Thread(target=lambda: taken.append(slot.take()))
    waiter.start()
    slot.put(7)
    waiter.join(5)
    assert taken == [7]


def test_closing_the_slot_frees_all_waiting_threads_and_refuses_items() -> None:
    slot: NewestSlot[int] = NewestSlot()
    taken: list[int | None] = []
    waiters = [threading.Thread(target=lambda: taken.append(slot.take())) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    slot.close()
    for waiter in waiters:
        waiter.join(5)
    assert taken == [None, None, None]
    assert slot.closed
    assert not slot.put(1)
    assert slot.take() is None
    slot.close()


def test_clearing_the_slot_is_no_drop() -> None:
    slot: NewestSlot[int] = NewestSlot()
    slot.put(1)
    slot.clear()
    assert slot.take(0) is None
    assert slot.dropped == 0


def test_no_item_is_lost_or_doubled_between_threads() -> None:
    slot: NewestSlot[int] = NewestSlot()
    taken: list[int] = []

    def consume() -> None:
        while not slot.closed:
            item = slot.take(0.05)
            if item is not None:
                taken.append(item)

    consumer = threading.Thread(target=consume)
    consumer.start()
    for number in range(2000):
        slot.put(number)
    last = slot.take(0)
    slot.close()
    consumer.join(5)
    assert taken == sorted(set(taken))
    assert len(taken) + (last is not None) + slot.dropped == 2000


@given(st.lists(st.integers(0, S), min_size=1, max_size=30), st.integers(-10, S + 10))
def test_bracket_finds_both_neighbours_whatever_the_order_of_arrival(stamps: list[int], asked: int) -> None:
    buffer: StampBuffer[int] = StampBuffer(10.0)
    for stamp in stamps:
        assert buffer.add(stamp, -stamp) == ""
    before, after = buffer.bracket(asked)
    assert before == max(((s, -s) for s in stamps if s <= asked), default=None)
    assert after == min(((s, -s) for s in stamps if s >= asked), default=None)
    assert len(buffer) == len(set(stamps))
    assert [stamp for stamp, _ in buffer.between(0, asked)] == sorted({s for s in stamps if s <= asked})


def test_equal_stamp_replaces_and_exact_bracket_is_one_item() -> None:
    buffer: StampBuffer[str] = StampBuffer(10.0)
    buffer.add(5, "a")
    buffer.add(5, "b")
    assert buffer.bracket(5) == ((5, "b"), (5, "b"))
    assert len(buffer) == 1


def test_age_bounds_the_history() -> None:
    buffer: StampBuffer[int] = StampBuffer(3.0)
    for second in range(10):
        buffer.add(second * S, second)
    assert [item for _, item in buffer.between(0, 100 * S)] == [6, 7, 8, 9]
    assert (buffer.oldest, buffer.newest) == ((6 * S, 6), (9 * S, 9))


def test_a_backward_clock_jump_is_reported_and_not_stored() -> None:
    buffer: StampBuffer[str] = StampBuffer(60.0, jump_s=2.0)
    buffer.add(100 * S, "a")
    assert buffer.add(98 * S, "late") == ""
    assert buffer.add(98 * S - 1, "jump") == "clock_jump"
    assert len(buffer) == 2
    buffer.clear()
    assert buffer.newest is None
    assert buffer.oldest is None
    assert buffer.bracket(0) == (None, None)
    assert buffer.add(0, "again") == ""


def test_late_beyond_the_history_is_too_old_without_a_jump() -> None:
    buffer: StampBuffer[str] = StampBuffer(1.0, jump_s=2.0)
    buffer.add(100 * S, "a")
    assert buffer.add(100 * S - 3 * S // 2, "late") == "too_old"
    assert len(buffer) == 1


@pytest.mark.parametrize("stamp", [-5, 0, 2**62])
def test_any_integer_stamp_is_kept(stamp: int) -> None:
    buffer: StampBuffer[str] = StampBuffer(1.0)
    buffer.add(stamp, "x")
    assert buffer.newest == (stamp, "x")
