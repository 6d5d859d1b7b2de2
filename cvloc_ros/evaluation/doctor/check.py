# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One finding, and the table of all of them."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace


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
    step: str = ""
    """Part of the way through a new vehicle, such as "frames"."""


def ok(subject: str, finding: str) -> Check:
    """Make a finding that is as it should be."""
    return Check(Level.OK, subject, finding)


def warn(subject: str, finding: str, remedy: str) -> Check:
    """Make a finding that costs accuracy or availability."""
    return Check(Level.WARN, subject, finding, remedy)


def fail(subject: str, finding: str, remedy: str) -> Check:
    """Make a finding with which localization cannot work."""
    return Check(Level.FAIL, subject, finding, remedy)


def steps(checks: Mapping[str, Iterable[Check]]) -> list[Check]:
    """Put findings in order, each with the step that it belongs to."""
    return [replace(check, step=step) for step, made in checks.items() for check in made]


def table(checks: Sequence[Check], *, width: int = 118, colour: bool = False) -> str:
    """Lay the findings out for a terminal, step by step, with a summary and what to mend first."""
    colours = {Level.OK: "32", Level.WARN: "33", Level.FAIL: "31"}
    left = min(max((len(check.subject) for check in checks), default=0), 34)
    lines: list[str] = []
    step = ""
    for check in checks:
        if check.step != step:
            step = check.step
            lines += ["", step] if lines else [step]
        mark = f"{check.level.value:<4}"
        mark = f"\x1b[{colours[check.level]}m{mark}\x1b[0m" if colour else mark
        text = check.finding + (f"\n-> {check.remedy}" if check.remedy else "")
        body = [line for part in text.splitlines() for line in textwrap.wrap(part, max(width - left - 8, 30)) or [""]]
        lines.append(f"{mark}  {check.subject:<{left}}  {body[0] if body else ''}")
        lines += [" " * (left + 8) + line for line in body[1:]]
    counts = {level: sum(check.level is level for check in checks) for level in Level}
    summary = ", ".join(f"{count} {level.value}" for level, count in counts.items())
    return "\n".join([*lines, "", summary, *_first(checks)])


def _first(checks: Sequence[Check]) -> list[str]:
    """What to mend first: a later step cannot be right before an earlier one is."""
    for level in (Level.FAIL, Level.WARN):
        for check in checks:
            if check.level is level:
                return [f"first: {check.subject}: {check.remedy}"]
    return []
