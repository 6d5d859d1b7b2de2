# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc params`."""

from __future__ import annotations

import sys
from typing import Literal

from cvloc_ros.reference import render_markdown, render_yaml


def params(style: Literal["yaml", "markdown"] = "yaml") -> int:
    """Print every parameter with its default, unit, range and meaning.

    Args:
        style: yaml is a parameter file to start from; markdown is a table.
    """
    sys.stdout.write(render_yaml() if style == "yaml" else render_markdown())
    return 0
