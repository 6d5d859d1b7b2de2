# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""docs/ros-checklist.md names code and tests that exist, for every row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = [*map(str, range(1, 38)), *(f"t{n}" for n in range(1, 10)), *(f"c{n}" for n in range(1, 21))]


class Row(NamedTuple):
    """One line of a table."""

    number: str
    answer: str
    code: list[str]
    tests: list[str]


def rows() -> list[Row]:
    text = (ROOT / "docs/ros-checklist.md").read_text(encoding="utf-8")
    cells = [re.split(r" \| ", line.strip("| ")) for line in text.splitlines() if re.match(r"\| [tc]?\d", line)]
    return [
        Row(number, answer, re.findall("`([^`]+)`", code), re.findall("`([^`]+)`", tests))
        for number, _, answer, code, tests in cells
    ]


def test_every_row_is_answered_in_order() -> None:
    assert [row.number for row in rows()] == NUMBERS
    assert all(re.match(r"(yes|partly|no)\b", row.answer) for row in rows())


def test_what_is_not_whole_says_what_is_missing() -> None:
    assert all(":" in row.answer for row in rows() if not row.answer.startswith("yes"))


def test_code_and_tests_that_are_named_exist() -> None:
    for row in rows():
        assert row.code, row.number
        assert row.tests, row.number
        for path in row.code:
            assert (ROOT / "cvloc_ros" / path).is_file(), f"{row.number}: {path}"
        for named in row.tests:
            file, _, name = named.partition("::")
            assert (ROOT / "test" / file).is_file(), f"{row.number}: {named}"
            source = (ROOT / "test" / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{row.number}: {named}"
