# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""results.md says what was measured, on what, and what failed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cvloc_ros.evaluation.suite import tables
from cvloc_ros.evaluation.suite.record import RunName, RunRecord
from cvloc_ros.evaluation.suite.summary import summarize
from cvloc_ros.evaluation.suite.tables import Table

Maker = Callable[..., RunRecord]


def test_row_by_hand(by_hand: Maker) -> None:
    rows = [
        {"off": (0.3, 0.4, 2.0), "gnss": 2.0}, {"off": (4.0, 0.0, 1.0), "gnss": 4.0},
        {"status": "ambiguous", "gnss": 1.0}, {"off": (0.5, 0.0, 0.0)},
    ]  # fmt: skip
    ours, gnss = tables.results(summarize([by_hand(rows)])).rows
    assert ours[:7] == ("made up", "clear", "1", "4", "75 %", "0.50", "3.65")
    assert ours[7:] == ("1.00", "50 %", "50 %", "33 % (1)", "23.7", "100")  # NEES: 5, 65, 1
    assert gnss == ("GNSS alone", "clear", "1", "4", "75 %", "2.00", "3.80", "–", "0 %", "50 %", "33 %", "–", "–")


def test_gnss_has_a_row_per_condition_or_per_matcher_where_attempts_differ(by_hand: Maker) -> None:
    same = [by_hand([{"gnss": 1.0}], matcher=matcher) for matcher in ("x", "y")]
    assert [row[0] for row in tables.results(summarize(same)).rows] == ["x", "y", "GNSS alone"]
    other = by_hand([{"gnss": 1.0}, {"gnss": 3.0}], matcher="z")
    names = [row[0] for row in tables.results(summarize([same[0], other], {RunName("a", "clear", "w"): "?"})).rows]
    assert names == ["w", "x", "z", "GNSS alone, attempts of x", "GNSS alone, attempts of z"]


def test_markdown_says_data_date_hardware_and_failures(made_up: Maker, rng: np.random.Generator) -> None:
    records = [made_up(rng, f"d{i}", n=20) for i in range(3)]
    failures = {RunName("d9", "clear", "made up"): "no | map"}
    text = tables.markdown(summarize(records, failures, suite="smoke", resamples=20))
    for said in ("**Simulated.**", "**Few drives.**", "**Failed.** 1 run ", "3 simulated drives, 3 runs, 54 attempts",
                 "2026-01-02", "made-up processor", "3 (1 failed)", "no \\| map", "fewer than 5 drives"):
        assert said in text
    assert "nan" not in text.lower()
    assert "None" not in text


def test_unknown_date_and_a_single_drive_read_well(by_hand: Maker) -> None:
    said = tables.conditions(summarize([by_hand([{}])]))
    assert said.startswith("1 drive, 1 run, 1 attempt, 0.0 min of driving in all runs; unknown date; unknown hardware;")


def test_real_drives_are_not_called_simulated(by_hand: Maker) -> None:
    assert "imulated" not in tables.markdown(summarize([by_hand([{}])]))


def test_what_the_caller_adds_is_told(by_hand: Maker) -> None:
    skipped = [{"drive": d, "condition": "fog", "matcher": "x", "reason": "recorded drive"} for d in "ab"]
    text = tables.markdown({**summarize([by_hand([{}])]), "about": "Two streets.", "skipped": skipped})
    assert "Two streets." in text
    assert "| fog | recorded drive | 2 |" in text


@pytest.mark.parametrize(("part", "text"), [
    (None, "–"), (0.0, "0 %"), (0.0002, "< 0.1 %"), (0.034, "3.4 %"), (0.5, "50 %"), (0.994, "99.4 %"),
    (0.99996, "> 99.9 %"), (1.0, "100 %"),
])
def test_only_all_is_100_percent(part: float | None, text: str) -> None:
    assert tables.percent(part) == text


def test_numbers_have_three_digits() -> None:
    assert [tables.decimal(x) for x in (0.123, 1.234, 12.34, 123.4, 1234.5)] == ["0.12", "1.23", "12.3", "123", "1234"]
    assert tables.decimal(None) == "–"


def test_interval_stands_behind_its_value() -> None:
    assert tables.value({"value": 1.5, "low": 1.25, "high": 2.0}) == "1.50 [1.25, 2.00]"
    assert tables.share({"value": 0.5, "low": 0.25, "high": 0.75}) == "50 % [25, 75]"
    assert tables.share({"value": 1.0, "low": 1.0, "high": 1.0}) == "100 %"


def test_names_cannot_break_a_row() -> None:
    assert Table(("a", "b"), (("x|y\nz", "1"),)).markdown() == "| a | b |\n| --- | --: |\n| x\\|y z | 1 |\n"
