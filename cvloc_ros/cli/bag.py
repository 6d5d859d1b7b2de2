# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`cvloc bag`."""

from __future__ import annotations

import sys
from pathlib import Path

import tyro


def recover(bag: tyro.conf.Positional[Path], out: tyro.conf.Positional[Path]) -> int:
    """Write what can be read of a damaged ROS 2 bag as a sound one.

    Args:
        bag: Bag folder, .mcap or .db3 file that a crash cut off; it is not changed.
        out: Folder of the new bag (mcap); must not exist.
    """
    from cvloc_ros.evaluation.recover import rewrite

    count, notes = rewrite(bag, out)
    sys.stdout.write("".join(f"{note}\n" for note in notes) + f"{count} messages written to {out}\n")
    return 0


COMMANDS = {"recover": recover}
