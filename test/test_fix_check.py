# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from cvloc_ros.config import Prior
from cvloc_ros.fix_check import APART, ASIDE, Expected, FixCheck, Judged

S = 1_000_000_000
CONFIG = Prior()
ORIGIN = Expected(np.zeros(2), np.eye(2))


def fix(t: float, x: float = 0.0, sigma: float = 2.0) -> Judged:
    return Judged(round(t * S), np.array([x, 0.0]), np.eye(2) * sigma**2)


def always(_fix: Judged) -> Expected:
    return ORIGIN


def never(_fix: Judged) -> None:
    return None


def follow(check: FixCheck, *fixes: Judged, past=always, own=always) -> FixCheck:
    """Hand the fixes over one after the other, as they come; all are still in the window."""
    for count in range(1, len(fixes) + 1):
        check.update(fixes[:count], own, past, CONFIG)
    return check


def test_agreeing_fixes_have_no_verdict() -> None:
    check = follow(FixCheck(), *(fix(t, 3.0) for t in range(10)))
    assert check.verdict == check.text(10 * S) == ""
    assert all(check.uses(t * S) for t in range(10))


def test_a_jump_is_set_aside_from_its_first_fix_on_and_only_after_the_patience() -> None:
    good, bad = [fix(t) for t in range(5)], [fix(t, 30.0) for t in (5, 6, 7)]
    check = follow(FixCheck(), *good, *bad[:2])
    assert check.verdict == ""
    follow(check, *good, *bad)
    assert check.verdict == ASIDE
    assert not any(check.uses(t * S) for t in range(8))
    assert "30.0 m" in check.text(9 * S)
    assert "for 4 s" in check.text(9 * S)


def test_one_outlier_is_no_verdict() -> None:
    assert follow(FixCheck(), *(fix(t, 30.0 if t == 5 else 0.0) for t in range(12))).verdict == ""


def test_gnss_comes_back_only_where_it_is_half_as_far() -> None:
    bad, border = [fix(t, 30.0) for t in range(5)], [fix(t, 5.0) for t in range(5, 10)]
    assert follow(FixCheck(), *border).verdict == ""
    check = follow(FixCheck(), *bad, *border)
    assert check.verdict == ASIDE
    follow(check, *bad, *border, *(fix(t, 4.0) for t in range(10, 13)))
    assert check.verdict == ""


def test_gnss_that_is_accused_stays_out_until_it_is_near() -> None:
    check = FixCheck()
    check.accuse(fix(0, 7.0), ORIGIN)
    assert check.verdict == APART
    assert "7.0 m" in check.text(S)
    fixes = [fix(t, 7.0) for t in range(1, 6)]
    assert follow(check, *fixes).verdict == APART
    assert follow(check, *fixes, *(fix(t, 1.0) for t in range(6, 9))).verdict == ""


def test_gnss_comes_back_after_the_patience_with_its_good_fixes() -> None:
    fixes = [*(fix(t, 30.0) for t in range(5)), *(fix(t) for t in range(5, 8))]
    check = follow(FixCheck(), *fixes)
    assert check.verdict == ""
    assert [check.uses(t * S) for t in range(8)] == [False] * 5 + [True] * 3


def test_fixes_that_continue_those_before_are_apart_not_aside() -> None:
    def past(judged: Judged) -> Expected:
        return Expected(judged.position, np.eye(2))

    assert follow(FixCheck(), *(fix(t, 30.0) for t in range(5)), past=past).verdict == APART
    assert follow(FixCheck(), *(fix(t, 30.0) for t in range(5)), past=never).verdict == APART


def test_setting_aside_ends_with_the_alignment_window() -> None:
    last = round(CONFIG.align_window_s) + 5
    check = follow(FixCheck(), *(fix(t, 30.0) for t in range(last)))
    assert check.verdict == APART


def test_uncertain_fixes_and_uncertain_own_poses_do_not_contradict() -> None:
    assert follow(FixCheck(), *(fix(t, 30.0, sigma=10.0) for t in range(5))).verdict == ""
    rough = Expected(np.zeros(2), np.eye(2) * 100.0)
    assert follow(FixCheck(), *(fix(t, 30.0) for t in range(5)), own=lambda _: rough).verdict == ""


@pytest.mark.parametrize("rate_hz", [1, 10])
def test_patience_is_a_time_not_a_number_of_fixes(rate_hz: int) -> None:
    fixes = [fix(number / rate_hz, 30.0) for number in range(2 * rate_hz + 1)]
    assert follow(FixCheck(), *fixes[:-1]).verdict == ""
    assert follow(FixCheck(), *fixes).verdict == ASIDE


def test_nothing_is_judged_without_own_poses() -> None:
    assert follow(FixCheck(), *(fix(t, 30.0) for t in range(5)), own=never).verdict == ""


def test_clear_trusts_gnss_again() -> None:
    check = follow(FixCheck(), *(fix(t, 30.0) for t in range(5)))
    check.clear()
    assert check.verdict == ""
    assert check.uses(3 * S)
