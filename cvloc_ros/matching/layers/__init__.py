# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Building blocks that the learned matchers share (PyTorch)."""
