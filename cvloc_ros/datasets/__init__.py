# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets, simulated and recorded; all of them yield the same `Sample`."""
