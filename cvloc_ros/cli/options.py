# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Options that several sub-commands share."""

from __future__ import annotations

from typing import Annotated

import tyro

MapSource = Annotated[str, tyro.conf.arg(name="map", metavar="MAP")]
Assignments = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="set", metavar="KEY=VALUE")
]
