# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""report.html of a suite: one page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from cvloc_ros.evaluation.suite import tables


def page(summary: Mapping[str, Any]) -> str:
    """Return the page."""
    return f"<pre>{escape(tables.markdown(summary))}</pre>"
