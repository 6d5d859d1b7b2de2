# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One finding, and the table of all of them."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass


class Level(enum.Enum):
    """How bad it is; FAIL means that localization cannot work."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and (unless OK) what to mend."""

    level: Level
    subject: str
    finding: str
    remedy: str = ""


def ok(subject: str, finding: str) -> Check:
    """Make a finding that is as it should be."""
    return Check(Level.OK, subject, finding)


def warn(subject: str, finding: str, remedy: str) -> Check:
    """Make a finding that costs accuracy or availability."""
    return Check(Level.WARN, subject, finding, remedy)


def fail(subject: str, finding: str, remedy: str) -> Check:
    """Make a finding with which localization cannot work."""
    return Check(Level.FAIL, subject, finding, remedy)


def table(checks: Sequence[Check], *, width: int = 118, colour: bool = False) -> str:
    """Lay the findings out for a terminal, with a summary line."""
    colours = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31"}
    left = min(max((len(check.subject) for check in checks), default=0), 34)
    lines = []
    for check in checks:
        mark = f"{check.level.value:<4}"
        mark = f"\x1b[{colours[check.level]}m{mark}\x1b[0m" if colour else mark
        text = check.finding + (f"\n-> {check.remedy}" if check.remedy else "")
        body = [line for part in text.splitlines() for line in textwrap.wrap(part, max(width - left - 8, 30)) or [""]]
        lines.append(f"{mark}  {check.subject:<{left}}  {body[0] if body else ''}")
        lines += [" " * (left + 8) + line for line in body[1:]]
    counts = {level: sum(check.level is level for check in checks) for level in Level}
    summary = ", ".join(f"{count} {level.value}" for level, count in counts.items())
    return "\n".join([*lines, "", summary])
