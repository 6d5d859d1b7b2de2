# Copyright 2026 The cvloc_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Replay of recorded drives: bag reader, truth, metrics, report, doctor."""
