# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frame that every report stands in: one file that loads nothing from outside, and may not."""

from __future__ import annotations

from importlib.resources import files
from string import Template


def template(package: str) -> Template:
    """Return the page.html of a package in its frame, to be filled."""
    frame, page = files("cvloc_ros.evaluation.report") / "frame.html", files(package) / "page.html"
    return Template(frame.read_text(encoding="utf-8").replace("$page", page.read_text(encoding="utf-8")))
